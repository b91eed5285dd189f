"""How much padding the planner expects, and what it makes of it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.budget import training_flops_per_token
from engine.plan.memory import TrainingShape
from engine.plan.padding import cut_mean, padded_tokens
from engine.plan.recommend import recommend
from engine.plan.situation import Situation
from engine.recipe import Answer

DRAW = random.Random(5)
LONG_TAIL = [max(1, round(math.exp(DRAW.gauss(5.5, 0.7)))) for _ in range(4000)]
EVEN = [DRAW.randint(50, 450) for _ in range(4000)]
SHAPE = TrainingShape("lora", 4, 512, 16, False, "adamw_torch_fused", "fp32", 4)
Model = Callable[[str], ModelFiles]
Build = Callable[..., Machine]


def p95(lengths: list[int]) -> int:
    return sorted(lengths)[int(0.95 * len(lengths))]


@pytest.mark.parametrize("length", [128, 256, 512, 4096])
@pytest.mark.parametrize("lengths", [LONG_TAIL, EVEN], ids=["long tail", "even"])
def test_the_mean_after_cutting_is_near_the_counted_one(lengths: list[int], length: int) -> None:
    counted = sum(min(length, value) for value in lengths) / len(lengths)
    expected = cut_mean(sum(lengths) / len(lengths), p95(lengths), length)
    assert expected == pytest.approx(counted, rel=0.12) and expected <= length


@pytest.mark.parametrize(("mean", "high", "length"), [(100.0, 100, 512), (100.0, 5000, 512), (900.0, 10, 512)])
def test_odd_figures_give_a_length_that_can_be(mean: float, high: int, length: int) -> None:
    assert 0 < cut_mean(mean, high, length) <= min(length, mean) + 1e-9


@pytest.mark.parametrize("micro", [1, 2, 4, 8, 16])
def test_padding_is_near_what_sorted_steps_really_have(micro: int, model: Model, machine: Build, facts: Any) -> None:
    mean = sum(EVEN) / len(EVEN)
    data = facts(rows=4000, total_tokens=sum(EVEN), p95=p95(EVEN), longest=450)
    here = Situation(machine(0), model("tiny"), data, "chat", {})
    shape = replace(SHAPE, micro_batch_size=micro, accumulation=16 // micro)
    counted = 0
    for start in range(0, 4000, 16):
        step = sorted(EVEN[start : start + 16], reverse=True)
        counted += sum(micro * step[k] for k in range(0, 16, micro))
    assert padded_tokens(here, here.work(1.0, 0), shape) == pytest.approx(counted / 4000, rel=0.04)
    assert mean <= counted / 4000


def test_uneven_rows_are_done_in_more_and_smaller_micro_batches(model: Model, machine: Build, facts: Any) -> None:
    even = recommend(machine(0), model("tiny"), facts(total_tokens=390_000, p95=400, p99=400, longest=400), "chat")
    uneven = recommend(machine(0), model("tiny"), facts(total_tokens=200_000, p95=480, p99=500, longest=510), "chat")
    key = "training.micro_batch_size"
    assert int(str(uneven.best.value(key))) < int(str(even.best.value(key)))
    assert "sorted by length" in uneven.best.answers[key].reason


def test_an_effective_batch_of_the_persons_stays(model: Model, machine: Build, facts: Any) -> None:
    own = {"training.micro_batch_size": Answer(2, "you", "")}
    plan = recommend(machine(0), model("tiny"), facts(), "chat", overrides=own)
    recipe_rows = int(str(plan.best.value("training.gradient_accumulation_steps"))) * 2
    assert plan.best.value("training.micro_batch_size") == 2 and recipe_rows == 16


def test_a_wide_adapter_costs_arithmetic(spec: Callable[[str], ModelSpec]) -> None:
    tiny = spec("tiny")
    narrow, wide = (training_flops_per_token(tiny, replace(SHAPE, rank=rank)) for rank in (8, 128))
    assert wide > 1.5 * narrow
    full = training_flops_per_token(tiny, replace(SHAPE, method="full"))
    assert training_flops_per_token(tiny, replace(SHAPE, method="full", rank=128)) == full


def test_raw_text_is_counted_in_its_pieces(model: Model, machine: Build, facts: Any) -> None:
    """Figures of 30 articles with 646,900 tokens, which the engine split into 1,278 pieces of 512 tokens."""
    articles = facts(rows=30, total_tokens=646_900, trained_tokens=646_870, p95=62_000, p99=68_000, longest=68_000,
                     held_out_suggestion=6, format="text")  # fmt: skip
    plan = recommend(machine(0), model("tiny"), articles, "text")
    here = Situation(machine(0), model("tiny"), articles, "text", {})
    work = here.work(1.0, 6, 512)
    assert work.rows + work.held_out_rows == pytest.approx(1278, rel=0.01) and work.mean_tokens <= 512
    same = facts(rows=1278, total_tokens=646_900, p95=512, p99=512, longest=512)
    rows = recommend(machine(0), model("tiny"), same, "chat", overrides={"training.epochs": Answer(3.0, "you", "")})
    assert plan.best.seconds == pytest.approx(rows.best.seconds, rel=0.3)
    assert plan.best.answers["training.gradient_accumulation_steps"].reason.endswith("above 32.")
    assert "split" in plan.best.answers["training.sequence_length"].reason


def test_raw_text_is_split_where_a_model_reads_more(model: Model, machine: Build, facts: Any) -> None:
    articles = facts(rows=30, total_tokens=646_900, p99=68_000, longest=68_000, format="text")
    plan = recommend(machine(24), model("qwen2.5-0.5b"), articles, "text")
    assert plan.best.value("training.sequence_length") == 2048
