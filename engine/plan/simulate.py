"""The job "simulate": follow one training step of the real model class on fake tensors, and say what it needs.

Takes seconds, needs the training packages, no GPU and no weights.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.emit import Emit
from engine.errors import UserError
from engine.models.find import find_model
from engine.models.spec import ModelSpec, spec_from_config
from engine.models.tokenizer_files import read_json
from engine.plan import unsloth
from engine.plan.extras import has_extras, with_extras, without_extras
from engine.plan.memory import CONTEXT_BYTES, Memory, TrainingShape, memory_dict, needs_mask
from engine.plan.preference import with_odds_slack

if TYPE_CHECKING:
    from engine.plan.simulator.request import Simulated, Simulation


SETTINGS: dict[str, str] = {
    "method.name": "method",
    "method.rank": "rank",
    "method.target_modules": "target_modules",
    "training.micro_batch_size": "micro_batch_size",
    "training.sequence_length": "sequence_length",
    "training.gradient_checkpointing": "gradient_checkpointing",
    "training.optimizer": "optimizer",
    "training.precision": "precision",
    "training.gradient_accumulation_steps": "accumulation",
}
LATER_SETTINGS: dict[str, str] = {
    "method.objective": "objective", "method.reference": "reference", "method.layers": "layers", "method.dora": "dora",
    "method.train_embeddings": "train_embeddings", "method.backend": "backend",
}  # fmt: skip
"""Those that a plan of an older version does not name; they have usual values."""
"""Recipe key -> field of TrainingShape."""


def simulate_job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Answer {"model": source | "config": {...}, "settings": {recipe key: value}, "device": "cuda" | "cpu",
    "capability": [8, 0], "context_bytes": n} with {"memory": {...} as in a plan, "model": counts, "seconds": s}.

    UserError for an unknown model, missing settings, or a model that this transformers cannot build.
    """
    config, where = _config(request)
    spec = spec_from_config(config, where)
    shape = shape_of(request.get("settings") or {})
    simulation = _request(config, spec, without_extras(shape) if has_extras(shape) else shape, request)
    emit({"progress": {"phase": "loading torch", "detail": "torch, transformers, peft and trl"}})
    found = run(simulation, lambda phase: emit({"progress": {"phase": "simulating", "detail": phase}}))
    context = 0 if simulation.device == "cpu" else int(request.get("context_bytes", CONTEXT_BYTES))
    memory = simulated_memory(found, context)
    if shape.objective == "orpo":
        memory = with_odds_slack(memory, simulation.device)
    if has_extras(shape):
        memory = with_extras(memory, spec, shape, simulation.device)
    if shape.backend == "unsloth":  # its own kernels cannot be followed here
        memory = unsloth.corrected(memory, spec, shape)
    return {
        "memory": memory_dict(memory),
        "model": {"parameters": found.parameters, "trainable_parameters": found.trainable_parameters},
        "allocator_reserved_bytes": found.reserved_bytes,
        "load_peak_bytes": found.load_peak_bytes,
        "operations": found.operations,
        "seconds": round(found.seconds, 2),
    }


def shape_of(settings: Mapping[str, Any]) -> TrainingShape:
    """The shape that a recipe's settings describe. UserError when one of them is missing."""
    missing = [key for key in SETTINGS if key not in settings]
    if missing:
        raise UserError(f"The simulation needs {', '.join(missing)}.", "settings", "Send the settings of a plan.")
    known = SETTINGS | {key: field for key, field in LATER_SETTINGS.items() if key in settings}
    fields = {field: settings[key] for key, field in known.items()}
    return TrainingShape(**fields | {"target_modules": tuple(fields["target_modules"])})


def run(simulation: Simulation, say: Callable[[str], None] = lambda phase: None) -> Simulated:
    """Simulate; a model without SDPA attention is simulated with eager attention. UserError when it cannot be built."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("BITSANDBYTES_NOWELCOME", "1")
    warnings.filterwarnings("ignore", module="(torch|peft|transformers|bitsandbytes)")
    from engine.machine.packages import require_training_packages

    require_training_packages()
    from engine.plan.simulator.step import simulate

    try:
        return simulate(simulation, say)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error) or simulation.attention == "eager":
            raise _impossible(simulation, error) from error
        return run(replace(simulation, attention="eager"), say)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError, KeyError) as error:
        raise _impossible(simulation, error) from error


def simulated_memory(found: Simulated, context_bytes: int) -> Memory:
    """A simulation as the memory of a plan. What must be there is the least that the allocator can live with: training
    runs with expandable segments, which come nearer to it than the allocator's usual way."""
    reserved = max(found.allocated_bytes, found.least_capacity_bytes)
    parts = dict(found.parts) | {"allocator": reserved - sum(found.parts.values())}
    if context_bytes:
        parts["context"] = context_bytes
    parts = {name: size for name, size in parts.items() if size > 0}
    return Memory(
        "simulation", found.allocated_bytes, reserved, reserved + context_bytes, parts, found.moment, exact=True
    )


def _config(request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    if isinstance(request.get("config"), Mapping):
        return dict(request["config"]), "config"
    source = str(request.get("model") or "")
    folder = Path(source).expanduser()
    if not (folder / "config.json").is_file():
        found = find_model(source, str(request.get("revision") or ""))
        assert found.tokenizer_path is not None, "a found model has a tokenizer"
        folder = found.tokenizer_path.parent
    return read_json(folder / "config.json"), str(folder / "config.json")


def _request(config: dict[str, Any], spec: ModelSpec, shape: TrainingShape, request: Mapping[str, Any]) -> Simulation:
    from engine.plan.simulator.request import Simulation

    capability = tuple(int(part) for part in request.get("capability") or (8, 0))
    return Simulation(
        config,
        shape,
        device="cpu" if request.get("device") == "cpu" else "cuda",
        capability=(capability[0], capability[1]),
        padded=needs_mask(spec, shape),
    )


def _impossible(simulation: Simulation, error: Exception) -> UserError:
    kind = simulation.config.get("model_type")
    return UserError(
        f'A step of a "{kind}" model could not be simulated: {type(error).__name__}: {str(error)[:300]}',
        "simulation",
        "The estimate stands; the rehearsal before training measures the real need.",
        exit_code=1,
    )
