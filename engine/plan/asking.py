"""What to ask the job "simulate" for one method of a plan; light, so that the terminal side can ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.plan.memory import CONTEXT_BYTES
from engine.plan.plan import MethodPlan

NEEDED_RAM_BYTES = 3 << 30
"""A simulation holds up to 1.5 GB with its libraries; with less than twice that free it would press on the rest."""


def simulation_request(machine: Machine, model: ModelFiles, method: MethodPlan) -> dict[str, Any]:
    """The request that simulates `method` with its settings on the best GPU of `machine`, or on its processor."""
    gpu = machine.best_gpu
    request: dict[str, Any] = {
        "model": str(config_folder(model)),
        "settings": {key: answer.value for key, answer in method.answers.items()},
        "device": "cuda" if gpu else "cpu",
    }
    if gpu is not None:
        request["capability"] = list(gpu.compute_capability or (8, 0))
        request["context_bytes"] = method.memory.parts.get("context", CONTEXT_BYTES)
    return request


def config_folder(model: ModelFiles) -> Path | str:
    """Where the model's config.json is; its name when nothing of it is on this machine."""
    if model.directory is not None and not model.is_adapter:
        return model.directory
    if model.tokenizer_path is not None and (model.tokenizer_path.parent / "config.json").is_file():
        return model.tokenizer_path.parent
    return model.adapter_base or model.source


def why_not_simulated(machine: Machine) -> str:
    """Why no simulation is worth starting on this machine, "" when one is."""
    from engine.machine.packages import missing_training_packages

    gpu = machine.best_gpu
    if gpu is not None and gpu.kind == "mps":
        return "The simulation replays the allocator of CUDA, which this GPU does not use."
    if machine.host.ram_available_bytes < NEEDED_RAM_BYTES:
        return "A simulation needs about 1.5 GiB of RAM, and too little is free now."
    missing = missing_training_packages()
    return f"A simulation needs packages that are not installed: {', '.join(missing)}." if missing else ""
