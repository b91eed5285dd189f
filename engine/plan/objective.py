"""Which objective suits the data, and the settings that belong to it, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.data.formats import FORMATS
from engine.plan.data_facts import DataFacts
from engine.plan.settings import recommended
from engine.recipe import Answer
from engine.recipe_keys import KEYS

if TYPE_CHECKING:
    from engine.plan.search import Candidate
    from engine.plan.situation import Situation

BETA = 0.1  # the papers of DPO, KTO and ORPO and TRL's defaults
EXPERT = {
    "method.layers": "All layers.", "method.dora": "Plain LoRA takes about half the time and learns nearly as much.",
    "method.rslora": "The usual scaling suits ranks up to 128.",
    "method.train_embeddings": "Only needed for new words or a new language.",
    "training.activation_offloading": "Activations stay on the device, which is faster.",
    "training.neftune_alpha": "No noise; what it gains depends on the data.",
    "evaluation.held_out_share": "A number of rows is held out.",
    "evaluation.patience": "The run goes to its end; the best checkpoint is kept.",
    "evaluation.general": "No text was given to measure what is forgotten.",
}  # fmt: skip
"""Keys of experts whose usual value stands, and why."""


def recommended_objective(data: DataFacts | None) -> Answer:
    """From the format of the rows: pairs are learned with DPO, judged answers with KTO, all else is written."""
    name = str(getattr(data, "format", "")) if data is not None else ""
    if name == "preference":
        return recommended("dpo", "Each row has a chosen and a rejected answer. orpo and sft (chosen only) are others.")
    if name == "kto":
        return recommended("kto", "Each answer is marked good or bad. sft would learn the good ones only.")
    title = FORMATS[name].title if name in FORMATS else ""
    return recommended("sft", f"Rows of {title} are learned by writing them." if title else "Answers are written.")


def objective_answers(here: Situation, method: str, best: Candidate) -> dict[str, Answer]:
    """Objective, beta, reference and weights, with their reasons."""
    shape = best.shape
    return {
        "method.objective": here.objective,
        "method.beta": here.pick("method.beta", recommended(BETA, "The value of the papers on DPO, KTO and ORPO.")),
        "method.reference": here.pick("method.reference", recommended(shape.reference, _why_reference(shape, method))),
        "method.desirable_weight": here.pick(
            "method.desirable_weight", recommended(0.0, "Good and bad rows count the same in sum.")
        ),
    }


def _why_reference(shape: object, method: str) -> str:
    objective, reference = getattr(shape, "objective", "sft"), getattr(shape, "reference", "beside")
    if objective not in ("dpo", "kto"):
        return "This objective needs no reference model."
    if reference == "precomputed":
        return "A second copy of the model would not fit, so its part is computed once before the first step."
    if method != "full":
        return "The reference is the base model with the adapter off, so it takes no memory of its own."
    return "A second copy of the model fits beside the trained one."


def expert_answers(here: Situation) -> dict[str, Answer]:
    """Settings that only a person changes, at their usual values."""
    return {name: here.pick(name, recommended(KEYS[name].default, why)) for name, why in EXPERT.items()}
