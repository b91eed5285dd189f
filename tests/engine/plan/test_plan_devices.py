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


@pytest.mark.parametrize("objective", ["dpo", "kto", "orpo", "classify"])
def test_every_objective_is_shared_and_only_text_is_divided(objective: str) -> None:
    full = {"method__objective": objective, "method__name": "full", "training__optimizer": "adamw_torch_fused"}
    shared = recipe_of(**full, training__micro_batch_size=2, training__gradient_accumulation_steps=2)
    check_devices(shared, 2)
    divided = shared.changed({"training.sharding": "fsdp2"}, "you", "")
    with pytest.raises(UserError, match=f"learns by {objective} is not divided") as caught:
        check_devices(divided, 2)
    assert "training.sharding=none" in caught.value.fix
    check_devices(divided.changed({"method.objective": "sft"}, "you", ""), 2)


def test_a_micro_batch_of_kto_never_becomes_a_single_row() -> None:
    usual, kto = (recipe_of(method__objective=name, training__micro_batch_size=2,
                            training__gradient_accumulation_steps=1) for name in ("dpo", "kto"))  # fmt: skip
    for recipe, fix in ((usual, "micro_batch_size=1"), (kto, "gradient_accumulation_steps=2")):
        with pytest.raises(UserError) as caught:
            check_devices(recipe, 2)
        assert fix in caught.value.fix
        assert ("micro_batch_size" in caught.value.fix) == (recipe is usual)
