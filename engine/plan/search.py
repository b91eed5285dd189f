"""Search one method's settings: the fastest micro-batch, checkpointing and optimizer that fit, at the length the data
asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist

from engine.machine.detect import Gpu, Machine
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan import settings
from engine.plan.budget import PYTHON_BYTES, Work, seconds_estimate
from engine.plan.fit import Fit, judge
from engine.plan.memory import CONTEXT_BYTES, Device, Memory, TrainingShape, estimate_memory
from engine.plan.objective import recommended_objective
from engine.plan.settings import DataFacts, recommended
from engine.recipe import Answer
from engine.recipe_keys import REFERENCES, find_key

OLD_CONTEXT_BYTES = 150 << 20  # before Ampere: 141 MiB measured on a T4
ASSUMED_ROWS, ASSUMED_MEAN_TOKENS = 1000, 256  # for a time without data; the reason says so
FULL_OPTIMIZERS = ("adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit")  # in the order of exactness


@dataclass(frozen=True)
class Situation:
    """Everything a search looks at. `overrides` are answers that must stay as they are."""

    machine: Machine
    files: ModelFiles
    data: DataFacts | None
    goal: str
    overrides: Mapping[str, Answer]

    @property
    def spec(self) -> ModelSpec:
        return self.files.spec

    @property
    def gpu(self) -> Gpu | None:
        return self.machine.best_gpu

    @property
    def device(self) -> Device:
        return "cpu" if self.gpu is None else "cuda"

    @property
    def free_bytes(self) -> int:
        """Memory that the step may take: of the GPU, or of the host when there is none."""
        available = self.machine.host.ram_available_bytes
        if self.gpu is None:
            return available
        return min(self.gpu.free_bytes, available) if self.gpu.unified_memory else self.gpu.free_bytes

    @property
    def context_bytes(self) -> int:
        """What CUDA itself takes on this device."""
        capability = self.gpu.compute_capability if self.gpu is not None else None
        return OLD_CONTEXT_BYTES if capability is not None and capability < (8, 0) else CONTEXT_BYTES

    def pick(self, key: str, answer: Answer) -> Answer:
        """The person's own answer where there is one, checked; else ours."""
        given = self.overrides.get(key)
        if given is None:
            return answer
        return replace(given, value=find_key(key).check(given.value))

    def is_set(self, key: str) -> bool:
        """True when the person decided this key."""
        return key in self.overrides

    @property
    def objective(self) -> Answer:
        """What is learned from a row: the person's word, else what suits the format of the data."""
        return self.pick("method.objective", recommended_objective(self.data))

    def work(self, epochs: float, held_out: int) -> Work:
        """How much there is to train on, by assumption when no data was measured."""
        if self.data is None or self.data.rows == 0:
            return Work(ASSUMED_ROWS, ASSUMED_MEAN_TOKENS, epochs)
        rows = max(1, self.data.rows - held_out)
        return Work(rows, self.data.total_tokens / self.data.rows, epochs, held_out)

    def measure(self, shape: TrainingShape) -> Memory:
        """The memory of one step here."""
        return estimate_memory(self.spec, shape, self.device, self.context_bytes)

    def judge(self, memory: Memory) -> Fit:
        """Whether it fits; on a CPU the process itself shares the memory."""
        return judge(memory.total_bytes + self.process_bytes, self.free_bytes)

    @property
    def process_bytes(self) -> int:
        """What the process itself takes of the memory that a step runs in: nothing on a GPU."""
        return PYTHON_BYTES if self.device == "cpu" else 0


@dataclass(frozen=True)
class Candidate:
    """One way to train, its memory, its verdict and its time."""

    shape: TrainingShape
    memory: Memory
    fit: Fit
    seconds: float


def search(here: Situation, method: str, base: TrainingShape, effective: int, work: Work) -> Candidate:
    """The fastest candidate that fits; when none fits, the smallest. Exact optimizers are preferred to 8-bit ones."""
    smallest: Candidate | None = None
    for optimizer, reference in product(_optimizers(here, method, base), _references(here, base)):
        shapes = _shapes(here, replace(base, optimizer=optimizer, reference=reference), effective)
        candidates = [_candidate(here, shape, work) for shape in shapes]
        fitting = [candidate for candidate in candidates if candidate.fit.verdict == "fits"]
        if fitting:
            return min(fitting, key=lambda found: (round(found.seconds, 1), found.memory.total_bytes))
        least = min(candidates, key=lambda found: found.memory.total_bytes)
        if smallest is None or least.memory.total_bytes < smallest.memory.total_bytes:
            smallest = least
    assert smallest is not None
    return smallest


def longest_that_fits(here: Situation, candidate: Candidate, work: Work) -> int:
    """The longest sequence (a multiple of 64) at which this candidate fits, 0 when none does."""
    low, high = 0, candidate.shape.sequence_length // 64
    while low < high:
        middle = (low + high + 1) // 2
        shape = replace(candidate.shape, sequence_length=middle * 64)
        if _candidate(here, shape, work).fit.verdict == "fits":
            low = middle
        else:
            high = middle - 1
    return low * 64


def _optimizers(here: Situation, method: str, base: TrainingShape) -> tuple[str, ...]:
    if here.is_set("training.optimizer") or method != "full" or here.device == "cpu":
        return (base.optimizer,)
    return FULL_OPTIMIZERS


def _references(here: Situation, base: TrainingShape) -> tuple[str, ...]:
    """Beside the trained model, and of a full fine-tune also computed beforehand, which holds no second copy."""
    twice = base.method == "full" and base.objective in ("dpo", "kto") and not here.is_set("method.reference")
    return REFERENCES if twice else (base.reference,)


def _shapes(here: Situation, base: TrainingShape, effective: int) -> list[TrainingShape]:
    """Micro-batches that divide the effective batch, each without and with checkpointing, unless the person decided."""
    if here.is_set("training.micro_batch_size"):
        sizes = [base.micro_batch_size]
    elif here.is_set("training.gradient_accumulation_steps"):
        sizes = [max(1, effective // base.accumulation)]
    else:
        least = 2 if base.objective == "kto" else 1  # KTO compares answers within a micro-batch
        sizes = [size for size in range(1, effective + 1) if effective % size == 0 and size >= least] or [least]
    modes = [base.gradient_checkpointing] if here.is_set("training.gradient_checkpointing") else [False, True]
    found = []
    for size in sizes:
        accumulation = base.accumulation
        if not here.is_set("training.gradient_accumulation_steps"):
            accumulation = max(1, math.ceil(effective / size))
        found += [
            replace(base, micro_batch_size=size, accumulation=accumulation, gradient_checkpointing=mode)
            for mode in modes
        ]
    return found


def _candidate(here: Situation, shape: TrainingShape, work: Work) -> Candidate:
    memory = here.measure(shape)
    padded = replace(work, mean_tokens=padded_tokens(here, work, shape))
    seconds = seconds_estimate(here.spec, shape, padded, here.gpu, here.machine.host.cpu_count)
    return Candidate(shape, memory, here.judge(memory), seconds)


def padded_tokens(here: Situation, work: Work, shape: TrainingShape) -> float:
    """Tokens per row with padding, when the rows of an optimizer step are sorted by length before they are divided.

    For lengths spread evenly over mean +- h, the longest of m neighbours among w sorted rows lies h (m - 1) / (w + 1)
    above their mean, and the 95th percentile 0.9 h above the mean of all. On 948 Alpaca rows (16 a step) it gives
    1.37, 1.17, 1.07 and 1.02 times the real tokens for micro-batches of 16, 8, 4, 2; counted: 1.50, 1.27, 1.12, 1.04.
    """
    mean = cut_mean(work.mean_tokens, here.data.p95 if here.data else 0, shape.sequence_length)
    if here.data is None or here.data.rows == 0:
        return mean
    half_width = max(0.0, min(here.data.p95, shape.sequence_length) - mean) / 0.9
    micro = shape.micro_batch_size
    return mean + half_width * (micro - 1) / (micro * shape.accumulation + 1)


def cut_mean(mean: float, p95: int, length: int) -> float:
    """The mean number of tokens after rows are cut at `length`, taking lengths as log-normal with this mean and 95th
    percentile. 948 Alpaca rows of 512 tokens on average, cut at 512: 371 by this, 342 counted."""
    if length <= 0 or p95 <= mean:
        return min(mean, float(length))
    normal = NormalDist()
    z95 = normal.inv_cdf(0.95)
    spread = z95 - math.sqrt(max(0.0, z95 * z95 - 2 * math.log(p95 / mean)))  # ln p95 = ln mean - s^2/2 + z95 s
    z = (math.log(length / mean) + spread * spread / 2) / spread
    return mean * normal.cdf(z - spread) + length * (1 - normal.cdf(z))


def starting_shape(here: Situation, method: str) -> tuple[TrainingShape, dict[str, Answer]]:
    """What does not depend on the search: length, rank, optimizer, precision, targets; with the answers that say
    why."""
    answers = {
        "training.sequence_length": here.pick(
            "training.sequence_length", settings.sequence_length(here.spec, here.data)
        ),
        "method.rank": here.pick("method.rank", settings.rank(here.spec, here.data)),
        "method.target_modules": here.pick(
            "method.target_modules",
            recommended(["all-linear"], "Adapters on all linear layers learn clearly better than on attention alone."),
        ),
        "training.precision": here.pick(
            "training.precision",
            settings.precision(here.spec, method, here.gpu is not None and here.gpu.supports_bf16, here.gpu is None),
        ),
        "training.optimizer": here.pick("training.optimizer", _optimizer(here, method)),
    }
    value = {key: answer.value for key, answer in answers.items()}
    micro = here.pick("training.micro_batch_size", recommended(1, "")).value
    accumulation = here.pick("training.gradient_accumulation_steps", recommended(1, "")).value
    checkpointing = here.pick("training.gradient_checkpointing", recommended(True, "")).value
    targets = value["method.target_modules"]
    assert isinstance(micro, int) and isinstance(accumulation, int) and isinstance(targets, list)
    shape = TrainingShape(
        method=method,
        micro_batch_size=micro,
        sequence_length=int(str(value["training.sequence_length"])),
        rank=int(str(value["method.rank"])),
        gradient_checkpointing=bool(checkpointing),
        optimizer=str(value["training.optimizer"]),
        precision=str(value["training.precision"]),
        accumulation=accumulation,
        target_modules=tuple(targets),
        objective=str(here.objective.value),
        reference=str(here.pick("method.reference", recommended("beside", "")).value),
        layers=str(here.pick("method.layers", recommended("", "")).value),
        dora=bool(here.pick("method.dora", recommended(False, "")).value),
        train_embeddings=bool(here.pick("method.train_embeddings", recommended(False, "")).value),
    )
    return shape, answers


def _optimizer(here: Situation, method: str) -> Answer:
    if here.device == "cpu":
        return recommended("adamw_torch_fused", "The exact Adam; the 8-bit ones save nothing that matters on a CPU.")
    if method == "qlora":
        return recommended(
            "paged_adamw_8bit", "Its state takes a quarter of the memory and gives way to the host when short."
        )
    return recommended(
        "adamw_torch_fused", "The exact Adam in one fused kernel, without a second copy of the parameters."
    )
