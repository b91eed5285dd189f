"""What a training step is made of before anything is searched for, and why."""

from __future__ import annotations

from engine.plan import settings
from engine.plan.memory import TrainingShape
from engine.plan.settings import recommended
from engine.plan.situation import Situation
from engine.recipe import Answer
from engine.recipe_keys import Value

ACCUMULATION = "training.gradient_accumulation_steps"
WHY_ALL_LINEAR = "Adapters on all linear layers learn clearly better than on attention alone."


def starting_shape(here: Situation, method: str) -> tuple[TrainingShape, dict[str, Answer]]:
    """What does not depend on the search: length, rank, optimizer, precision, targets; with the answers that say
    why."""
    proposed = {
        "training.sequence_length": settings.sequence_length(here.spec, here.data),
        "method.rank": settings.rank(here.spec, here.data),
        "method.target_modules": recommended(["all-linear"], WHY_ALL_LINEAR),
        "training.precision": _precision(here, method),
        "training.optimizer": _optimizer(here, method),
    }
    answers = {key: here.pick(key, answer) for key, answer in proposed.items()}
    return _shape(here, method, {key: answer.value for key, answer in answers.items()}), answers


def _shape(here: Situation, method: str, value: dict[str, Value]) -> TrainingShape:
    """`value` and what the person set of the rest; micro-batch, accumulation and checkpointing are searched for."""
    micro, accumulation = here.chosen("training.micro_batch_size", 1), here.chosen(ACCUMULATION, 1)
    targets = value["method.target_modules"]
    assert isinstance(micro, int) and isinstance(accumulation, int) and isinstance(targets, list)
    return TrainingShape(
        method=method,
        micro_batch_size=micro,
        sequence_length=int(str(value["training.sequence_length"])),
        rank=int(str(value["method.rank"])),
        gradient_checkpointing=bool(here.chosen("training.gradient_checkpointing", True)),
        optimizer=str(value["training.optimizer"]),
        precision=str(value["training.precision"]),
        accumulation=accumulation,
        target_modules=tuple(targets),
        objective=str(here.objective.value),
        reference=str(here.chosen("method.reference", "beside")),
        layers=str(here.chosen("method.layers", "")),
        dora=bool(here.chosen("method.dora", False)),
        train_embeddings=bool(here.chosen("method.train_embeddings", False)),
        backend=str(here.chosen("method.backend", "trl")),
    )


def _precision(here: Situation, method: str) -> Answer:
    return settings.precision(here.spec, method, here.gpu is not None and here.gpu.supports_bf16, here.gpu is None)


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
