"""Each rule for a setting, and that every value has its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.models.spec import ModelSpec
from engine.plan import settings
from engine.plan.fit import MARGIN_BYTES, judge, required_bytes
from engine.plan.learning_rate import learning_rate
from engine.plan.words import count_text, duration_text, size_text

Spec = Callable[[str], ModelSpec]


@pytest.mark.parametrize(
    ("longest", "p99", "length"),
    [(13, 12, 16), (64, 60, 64), (70, 66, 128), (500, 300, 512), (900, 600, 640), (4000, 641, 704), (3, 3, 8)],
)
def test_the_length_covers_99_of_100_rows_and_for_short_data_all(
    spec: Spec, facts: type, longest: int, p99: int, length: int
) -> None:
    answer = settings.sequence_length(spec("llama-2-7b"), facts(longest=longest, p99=p99))
    assert answer.value == length and str(longest) in answer.reason


def test_the_length_never_exceeds_the_models_context(spec: Spec, facts: type) -> None:
    answer = settings.sequence_length(spec("tiny"), facts(longest=4000, p99=3000))
    assert answer.value == 512 and "512" in answer.reason and "4000" in answer.reason


def test_the_rank_grows_with_the_data_up_to_a_limit(spec: Spec, facts: type) -> None:
    tiny = spec("tiny")
    assert settings.rank(tiny, None).value == 16
    assert settings.rank(tiny, facts(trained_tokens=10_000)).value == 16
    assert settings.rank(tiny, facts(trained_tokens=400_000)).value == 32
    answer = settings.rank(tiny, facts(trained_tokens=10**9))
    assert answer.value == 128 and "more than" in answer.reason


@pytest.mark.parametrize(
    ("name", "method", "rate"),
    [
        ("llama-2-7b", "lora", 2e-4), ("llama-2-7b", "qlora", 2e-4), ("llama-2-7b", "full", 1e-5),
        ("qwen2.5-0.5b", "lora", 2.2e-4), ("tiny", "lora", 3e-3), ("tiny", "full", 7.2e-4),
    ],
)  # fmt: skip
def test_the_learning_rate_is_one_curve_of_the_models_size(spec: Spec, name: str, method: str, rate: float) -> None:
    answer = learning_rate(spec(name), method)
    assert answer.value == pytest.approx(rate, rel=0.05) and "parameters" in answer.reason


def test_fewer_passes_over_more_rows(facts: type) -> None:
    assert [settings.epochs(facts(rows=rows)).value for rows in (100, 1000, 10_000, 100_000)] == [4, 3, 2, 1]


def test_the_effective_batch_shrinks_with_tiny_data(facts: type) -> None:
    sizes = [settings.effective_batch("lora", facts(rows=rows))[0] for rows in (3, 8, 20, 400, 5000)]
    assert sizes == [1, 2, 4, 8, 16]
    assert settings.effective_batch("full", facts(rows=5000))[0] == 32


def test_held_out_rows_never_take_more_than_half(facts: type) -> None:
    assert settings.held_out_rows(facts(rows=1000, held_out_suggestion=50)).value == 50
    assert settings.held_out_rows(facts(rows=10, held_out_suggestion=20)).value == 5
    assert settings.held_out_rows(facts(rows=3, held_out_suggestion=0)).value == 0


def test_precision_follows_the_device(spec: Spec) -> None:
    assert settings.precision(spec("tiny"), "lora", False, on_cpu=True).value == "fp32"
    assert settings.precision(spec("llama-2-7b"), "lora", False, on_cpu=True).value == "bf16"
    assert settings.precision(spec("llama-2-7b"), "lora", True, on_cpu=False).value == "bf16"
    assert settings.precision(spec("llama-2-7b"), "lora", False, on_cpu=False).value == "fp16"


def test_the_margin_is_three_percent_and_150_mebibytes() -> None:
    assert required_bytes(1000 * MARGIN_BYTES) == 1031 * MARGIN_BYTES
    need = 8 << 30
    assert judge(need, required_bytes(need)).verdict == "fits"
    tight = judge(need, required_bytes(need) - 1)
    assert (tight.verdict, tight.shortfall_bytes) == ("tight", 1)
    assert judge(need, need - 1).verdict == "no"


def test_amounts_are_written_as_people_read_them() -> None:
    assert (size_text(7.44 * 2**30), size_text(310 * 2**20), size_text(0)) == ("7.4 GiB", "310 MiB", "0 MiB")
    assert [count_text(count) for count in (260_032, 2_752_768, 7_241_732_096)] == ["260K", "2.75M", "7.24B"]
    assert [duration_text(s) for s in (1, 80, 700, 5_000, 90_000, 600_000)] == [
        "1 second", "80 seconds", "12 minutes", "83 minutes", "25 hours", "7 days",
    ]  # fmt: skip
