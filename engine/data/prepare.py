"""The data of a run: what is trained, what is held out, what was left out, and a fingerprint of it all."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.data.counted import count_rows
from engine.data.dataset import Dataset, Skipped, count_kinds, load_dataset
from engine.data.examples import Example, RowProblem
from engine.data.general_text import FORGETTING, general_text
from engine.data.mixing import MoreData, all_weighted, parse_more
from engine.data.preferences import refuse_contradictions, refuse_unfit, render_objective
from engine.data.render import Rendered, Renderer, text_pieces, writes_date
from engine.data.rows import ReadOptions, json_text
from engine.data.split import split_rows
from engine.errors import UserError
from engine.recipe import Recipe

BLOCKING_SHARE = 0.05
"""Above this share of rows with nothing to learn a run does not start: the data is not what the recipe thinks it is."""


@dataclass
class PreparedData:
    """What training uses. `train` and `held_out` are in file order; a long text row may give several pieces.

    `held_out_examples` are the rows behind `held_out`, with their expected answers (`Example.expected`).
    `fingerprint` changes when any token, label or the split changes. `truncated` and `answers_cut` count training and
    held-out rows that lost something to the sequence length. `renderer` is open; the owner closes it.
    """

    renderer: Renderer
    format: str
    map: dict[str, str]
    objective: str = "sft"
    train: list[Rendered] = field(default_factory=list)
    held_out: list[Rendered] = field(default_factory=list)
    train_examples: list[Example] = field(default_factory=list)
    held_out_examples: list[Example] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows_read: int = 0
    general: list[Rendered] = field(default_factory=list)
    truncated: int = 0
    answers_cut: int = 0
    fingerprint: str = ""

    @property
    def trained_tokens(self) -> int:
        """Tokens learned in one epoch."""
        return sum(row.trained_tokens for row in self.train)


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


def good_examples(prepared: PreparedData) -> list[Example]:
    """Held-out rows whose answer is one to be written: without those that a kto file marks as bad."""
    return [one for one in prepared.held_out_examples if not (prepared.format == "kto" and one.label == "false")]


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


def _fill(prepared: PreparedData, dataset: Dataset, recipe: Recipe) -> None:
    limit = recipe.training.sequence_length
    prepared.skipped = _listed(dataset)
    pieces, examples = _render(prepared, _wanted(dataset, recipe), limit)
    _refuse_when_little_is_left(prepared, dataset, recipe)
    prepared.notes = [*dataset.report.notes]
    parts = [(1.0, range(len(examples)))]
    for more in parse_more(recipe.data.more):
        first = len(examples)
        _add_more(prepared, recipe, more, pieces, examples)
        parts.append((more.weight, range(first, len(examples))))
    if recipe.data.validation:
        train: list[int] = list(range(len(examples)))
        held_out: list[int] = []
        _fill_validation(prepared, recipe, {row_key(example) for example in examples})
    else:
        train, held_out = split_examples(examples, _wanted_held_out(recipe, len(examples)), recipe.training.seed)
        prepared.held_out_examples = [examples[index] for index in held_out]
        prepared.held_out = [piece for index in held_out for piece in pieces[index]]
    if recipe.data.more:
        train = all_weighted(train, parts, recipe.training.seed)
    prepared.train_examples = [examples[index] for index in train]
    prepared.train = [piece for index in train for piece in pieces[index]]
    prepared.fingerprint = fingerprint(prepared.train, prepared.held_out)
    prepared.general = general_text(prepared.renderer, recipe)
    prepared.notes += _notes(prepared)
    if prepared.format == "text" and not prepared.general:
        prepared.notes.append(FORGETTING)


def _wanted(dataset: Dataset, recipe: Recipe) -> Sequence[Example]:
    """The rows that `data.max_rows` leaves."""
    return dataset.examples[: recipe.data.max_rows or None]


def _wanted_held_out(recipe: Recipe, rows: int) -> int:
    """Rows to hold out: their number, or at least one where it is a share."""
    part = recipe.evaluation
    return part.held_out_rows or (max(1, round(part.held_out_share * rows)) if part.held_out_share else 0)


def _add_more(
    prepared: PreparedData, recipe: Recipe, more: MoreData, pieces: list[list[Rendered]], examples: list[Example]
) -> None:
    """Append the rows of one more source. Raises UserError when it cannot be read or serves another objective."""
    options = replace(options_of(recipe), split=recipe.data.split, config="", revision="")
    dataset = load_dataset(more.source, options=options, keep_bad=prepared.objective == "kto")
    refuse_unfit(prepared.objective, dataset.format, more.source)
    skipped, prepared.skipped = prepared.skipped, _listed(dataset)
    wanted = _wanted(dataset, recipe)
    found, kept = _render(prepared, wanted, recipe.training.sequence_length, dataset.format)
    _refuse_when_little_is_left(prepared, dataset, recipe)
    prepared.skipped = [*skipped, *prepared.skipped]
    prepared.rows_read += dataset.rows
    prepared.notes += dataset.report.notes
    prepared.notes.append(f"{count_rows(len(kept))} of {more.source} are added, used {more.weight:g} times in a pass.")
    pieces += found
    examples += kept


def _listed(dataset: Dataset) -> list[Skipped]:
    return [*dataset.skipped, *(Skipped(bad.where, "unreadable", bad.reason) for bad in dataset.report.bad_rows)]


def _fill_validation(prepared: PreparedData, recipe: Recipe, trained: set[str]) -> None:
    """Rows of the validation file, at most `evaluation.held_out_rows` of them when that is set."""
    data = recipe.data
    options = replace(options_of(recipe), split="")
    keep_bad = prepared.objective == "kto"
    dataset = load_dataset(data.validation, prepared.format, prepared.map, options=options, keep_bad=keep_bad)
    prepared.skipped += _listed(dataset)
    prepared.notes += dataset.report.notes
    wanted = recipe.evaluation.held_out_rows or len(dataset.examples)
    pieces, examples = _render(prepared, dataset.examples[:wanted], recipe.training.sequence_length)
    if not examples:
        raise UserError(
            "No row of the validation file can be used.", data.validation, "Give a file in the format of the data."
        )
    leaks = [example for example in examples if row_key(example) in trained]
    if leaks:
        count = f"{len(leaks)} of {len(examples)} rows of the validation file are also trained on"
        prepared.notes.append(f"{count}, the first at {leaks[0].where}; the evaluation will look better than it is.")
    prepared.held_out_examples = examples
    prepared.held_out = [piece for parts in pieces for piece in parts]


def _render(
    prepared: PreparedData, examples: Sequence[Example], limit: int, format_name: str = ""
) -> tuple[list[list[Rendered]], list[Example]]:
    """Rendered pieces of every row that has something to learn, and the rows they came from."""
    pieces: list[list[Rendered]] = []
    kept: list[Example] = []
    whole_texts = (format_name or prepared.format) == "text"
    shown = None if whole_texts else limit
    for example, result in zip(
        examples, render_objective(prepared.renderer, examples, shown, prepared.objective), strict=True
    ):
        if isinstance(result, RowProblem):
            prepared.skipped.append(Skipped(example.where, result.kind, str(result)))
            continue
        parts = text_pieces(result, limit) if whole_texts else [result]
        if not any(part.trained_tokens for part in parts):
            reason = (
                "Its answer begins behind the sequence length." if result.truncated else "No token of it is learned."
            )
            prepared.skipped.append(Skipped(example.where, "nothing to learn", reason))
            continue
        prepared.truncated += result.truncated
        prepared.answers_cut += result.answer_truncated
        pieces.append(parts)
        kept.append(example)
    return pieces, kept


def _refuse_when_little_is_left(prepared: PreparedData, dataset: Dataset, recipe: Recipe) -> None:
    lost = len(prepared.skipped)
    total = dataset.rows + dataset.report.bad_row_count
    if total and lost < total and (lost / total <= BLOCKING_SHARE or options_of(recipe).skip_bad_rows):
        return
    kind, number, first = count_kinds(prepared.skipped)[0]
    raise UserError(
        f"{lost} of {total} rows cannot be trained on. Most often ({number} times): {first.reason}",
        first.where,
        f"Raise training.sequence_length above {recipe.training.sequence_length}."
        if kind == "nothing to learn"
        else "Mend these rows, or say another format or other columns.",
    )


def split_examples(examples: Sequence[Example], held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """Split with equal rows on one side and, for classes, every class on both sides in its share."""
    twins = [row_key(example) for example in examples]
    classes = [example.label for example in examples]
    return split_rows(len(examples), held_out, seed, twins=twins, classes=classes if any(classes) else None)


def row_key(example: Example) -> str:
    """A digest that is equal for rows with the same turns."""
    turns = [[turn.role, turn.content, dict(turn.extra)] for turn in (*example.turns, *example.rejected)]
    return hashlib.sha256(json_text(turns).encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(train: Iterable[Rendered], held_out: Iterable[Rendered]) -> str:
    """sha256 over all token ids and labels in order. A resumed run compares it and refuses data that changed."""
    digest = hashlib.sha256(b"tunewright data 1")
    for name, rows in ((b"train", train), (b"held out", held_out)):
        digest.update(name)
        for row in rows:
            _add_row(digest, row)
    return digest.hexdigest()


def _add_row(digest: hashlib._Hash, row: Rendered) -> None:
    for numbers in (row.input_ids, row.labels):
        digest.update(len(numbers).to_bytes(4, "little"))
        digest.update(array("q", numbers).tobytes())
    if row.rejected is not None:
        _add_row(digest, row.rejected)
    if not row.good:
        digest.update(b"bad")


def _notes(prepared: PreparedData) -> list[str]:
    """What a person should read before the run starts, as whole sentences."""
    notes: list[str] = []
    notes += filter(None, (prepared.renderer.note, writes_date(prepared.renderer)))
    for kind, number, first in count_kinds(prepared.skipped):
        notes.append(f"{count_rows(number, 'is', 'are')} left out ({kind}), the first at {first.where}: {first.reason}")
    if prepared.truncated:
        cut = f"{count_rows(prepared.truncated, 'is', 'are')} longer than the sequence length and cut"
        notes.append(f"{cut}; in {prepared.answers_cut} of them the answer loses its end.")
    merged = sum(row.merged_start for row in (*prepared.train, *prepared.held_out))
    if merged:
        where = count_rows(merged)
        notes.append(f"In {where} the answer begins inside a token of the prompt; that token is not learned.")
    return notes
