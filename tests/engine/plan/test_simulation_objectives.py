"""The simulator of preferences and labels: against what the run's own trainers really allocate on the CPU."""

from __future__ import annotations

import gc
import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from engine.models.spec import spec_from_config
from engine.plan.memory import TrainingShape, estimate_memory, needs_mask
from engine.plan.preference import rows_at_once
from engine.plan.simulate import run, simulate_job
from tests.engine.plan.test_simulation import LLAMA, QWEN3, one_thread

pytest.importorskip("trl")
torch = pytest.importorskip("torch")
from tests.engine.plan.own_trainers import ROWS, TOKENS, trainer_of  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
__all__ = ["one_thread"]

# (config, objective, method, precision, checkpointing, reference)
REAL = [
    (LLAMA, "dpo", "lora", "fp32", False, "beside"), (QWEN3, "dpo", "full", "bf16", True, "beside"),
    (LLAMA, "kto", "full", "fp32", False, "precomputed"), (QWEN3, "orpo", "lora", "bf16", True, "beside"),
    (LLAMA, "classify", "lora", "fp32", True, "beside"),
]  # fmt: skip
MORE = [
    (config, objective, method, precision, checkpointing, reference)
    for config in (LLAMA, QWEN3) for objective in ("dpo", "kto", "orpo", "classify") for method in ("lora", "full")
    for precision in ("fp32", "bf16") for checkpointing in (False, True)
    for reference in (("beside", "precomputed") if objective in ("dpo", "kto") else ("beside",))
]  # fmt: skip


def real_peak(config: dict[str, Any], shape: TrainingShape, folder: Path) -> int:
    """Train two steps and read every allocation from torch's profiler: static bytes plus the peak."""
    from torch.profiler import ProfilerActivity, profile

    trainer = trainer_of(config, shape, folder)
    models = [trainer.model, getattr(trainer, "ref_model", None)]
    tensors = [tensor for model in filter(None, models) for tensor in (*model.parameters(), *model.buffers())]
    held = [tensor.untyped_storage() for tensor in tensors]
    static = sum({storage.data_ptr(): storage.nbytes() for storage in held}.values())
    gc.collect()  # what earlier tests left would count as given back
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        trainer.train()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    return static + max(itertools.accumulate(changes))


@pytest.mark.parametrize(
    ("config", "objective", "method", "precision", "checkpointing", "reference"),
    [*REAL, *(pytest.param(*case, marks=pytest.mark.long) for case in MORE if case not in REAL)],
)
def test_the_simulated_peak_is_what_the_trainer_really_allocates(
    config: dict[str, Any], objective: str, method: str, precision: str, checkpointing: bool, reference: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    from engine.plan.simulator.request import Simulation

    shape = TrainingShape(
        method, ROWS, TOKENS, 8, checkpointing, "adamw_torch_fused", precision, objective=objective, reference=reference
    )
    found = run(Simulation(config, shape, device="cpu", steps=2))
    assert rows_at_once(shape) == ROWS * (2 if objective in ("dpo", "orpo") else 1)
    real = real_peak(config, shape, tmp_path)
    assert found.live_bytes == pytest.approx(real, rel=0.001)


# (config, objective, method, device, checkpointing, reference, accumulation, optimizer, largest error)
FOLLOWED: list[tuple[dict[str, Any], str, str, Any, bool, str, int, str, float]] = [
    (LLAMA, "dpo", "qlora", "cuda", True, "beside", 1, "paged_adamw_8bit", 0.02),
    (LLAMA, "dpo", "full", "cuda", False, "precomputed", 2, "adamw_8bit", 0.01),
    (QWEN3, "kto", "full", "cuda", True, "beside", 1, "paged_adamw_8bit", 0.01),
    (QWEN3, "kto", "lora", "cpu", False, "beside", 1, "adamw_torch_fused", 0.01),
    (LLAMA, "orpo", "lora", "cuda", True, "beside", 1, "adamw_torch_fused", 0.02),
    (QWEN3, "orpo", "full", "cuda", False, "beside", 2, "adamw_8bit", 0.02),
    (LLAMA, "classify", "full", "cuda", True, "beside", 1, "adamw_torch_fused", 0.02),
    (QWEN3, "classify", "lora", "cpu", False, "beside", 1, "adamw_torch_fused", 0.02),
]


@pytest.mark.parametrize(
    ("config", "objective", "method", "device", "checkpointing", "reference", "accumulation", "optimizer", "error"),
    FOLLOWED,
)
def test_the_closed_form_follows_the_simulation(
    config: dict[str, Any], objective: str, method: str, device: Any, checkpointing: bool, reference: str,
    accumulation: int, optimizer: str, error: float,
) -> None:  # fmt: skip
    from engine.plan.simulator.request import Simulation

    shape = TrainingShape(
        method, 2, 256, 8, checkpointing, optimizer, "bf16" if device == "cuda" else "fp32", accumulation,
        objective=objective, reference=reference,
    )  # fmt: skip
    spec = spec_from_config(config, "built")
    found = run(Simulation(config, shape, device=device, padded=needs_mask(spec, shape)))
    memory = estimate_memory(spec, shape, device)
    assert memory.allocated_bytes == pytest.approx(found.live_bytes, rel=error)
    assert memory.exact == (objective in ("dpo", "kto"))


def test_the_job_simulates_the_objective_itself() -> None:
    settings: dict[str, Any] = {
        "method.name": "full", "method.rank": 8, "method.target_modules": ["all-linear"], "method.objective": "dpo",
        "training.micro_batch_size": 1, "training.sequence_length": 128, "training.gradient_checkpointing": True,
        "training.optimizer": "adamw_torch_fused", "training.precision": "bf16",
        "training.gradient_accumulation_steps": 1,
    }  # fmt: skip
    parts = {}
    for reference in ("beside", "precomputed"):
        request = {"config": LLAMA, "settings": settings | {"method.reference": reference}}
        parts[reference] = simulate_job(request, lambda _: None, iter(()))["memory"]["parts"]
    assert parts["beside"]["reference"] == parts["beside"]["weights"] and "reference" not in parts["precomputed"]
