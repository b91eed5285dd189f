"""What each objective reads, and the settings that it cannot honour: said before anything is loaded."""

from __future__ import annotations

from engine.errors import UserError
from engine.recipe import Recipe

FORMAT_OF = {"dpo": "preference", "orpo": "preference", "kto": "kto", "classify": "classification"}
"""The format that an objective needs; supervised fine-tuning reads every one."""
OBJECTIVE_OF = {"preference": "dpo", "kto": "kto"}
"""What is recommended for a format; for every other it is supervised fine-tuning."""
TITLES = {"sft": "supervised fine-tuning (SFT)", "dpo": "DPO", "kto": "KTO", "orpo": "ORPO (experimental)",
          "classify": "classification"}  # fmt: skip


def refuse_unfit(objective: str, format_name: str, where: str = "method.objective") -> None:
    """UserError when rows in this format do not say what the objective needs."""
    needed = FORMAT_OF.get(objective, format_name)
    if needed == format_name:
        return
    what = f"{TITLES[objective]} needs rows in the format {needed}, and these are read as {format_name}."
    better = OBJECTIVE_OF.get(format_name, "sft")
    raise UserError(what, where, f"Use --set method.objective={better}, or name the right format and columns.")


def refuse_contradictions(recipe: Recipe) -> None:
    """UserError for settings that an objective cannot honour, before anything is loaded."""
    method, training = recipe.method, recipe.training
    if method.objective == "sft":
        return
    if method.objective == "orpo" and recipe.evaluation.general:
        what = "With ORPO no general text is measured: its trainer has no loss of plain text."
        raise UserError(what, "evaluation.general", "Leave it empty, or use DPO.")
    if method.objective == "classify":
        _refuse_for_classes(recipe)
        return
    title = TITLES[method.objective]
    if training.packing:
        fix = "Set training.packing=false."
        raise UserError(f"{title} compares whole rows, so they cannot be packed.", "training.packing", fix)
    if method.objective in {"dpo", "kto"} and training.neftune_alpha:
        what = f"{title} compares with a reference, which noise on the embeddings would disturb as well."
        raise UserError(what, "training.neftune_alpha", "Set training.neftune_alpha=0.")
    if method.objective == "kto" and training.micro_batch_size < 2:
        what = "KTO compares each answer with another of its micro-batch, so one row at a time is too few."
        raise UserError(what, "training.micro_batch_size", "Use at least 2 rows, and half the gradient accumulation.")


def _refuse_for_classes(recipe: Recipe) -> None:
    method, training, fix = recipe.method, recipe.training, "Leave it at its default, or use the objective sft."
    wrong = {"training.packing": training.packing, "method.train_embeddings": method.train_embeddings,
             "evaluation.general": bool(recipe.evaluation.general), "method.layers": bool(method.layers),
             "method.backend": method.backend != "trl", "data.more": bool(recipe.data.more)}  # fmt: skip
    for key, is_set in wrong.items():
        if is_set:
            raise UserError(f"A classification head is trained without {key}.", key, fix)
