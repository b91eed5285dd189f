"""One rule per setting: the value and, in a line, why. Sources are named beside each constant.

The learning rate has a module of its own.
"""

from __future__ import annotations

from engine.models.spec import ModelSpec
from engine.plan.adapters import adapter_parameters
from engine.plan.data_facts import DataFacts, is_raw_text, learned_rows
from engine.plan.words import count_text
from engine.recipe import Answer
from engine.recipe_keys import Value

SMALLEST_RANK, LARGEST_RANK = 16, 128
# Rank 16 and alpha twice the rank: Unsloth's and Axolotl's guides. Capacity rule (adapter parameters >= trained
# tokens): "LoRA Without Regret", Thinking Machines 2025.
DEFAULT_LENGTH, SHORTEST_LENGTH = 1024, 128
TEXT_LENGTH = 2048
"""Raw text is split into pieces of at most this many tokens, as `engine.data.lengths` suggests it."""


def recommended(value: Value, reason: str) -> Answer:
    """An answer that this program proposes."""
    return Answer(value, "recommended", reason)


def sequence_length(spec: ModelSpec, data: DataFacts | None) -> Answer:
    """Long enough for 99 of 100 rows (for short data: for every row), rounded up so that kernels work on whole
    tiles."""
    if data is None or data.rows == 0:
        length = min(DEFAULT_LENGTH, spec.context_length)
        return recommended(length, "No data was measured yet; this holds most instruction and chat rows.")
    if is_raw_text(data) and data.longest > TEXT_LENGTH:
        length, why = TEXT_LENGTH, f"Longer texts are split into pieces of {TEXT_LENGTH} tokens; nothing is lost."
    elif data.longest <= 64:
        length, why = _rounded(data.longest, 8), f"The longest row has {data.longest} tokens; nothing is cut."
    elif data.longest <= 512:
        length, why = _rounded(data.longest, 64), f"The longest row has {data.longest} tokens; nothing is cut."
    else:
        length = _rounded(data.p99, 64)
        cut = "" if length >= data.longest else f"; the longest has {data.longest}, so at most 1 row in 100 is cut"
        why = f"99 of 100 rows have {data.p99} tokens or fewer{cut}."
    if length > spec.context_length:
        why = f"The model reads at most {spec.context_length} tokens; the longest row has {data.longest}."
        if is_raw_text(data):
            why = f"The model reads at most {spec.context_length} tokens; longer texts are split, and nothing is lost."
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


def effective_batch(method: str, data: DataFacts | None, length: int = 0) -> tuple[int, str]:
    """Rows per optimizer step and why: 8 for little data, 16 for adapters (never above 32), 32 for full fine-tuning.

    `length` is the sequence length, of which the pieces of raw text are; 0 takes rows as they are.
    """
    rows = learned_rows(data, length) if data is not None else 0
    if data is not None and rows < 500:
        size = 8
        while size > 1 and size * 4 > rows:
            size //= 2
        return size, f"With {rows} rows a small batch gives more steps."
    if method == "full":
        return 32, "That many are usual for full fine-tuning."
    return 16, "Adapters learn worse from batches above 32."


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
