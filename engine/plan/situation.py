"""Everything that planning looks at: the machine, the model, the data, and what the person decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.machine.detect import Machine
from engine.machine.gpus import Gpu
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.budget import PYTHON_BYTES, Work
from engine.plan.data_facts import DataFacts, learned_rows
from engine.plan.fit import Fit, judge
from engine.plan.memory import CONTEXT_BYTES, Device, Memory, TrainingShape, estimate_memory
from engine.plan.objective import recommended_objective
from engine.plan.settings import recommended
from engine.recipe import Answer
from engine.recipe_keys import Value, find_key

OLD_CONTEXT_BYTES = 150 << 20  # before Ampere: 141 MiB measured on a T4
ASSUMED_ROWS, ASSUMED_MEAN_TOKENS = 1000, 256  # for a time without data; the reason says so


@dataclass(frozen=True)
class Situation:
    """`overrides` are answers that must stay as they are; `data` is None before it was measured."""

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

    def chosen(self, key: str, usual: Value) -> Value:
        """The person's own value where there is one, checked; else `usual`."""
        return self.pick(key, recommended(usual, "")).value

    def is_set(self, key: str) -> bool:
        """True when the person decided this key."""
        return key in self.overrides

    @property
    def objective(self) -> Answer:
        """What is learned from a row: the person's word, else what suits the format of the data."""
        return self.pick("method.objective", recommended_objective(self.data))

    def work(self, epochs: float, held_out: int, length: int = 0) -> Work:
        """How much there is to train on, by assumption when no data was measured. Raw text counts in pieces of `length`
        tokens."""
        if self.data is None or self.data.rows == 0:
            return Work(ASSUMED_ROWS, ASSUMED_MEAN_TOKENS, epochs)
        learned = learned_rows(self.data, length)
        held_out = round(held_out * learned / self.data.rows)
        return Work(max(1, learned - held_out), self.data.total_tokens / learned, epochs, held_out)

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
