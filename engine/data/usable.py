"""Which rows can be trained on: those that render and have something to learn. The rest is listed with reasons."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.dataset import Dataset, Skipped, count_kinds
from engine.data.examples import Example, RowProblem
from engine.data.preferences import render_objective
from engine.data.prepared import PreparedData
from engine.data.rendered import Rendered, text_pieces
from engine.errors import UserError
from engine.recipe import Recipe

BLOCKING_SHARE = 0.05
"""Above this share of rows with nothing to learn a run does not start: the data is not what the recipe thinks it is."""


def usable_rows(
    prepared: PreparedData, examples: Sequence[Example], limit: int, format_name: str = ""
) -> tuple[list[list[Rendered]], list[Example]]:
    """Rendered pieces of every row that has something to learn, and the rows they came from."""
    pieces: list[list[Rendered]] = []
    kept: list[Example] = []
    whole_texts = (format_name or prepared.format) == "text"
    results = render_objective(prepared.renderer, examples, None if whole_texts else limit, prepared.objective)
    for example, result in zip(examples, results, strict=True):
        if isinstance(result, RowProblem):
            prepared.skipped.append(Skipped(example.where, result.kind, str(result)))
            continue
        parts = text_pieces(result, limit) if whole_texts else [result]
        if not any(part.trained_tokens for part in parts):
            prepared.skipped.append(Skipped(example.where, "nothing to learn", _why_nothing(result)))
            continue
        prepared.truncated += result.truncated
        prepared.answers_cut += result.answer_truncated
        pieces.append(parts)
        kept.append(example)
    return pieces, kept


def _why_nothing(result: Rendered) -> str:
    return "Its answer begins behind the sequence length." if result.truncated else "No token of it is learned."


def unreadable_rows(dataset: Dataset) -> list[Skipped]:
    """What a source had to leave out before anything was rendered."""
    return [*dataset.skipped, *(Skipped(bad.where, "unreadable", bad.reason) for bad in dataset.report.bad_rows)]


def refuse_when_little_is_left(prepared: PreparedData, dataset: Dataset, recipe: Recipe) -> None:
    """UserError when more than a twentieth of the rows was lost, unless `data.skip_bad_rows` allows it."""
    lost = len(prepared.skipped)
    total = dataset.rows + dataset.report.bad_row_count
    if total and lost < total and (lost / total <= BLOCKING_SHARE or recipe.data.skip_bad_rows):
        return
    kind, number, first = count_kinds(prepared.skipped)[0]
    raise UserError(
        f"{lost} of {total} rows cannot be trained on. Most often ({number} times): {first.reason}",
        first.where,
        f"Raise training.sequence_length above {recipe.training.sequence_length}."
        if kind == "nothing to learn"
        else "Mend these rows, or say another format or other columns.",
    )
