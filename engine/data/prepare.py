"""From the recipe to the rows that are trained on and held out: read, rendered, cut and split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.data.counted import count_rows
from engine.data.dataset import Dataset, load_dataset
from engine.data.examples import Example
from engine.data.fingerprint import fingerprint, row_key
from engine.data.general_text import FORGETTING, general_text
from engine.data.mixing import MoreData, all_weighted, parse_more
from engine.data.objectives import refuse_contradictions, refuse_unfit
from engine.data.prepared import PreparedData, notes_of
from engine.data.render import Renderer
from engine.data.rendered import Rendered
from engine.data.rows import ReadOptions
from engine.data.split import split_examples
from engine.data.usable import refuse_when_little_is_left, unreadable_rows, usable_rows
from engine.errors import UserError
from engine.recipe import Recipe


def load_examples(
    recipe: Recipe, model_directory: Path, *, template_text: str = "", progress: Callable[[int], None] | None = None
) -> PreparedData:
    """Read, render, cut and split the data of a recipe.

    Rows that cannot be used are listed in `skipped`, never dropped in silence. Raises UserError when the file cannot be
    read, when no format fits, and when more than a twentieth of the rows has nothing to learn.
    """
    data = recipe.data
    refuse_contradictions(recipe)
    objective = recipe.method.objective
    dataset = load_dataset(
        data.source, data.format, dict(data.map), options=options_of(recipe), keep_bad=objective == "kto",
        progress=progress,
    )  # fmt: skip
    refuse_unfit(objective, dataset.format, data.source)
    renderer = Renderer.load(model_directory, data.template, template_text=template_text)
    columns = dict(dataset.detected.map)
    prepared = PreparedData(renderer, dataset.format, columns, objective=objective, rows_read=dataset.rows)
    try:
        _fill(prepared, dataset, recipe)
    except BaseException:
        renderer.close()
        raise
    return prepared


def options_of(recipe: Recipe) -> ReadOptions:
    """How a recipe says that its file is to be read. `data.split` counts where a source has parts."""
    data = recipe.data
    return ReadOptions(
        encoding=data.encoding,
        split=data.split,
        config=data.config,
        revision=data.revision,
        skip_bad_rows=data.skip_bad_rows,
    )


@dataclass
class _Rows:
    """The rows of all sources one after another, with the rendered pieces of each, and which belong to which source."""

    examples: list[Example] = field(default_factory=list)
    pieces: list[list[Rendered]] = field(default_factory=list)
    parts: list[tuple[float, range]] = field(default_factory=list)
    """The weight of each source and the numbers of its rows."""

    def add(self, rendered: tuple[list[list[Rendered]], list[Example]], weight: float) -> None:
        pieces, examples = rendered
        self.parts.append((weight, range(len(self.examples), len(self.examples) + len(examples))))
        self.pieces += pieces
        self.examples += examples


def _fill(prepared: PreparedData, dataset: Dataset, recipe: Recipe) -> None:
    rows = _Rows()
    prepared.skipped = unreadable_rows(dataset)
    rows.add(usable_rows(prepared, _wanted(dataset, recipe), recipe.training.sequence_length), 1.0)
    refuse_when_little_is_left(prepared, dataset, recipe)
    prepared.notes = [*dataset.report.notes]
    for more in parse_more(recipe.data.more):
        rows.add(_read_more(prepared, recipe, more), more.weight)
    train = _hold_out(prepared, recipe, rows)
    if recipe.data.more:
        train = all_weighted(train, rows.parts, recipe.training.seed)
    prepared.train_examples = [rows.examples[index] for index in train]
    prepared.train = [piece for index in train for piece in rows.pieces[index]]
    prepared.fingerprint = fingerprint(prepared.train, prepared.held_out)
    prepared.general = general_text(prepared.renderer, recipe)
    prepared.notes += notes_of(prepared)
    if prepared.format == "text" and not prepared.general:
        prepared.notes.append(FORGETTING)


def _hold_out(prepared: PreparedData, recipe: Recipe, rows: _Rows) -> list[int]:
    """Fill in what is held out; returns the numbers of the rows that are left to train on."""
    if recipe.data.validation:
        _fill_validation(prepared, recipe, {row_key(example) for example in rows.examples})
        return list(range(len(rows.examples)))
    wanted = _wanted_held_out(recipe, len(rows.examples))
    train, held_out = split_examples(rows.examples, wanted, recipe.training.seed)
    prepared.held_out_examples = [rows.examples[index] for index in held_out]
    prepared.held_out = [piece for index in held_out for piece in rows.pieces[index]]
    return train


def _wanted(dataset: Dataset, recipe: Recipe) -> Sequence[Example]:
    """The rows that `data.max_rows` leaves."""
    return dataset.examples[: recipe.data.max_rows or None]


def _wanted_held_out(recipe: Recipe, rows: int) -> int:
    """Rows to hold out: their number, or at least one where it is a share."""
    part = recipe.evaluation
    return part.held_out_rows or (max(1, round(part.held_out_share * rows)) if part.held_out_share else 0)


def _read_more(prepared: PreparedData, recipe: Recipe, more: MoreData) -> tuple[list[list[Rendered]], list[Example]]:
    """The rows of one more source. Raises UserError when it cannot be read or serves another objective."""
    options = replace(options_of(recipe), split=recipe.data.split, config="", revision="")
    dataset = load_dataset(more.source, options=options, keep_bad=prepared.objective == "kto")
    refuse_unfit(prepared.objective, dataset.format, more.source)
    skipped, prepared.skipped = prepared.skipped, unreadable_rows(dataset)
    wanted = _wanted(dataset, recipe)
    found, kept = usable_rows(prepared, wanted, recipe.training.sequence_length, dataset.format)
    refuse_when_little_is_left(prepared, dataset, recipe)
    prepared.skipped = [*skipped, *prepared.skipped]
    prepared.rows_read += dataset.rows
    prepared.notes += dataset.report.notes
    prepared.notes.append(f"{count_rows(len(kept))} of {more.source} are added, used {more.weight:g} times in a pass.")
    return found, kept


def _fill_validation(prepared: PreparedData, recipe: Recipe, trained: set[str]) -> None:
    """Rows of the validation file, at most `evaluation.held_out_rows` of them when that is set."""
    source = recipe.data.validation
    options = replace(options_of(recipe), split="")
    keep_bad = prepared.objective == "kto"
    dataset = load_dataset(source, prepared.format, prepared.map, options=options, keep_bad=keep_bad)
    prepared.skipped += unreadable_rows(dataset)
    prepared.notes += dataset.report.notes
    wanted = recipe.evaluation.held_out_rows or len(dataset.examples)
    pieces, examples = usable_rows(prepared, dataset.examples[:wanted], recipe.training.sequence_length)
    if not examples:
        fix = "Give a file in the format of the data."
        raise UserError("No row of the validation file can be used.", source, fix)
    _note_leaks(prepared, examples, trained)
    prepared.held_out_examples = examples
    prepared.held_out = [piece for parts in pieces for piece in parts]


def _note_leaks(prepared: PreparedData, examples: list[Example], trained: set[str]) -> None:
    leaks = [example for example in examples if row_key(example) in trained]
    if leaks:
        count = f"{len(leaks)} of {len(examples)} rows of the validation file are also trained on"
        prepared.notes.append(f"{count}, the first at {leaks[0].where}; the evaluation will look better than it is.")
