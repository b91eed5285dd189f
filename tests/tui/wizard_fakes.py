"""A made-up machine, model, data and plan, so that the wizard's tests look nothing up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.machine.detect import Machine
from engine.machine.gpus import Gpu
from engine.machine.host import Host
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec
from engine.plan.memory import Memory
from engine.plan.plan import MethodPlan, Plan
from engine.recipe import Answer
from tui.answers import Answers
from tui.screens.lookups import Lookers
from tui.steps.facts import Facts

GIB = 1024**3


def machine(vram_gb: int = 24, free_disk_gb: int = 120) -> Machine:
    """A machine with one GPU, or none."""
    gpu = Gpu(0, "GPU-1", "Example 4090", vram_gb * GIB, vram_gb * GIB - GIB, (8, 9), True, "cuda")
    host = Host(64 * GIB, 48 * GIB, 16.0, free_disk_gb * GIB, "/home/somebody/tunewright/runs", ())
    return Machine((gpu,) if vram_gb else (), host, ())


def model(source: str = "/models/small") -> ModelFiles:
    """A model of half a billion parameters with a chat template."""
    spec = ModelSpec("Qwen2ForCausalLM", "qwen2", 494_000_000, {"layers": 494_000_000}, 896, 24, 14, 2, 64, 4864,
                     151_936, True, 32_768, "bfloat16", None, 0, 357_000_000)  # fmt: skip
    return ModelFiles(source, Path(source), "", spec, Path(source) / "tokenizer.json", True, 0, False)


def data(rows: int = 500) -> dict[str, Any]:
    """What the data job answers."""
    pieces = [{"text": "<user>two pizzas please<assistant>", "kind": "context"},
              {"text": '{"pizza": 2}', "kind": "trained"}]  # fmt: skip
    lengths = {"p50": 60, "p95": 110, "p99": 128, "longest": 190, "trained_tokens": 9_000,
               "histogram": [[0, 64, rows // 2], [64, 129, rows - rows // 2 - 5], [129, 193, 5]],
               "cut_at": [{"length": 128, "rows": 5, "answers": 2, "share": 0.01}]}  # fmt: skip
    return {
        "rows": rows, "format": "instruction", "map": {}, "confidence": 0.99,
        "reason": "The columns instruction, input and output are there.",
        "previews": [{"row": 1, "pieces": pieces}], "lengths": lengths, "findings": [], "notes": [], "skipped": [],
    }  # fmt: skip


def method_plan(name: str, need_gb: float, free_gb: float = 23.0, **changed: Any) -> MethodPlan:
    """One method with a need."""
    fits = need_gb <= free_gb
    short = 0 if fits else int((need_gb - free_gb) * GIB)
    answers = {
        "method.name": Answer(name, "recommended", "it fits"),
        "method.rank": Answer(16, "recommended", "usual for 500 rows"),
        "training.epochs": Answer(3.0, "recommended", "fewer than 2,000 rows"),
        "training.learning_rate": Answer(2e-4, "recommended", "usual for adapters"),
        "training.sequence_length": Answer(128, "recommended", "99 % of the rows are not longer"),
        "training.micro_batch_size": Answer(4, "recommended", "fits with room"),
        "training.gradient_accumulation_steps": Answer(4, "recommended", "an effective batch of 16"),
        "evaluation.held_out_rows": Answer(25, "recommended", "5 % of the rows"),
    }
    answers.update(changed)
    need = int(need_gb * GIB)
    parts = {"weights": need // 2, "activations": need // 4, "optimizer": need - need // 2 - need // 4}
    return MethodPlan(name, fits, short, "it fits" if fits else f"it needs {need_gb:g} GB", answers,
                      Memory("estimate", need, need, need, parts, exact=True), GIB, 2 * GIB, 600.0)  # fmt: skip


def plan(qlora: float = 4, lora: float = 8, full: float = 40, recommended: str = "lora") -> Plan:
    """All three methods with their needs in GB."""
    needs = {"qlora": qlora, "lora": lora, "full": full}
    methods = tuple(method_plan(name, need) for name, need in needs.items())
    return Plan(recommended, "LoRA fits with room to spare.", methods, machine(), model().spec)


def answers() -> Answers:
    """The three answers that are enough."""
    given = Answers()
    given.put("goal", "structured")
    given.put("model.source", "/models/small")
    given.put("data.source", "/data/orders.jsonl")
    return given


def facts() -> Facts:
    """Everything looked up."""
    found = Facts()
    for finding, value in ((found.machine, machine()), (found.model, model()), (found.data, data()),
                           (found.plan, plan())):  # fmt: skip
        finding.ask("asked")
        finding.settle("asked", value)
    return found


def lookers(**changed: Any) -> Lookers:
    """Lookups that answer at once. A changed one may be a value to answer, or an exception to raise."""

    def answer(value: Any) -> Any:
        async def look(answers: Answers, facts: Facts) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return look

    values: dict[str, Any] = {"machine": machine(), "model": model(), "data": data(), "plan": plan(), "remedy": None,
                              "simulation": UserError("No simulation in this test.", "", ""), **changed}  # fmt: skip
    return Lookers(**{name: answer(value) for name, value in values.items()})
