"""Rows that say which answer is better: what each objective reads, and how a pair or a judged answer is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from engine.data.examples import Example, RowProblem
from engine.data.render import Renderer
from engine.data.rendered import Rendered
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


def render_objective(
    renderer: Renderer, examples: Sequence[Example], limit: int | None, objective: str
) -> list[Rendered | RowProblem]:
    """The rows as this objective learns them, in order: pairs for dpo and orpo, judged answers for kto."""
    if objective == "kto":
        return _render_judged(renderer, examples, limit)
    if objective in ("dpo", "orpo"):
        return _render_pairs(renderer, examples, limit)
    return renderer.render_many(examples, limit)


def rejected_example(example: Example) -> Example:
    """The same question with the rejected answer in the place of the chosen one."""
    asked = takewhile(lambda turn: not turn.trained, example.turns)
    return replace(example, turns=(*asked, *example.rejected), rejected=())


def judged_example(example: Example) -> Example:
    """The row up to its last answer, of which only that one is judged."""
    asked = example.prompt_turns
    answer = example.turns[len(asked)]
    return replace(example, turns=(*(replace(turn, trained=False) for turn in asked), answer))


def _render_pairs(renderer: Renderer, examples: Sequence[Example], limit: int | None) -> list[Rendered | RowProblem]:
    chosen = renderer.render_many(examples, limit)
    rejected = renderer.render_many([rejected_example(example) for example in examples], limit)
    return [_pair(one, other) for one, other in zip(chosen, rejected, strict=True)]


def _pair(chosen: Rendered | RowProblem, rejected: Rendered | RowProblem) -> Rendered | RowProblem:
    if isinstance(chosen, RowProblem) or isinstance(rejected, RowProblem):
        return chosen if isinstance(chosen, RowProblem) else rejected
    if not (chosen.trained_tokens and rejected.trained_tokens):
        return RowProblem("nothing to learn", "An answer begins behind the sequence length.")
    if chosen.input_ids == rejected.input_ids:
        return RowProblem("no difference", "Up to the sequence length both answers are the same.")
    return replace(
        chosen, rejected=rejected, truncated=chosen.truncated or rejected.truncated,
        answer_truncated=chosen.answer_truncated or rejected.answer_truncated,
    )  # fmt: skip


def _render_judged(renderer: Renderer, examples: Sequence[Example], limit: int | None) -> list[Rendered | RowProblem]:
    rows = renderer.render_many([judged_example(example) for example in examples], limit)
    return [
        row if isinstance(row, RowProblem) else replace(row, good=example.label != "false")
        for row, example in zip(rows, examples, strict=True)
    ]
