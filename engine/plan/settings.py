"""One rule per setting: the value and, in a line, why. Sources are named beside each constant.

Where a number depends on the model's size, the rule is one function of the size.
"""

from __future__ import annotations

import math
from typing import Protocol

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_parameters
from engine.plan.words import count_text
from engine.recipe import Answer
from engine.recipe_keys import Value

SMALLEST_RANK, LARGEST_RANK = 16, 128
# Rank 16 and alpha twice the rank: Unsloth's and Axolotl's guides. Capacity rule (adapter parameters >= trained
# tokens):
# "LoRA Without Regret", Thinking Machines 2025.
SIZE_OF_RATES = 600_000_000
ADAPTER_RATE, ADAPTER_RATE_OVER_30B, FULL_RATE, FULL_RATE_FROM_7B = 2e-4, 1e-4, 2e-5, 1e-5
# QLoRA paper and Unsloth's guide: 2e-4, 1e-4 for the largest; full 2e-5 (Axolotl 1e-5..5e-5, torchtune 2e-5).
# held-out loss of a model of 260 thousand parameters after 90 LoRA steps: 2.78 at 1e-3, 2.77 at 3e-3, 4.51 at 1e-2
LARGEST_ADAPTER_RATE, LARGEST_FULL_RATE = 3e-3, 3e-3
DEFAULT_LENGTH, SHORTEST_LENGTH = 1024, 128
TEXT_RATES = {"full": 0.5, "adapter": 0.25}
"""Of the rate for answers: 5e-5 for adapters is Unsloth's guide for continued pre-training; half for a full fine-tune,
since re-warming to a lower peak forgets less (Ibrahim and others 2024; cosine and a longer warm-up are theirs too)."""
OBJECTIVE_RATES = {"dpo": 1 / 40, "kto": 1 / 40, "orpo": 0.4}
"""Of the rate for writing answers. TRL's own scripts: DPO 5e-7 and, with LoRA, 5e-6, where SFT has 2e-5 and 2e-4; the
ORPO paper 8e-6 for a full fine-tune."""


class DataFacts(Protocol):
    """The numbers of a data summary that planning uses; token counts are per rendered row."""

    @property
    def rows(self) -> int: ...
    @property
    def trained_tokens(self) -> int: ...
    @property
    def total_tokens(self) -> int: ...
    @property
    def p95(self) -> int: ...
    @property
    def p99(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def held_out_suggestion(self) -> int: ...


def recommended(value: Value, reason: str) -> Answer:
    """An answer that this program proposes."""
    return Answer(value, "recommended", reason)


def sequence_length(spec: ModelSpec, data: DataFacts | None) -> Answer:
    """Long enough for 99 of 100 rows (for short data: for every row), rounded up so that kernels work on whole
    tiles."""
    if data is None or data.rows == 0:
        length = min(DEFAULT_LENGTH, spec.context_length)
        return recommended(length, "No data was measured yet; this holds most instruction and chat rows.")
    if data.longest <= 64:
        length, why = _rounded(data.longest, 8), f"The longest row has {data.longest} tokens; nothing is cut."
    elif data.longest <= 512:
        length, why = _rounded(data.longest, 64), f"The longest row has {data.longest} tokens; nothing is cut."
    else:
        length = _rounded(data.p99, 64)
        cut = "" if length >= data.longest else f"; the longest has {data.longest}, so at most 1 row in 100 is cut"
        why = f"99 of 100 rows have {data.p99} tokens or fewer{cut}."
    if length > spec.context_length:
        why = f"The model reads at most {spec.context_length} tokens; the longest row has {data.longest}."
        length = spec.context_length
    return recommended(max(8, length), why)


def rank(spec: ModelSpec, data: DataFacts | None) -> Answer:
    """Sixteen, doubled until the adapter has as many parameters as there are trained tokens, at most 128."""
    value = SMALLEST_RANK
    if data is None:
        return recommended(
            value, "A common start; it is raised when the data holds more than such an adapter can learn."
        )
    while value < LARGEST_RANK and adapter_parameters(spec, value) < data.trained_tokens:
        value *= 2
    size = adapter_parameters(spec, value)
    if size < data.trained_tokens:
        why = (
            f"The largest offered; the data has {count_text(data.trained_tokens)} trained tokens, more than the "
            f"adapter's {count_text(size)} parameters."
        )
    else:
        why = (
            f"Its {count_text(size)} parameters cover the {count_text(data.trained_tokens)} trained tokens of the data."
        )
    return recommended(value, why)


def learning_rate(spec: ModelSpec, method: str, objective: str = "sft", raw_text: bool = False) -> Answer:
    """The rate of supervised fine-tuning, or its fraction where answers are compared or raw text is read."""
    plain = _supervised_rate(spec, method)
    if raw_text and objective == "sft":
        part = TEXT_RATES["full" if method == "full" else "adapter"]
        why = f"Raw text is read with {part:g} of the rate for answers, so that less of what was known is lost."
        return recommended(_two_digits(float(str(plain.value)) * part), why)
    share = OBJECTIVE_RATES.get(objective)
    if share is None:
        return plain
    rate = _two_digits(float(str(plain.value)) * share)
    return recommended(rate, f"Comparing answers takes small steps: {share:g} of the rate for writing them.")


def _supervised_rate(spec: ModelSpec, method: str) -> Answer:
    """One curve of the model's size: the published values from 600M parameters on, rising below, where steps must be
    larger because narrow layers change less per step."""
    size = spec.parameters
    if method == "full":
        rate = FULL_RATE_FROM_7B if size >= 6.5e9 else FULL_RATE
        if size < SIZE_OF_RATES:
            rate = min(LARGEST_FULL_RATE, FULL_RATE * (SIZE_OF_RATES / size) ** (2 / 3))
    else:
        rate = ADAPTER_RATE_OVER_30B if size > 30e9 else ADAPTER_RATE
        if size < SIZE_OF_RATES:
            rate = min(LARGEST_ADAPTER_RATE, ADAPTER_RATE * math.sqrt(SIZE_OF_RATES / size))
    kind, usual = ("full fine-tuning", FULL_RATE) if method == "full" else ("adapters", ADAPTER_RATE)
    if size < SIZE_OF_RATES:
        why = f"A model of {count_text(size)} parameters needs larger steps than the usual {usual:g}."
        return recommended(_two_digits(rate), why)
    return recommended(_two_digits(rate), f"The usual rate for {kind} of a model of {count_text(size)} parameters.")


def is_raw_text(data: DataFacts | None) -> bool:
    """Whether rows are plain text: continued pre-training, with a rate and a schedule of its own."""
    return data is not None and getattr(data, "format", "") == "text"


def epochs(data: DataFacts | None, objective: str = "sft") -> Answer:
    """Fewer passes over more rows: four under 500, three under 2000, two under 20000, one above; one less where answers
    are compared."""
    if data is not None and is_raw_text(data):
        passes = next((value for limit, value in ((1e6, 3.0), (1e7, 2.0)) if data.trained_tokens < limit), 1.0)
        return recommended(
            passes, f"{count_text(data.trained_tokens)} tokens of raw text; more passes would be recited."
        )
    found = _passes(data)
    if objective == "sft" or data is None or float(str(found.value)) <= 1:
        return found
    fewer = float(str(found.value)) - 1
    return recommended(fewer, f"With {data.rows} rows; which answer is better is learned by heart sooner than answers.")


def _passes(data: DataFacts | None) -> Answer:
    if data is None:
        return recommended(3.0, "Usual for up to 2000 rows; more rows need fewer passes.")
    for limit, value in ((500, 4.0), (2_000, 3.0), (20_000, 2.0)):
        if data.rows < limit:
            return recommended(
                value, f"With {data.rows} rows, {value:g} passes learn them without learning them by heart."
            )
    return recommended(1.0, f"With {data.rows} rows one pass is enough.")


def effective_batch(method: str, data: DataFacts | None) -> tuple[int, str]:
    """Rows per optimizer step and why: 8 for little data, 16 for adapters (never above 32), 32 for full fine-tuning."""
    if data is not None and data.rows < 500:
        size = 8
        while size > 1 and size * 4 > data.rows:
            size //= 2
        return size, f"With {data.rows} rows a small batch gives more steps."
    if method == "full":
        return 32, "32 rows per step are usual for full fine-tuning."
    return 16, "16 rows per step; adapters learn worse from batches above 32."


def held_out_rows(data: DataFacts | None) -> Answer:
    """Five in a hundred, at least 20 and at most 500, none when the data is too small to spare them."""
    if data is None:
        return recommended(0, "No data was measured yet.")
    count = data.held_out_suggestion
    if count <= 0:
        return recommended(0, f"With {data.rows} rows none can be spared; there will be no evaluation.")
    return recommended(
        min(count, data.rows // 2), f"{count} of {data.rows} rows show whether it learns or only remembers."
    )


def warmup(raw_text: bool) -> Answer:
    """A twentieth of the steps, a tenth for raw text."""
    if raw_text:
        return recommended(0.1, "A trained model is warmed up again gently: the first tenth of the steps.")
    return recommended(0.05, "The first twentieth of the steps rises to the full rate.")


def scheduler(total_steps: int, raw_text: bool = False) -> Answer:
    """Cosine, or a straight line for runs under 100 steps."""
    if raw_text:
        return recommended("cosine", "Rising again and falling along a cosine suits continued pre-training.")
    if 0 < total_steps < 100:
        return recommended("linear", f"A straight fall suits a short run of {total_steps} steps.")
    return recommended("cosine", "A cosine fall is what most published runs use.")


def precision(spec: ModelSpec, method: str, supports_bf16: bool, on_cpu: bool) -> Answer:
    """bf16 where the GPU computes it, else fp16; on a CPU fp32 for small models."""
    if on_cpu:
        if spec.parameters < 1e9:
            return recommended("fp32", "A CPU computes small models fastest and most exactly in fp32.")
        return recommended("bf16", "In fp32 a model of this size would take twice the memory.")
    if supports_bf16:
        return recommended("bf16", "This GPU computes bf16, which needs no loss scaling.")
    masters = " with fp32 weights" if method == "full" else ""
    return recommended("fp16", f"This GPU has no bf16; fp16{masters} and loss scaling take its place.")


def packing(data: DataFacts | None, length: int) -> Answer:
    """Off: the rows of a step are sorted by length before they are divided, which saves most of the padding.

    A pack counts as one row of the effective batch, so that packing changes how many rows a step learns from; and
    without FlashAttention it computes a mask of the whole pack squared.
    """
    mean = min(data.total_tokens / data.rows, length) if data is not None and data.rows else 0.0
    if data is not None and 0 < mean < length / 4:
        return recommended(
            False,
            f"Rows average {mean:.0f} of {length} tokens, but sorting the rows of a step by length saves most of the "
            "padding already, and packs need FlashAttention to be fast.",
        )
    return recommended(
        False, "The rows of a step are sorted by length, which saves most padding and leaves each step its rows."
    )


def _rounded(value: int, step: int) -> int:
    return -(-value // step) * step


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
