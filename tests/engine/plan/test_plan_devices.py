"""Which recipes several devices can share, and what is said about the others."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import UserError
from engine.plan.devices import check_devices, own_accumulation
from engine.recipe import Answer, Recipe


def recipe_of(**changes: Any) -> Recipe:
    values = {"model.source": "m", "data.source": "d", **{key.replace("__", "."): v for key, v in changes.items()}}
    return Recipe.from_answers({key: Answer(value, "you", "") for key, value in values.items()})


def test_a_step_is_shared_when_its_micro_batches_divide() -> None:
    recipe = recipe_of(training__gradient_accumulation_steps=4)
    check_devices(recipe, 2)
    assert own_accumulation(recipe, 2) == 2
    check_devices(recipe_of(training__gradient_accumulation_steps=3), 1)


@pytest.mark.parametrize(
    ("micro", "accumulation", "processes", "fix"),
    [
        (8, 1, 2, "training.micro_batch_size=4 --set training.gradient_accumulation_steps=2"),
        (3, 2, 3, "training.micro_batch_size=2 --set training.gradient_accumulation_steps=3"),
        (1, 3, 2, "training.gradient_accumulation_steps=4"),
    ],
)
def test_otherwise_the_same_batch_is_proposed(micro: int, accumulation: int, processes: int, fix: str) -> None:
    recipe = recipe_of(training__micro_batch_size=micro, training__gradient_accumulation_steps=accumulation)
    with pytest.raises(UserError, match="effective batch") as caught:
        check_devices(recipe, processes)
    assert fix in caught.value.fix


def test_preferences_are_learned_on_one_gpu() -> None:
    with pytest.raises(UserError, match="dpo learns on one GPU only"):
        check_devices(recipe_of(method__objective="dpo", training__gradient_accumulation_steps=2), 2)
