"""A data source as examples: read, recognised, converted, with everything that was left out listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from engine.data.column_types import ColumnTypes
from engine.data.detect import DetectedFormat, detect_format
from engine.data.examples import Example, RowProblem
from engine.data.formats import FORMATS, to_example
from engine.data.labelled_lines import labels_of
from engine.data.rows import ReadOptions, ReadReport, Row, snippet
from engine.data.sampling import Sampler
from engine.data.sources import open_rows
from engine.errors import UserError

SAMPLE_ROWS = 1000
"""Rows that detection looks at."""


@dataclass(frozen=True)
class Skipped:
    """A row that is not trained on: where it stands, the kind of problem, the reason in a sentence."""

    where: str
    kind: str
    reason: str


@dataclass
class Dataset:
    """`examples` are the usable rows in file order, or a sample of them; `rows` and `usable` count all.

    `skipped` lists faulty rows (the first ten thousand when only a sample is kept, all else; `skipped_counts` counts
    all). `left_out` counts rows that are left out on purpose: answers that the data itself calls bad. `labels` counts
    classes, `types` the kinds of value in each column.
    """

    source: str
    detected: DetectedFormat
    examples: list[Example] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    skipped_counts: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    usable: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    complete: bool = True
    report: ReadReport = field(default_factory=ReadReport)
    keep_bad: bool = False
    types: ColumnTypes = field(default_factory=ColumnTypes)

    @property
    def format(self) -> str:
        """The format in use."""
        return self.detected.name


def load_dataset(
    source: str,
    format_name: str = "auto",
    columns: Mapping[str, str] | None = None,
    *,
    options: ReadOptions | None = None,
    limit: int | None = None,
    keep: int | None = None,
    keep_bad: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Read `source` whole (or `limit` rows of it) into examples; with `keep`, only a sample of so many stays in memory.

    `format_name` "auto" recognises the format; `columns` (role -> column) is what a person said and comes first.
    `keep_bad` keeps answers that the data itself calls bad, for an objective that learns from them.
    Raises UserError when nothing can be read, when no format fits, or when a mapped column does not exist.
    """
    report = ReadReport()
    rows = open_rows(source, options or ReadOptions(), report, limit)
    sample = list(islice(rows, SAMPLE_ROWS))
    if not sample:
        raise UserError("There are no rows.", source, "Give data with at least one row.")
    detected = choose_format(sample, format_name, columns or {}, source)
    dataset = Dataset(source, detected, report=report, keep_bad=keep_bad)
    sampler = Sampler(keep)
    for row in chain(sample, rows):
        dataset.rows += 1
        _take(dataset, row, sampler)
        if progress and dataset.rows % 1000 == 0:
            progress(dataset.rows)
    dataset.examples = sampler.kept()
    dataset.complete = limit is None or dataset.rows < limit
    if dataset.left_out:
        report.note(f"{dataset.left_out} rows have an answer that is labelled as bad; they are not trained on.")
    return dataset


KEPT_SKIPPED = 10_000


def _take(dataset: Dataset, row: Row, sampler: Sampler) -> None:
    dataset.types.see(row)
    try:
        example = to_example(row, dataset.detected.name, dataset.detected.map)
    except RowProblem as problem:
        dataset.skipped_counts[problem.kind] += 1
        if sampler.limit is None or len(dataset.skipped) < KEPT_SKIPPED:
            dataset.skipped.append(Skipped(row.where, problem.kind, str(problem)))
        return
    if example.label and (example.label in dataset.labels or len(dataset.labels) < KEPT_SKIPPED):
        dataset.labels[example.label] += 1
    if dataset.format == "kto" and example.label == "false" and not dataset.keep_bad:
        dataset.left_out += 1
        return
    dataset.usable += 1
    sampler.add(example)


def choose_format(sample: list[Row], format_name: str, columns: Mapping[str, str], source: str) -> DetectedFormat:
    """The format a person named, completed from the data, or the recognised one. UserError when neither works."""
    detected = detect_format(sample)
    if format_name in {"", "auto"} and not columns:
        if not detected.name:
            raise UserError(
                detected.reason,
                source,
                "Say the format and the columns: --set data.format=... --set data.map.prompt=...",
            )
        return detected
    name = format_name if format_name not in {"", "auto"} else detected.name or _format_for(columns)
    if name not in FORMATS:
        raise UserError(f"There is no format called {snippet(name, 40)}.", source, f"Use one of: {', '.join(FORMATS)}.")
    chosen = detected.map if name == detected.name else _by_role_names(name, detected.columns)
    merged = {role: column for role, column in {**chosen, **columns}.items() if column}
    if name == "classification" and "label" not in merged and _begins_with_label(sample, merged.get("text", "")):
        merged["label"] = merged["text"]  # the first word of the column is the class
    _check_map(name, merged, detected, source)
    reason = "You said so." if name != detected.name or columns else detected.reason
    return DetectedFormat(name, merged, 1.0, reason, detected.columns, detected.schemas)


def _begins_with_label(sample: Iterable[Row], column: str) -> bool:
    lines = [row.fields.get(column) for row in sample]
    # the file may be sorted by class, so that its first rows have only one
    return bool(labels_of([line for line in lines if isinstance(line, str)], fewest=1))


def _format_for(columns: Mapping[str, str]) -> str:
    """The format whose required roles are the ones that were mapped."""
    fitting = [entry.name for entry in FORMATS.values() if set(entry.required) <= set(columns)]
    return fitting[0] if fitting else ""


def _by_role_names(name: str, columns: Iterable[str]) -> dict[str, str]:
    from engine.data.aliases import find_column

    found: dict[str, str] = {}
    for role in (*FORMATS[name].required, *FORMATS[name].optional):
        listed = "kto_label" if name == "kto" and role == "label" else role
        column = find_column(listed, columns, found.values())
        if column:
            found[role] = column
    return found


def _check_map(name: str, columns: Mapping[str, str], detected: DetectedFormat, source: str) -> None:
    known = (*FORMATS[name].required, *FORMATS[name].optional)
    names = ", ".join(snippet(column, 40) for column in detected.columns[:20])
    for role, column in columns.items():
        if role not in known:
            raise UserError(
                f"The format {name} has no role {snippet(role, 40)}.",
                f"{source}: data.map",
                f"Its roles are: {', '.join(known)}.",
            )
        if column not in detected.columns:
            raise UserError(
                f'There is no column "{snippet(column, 40)}".',
                f"{source}: data.map.{role}",
                f"The columns are: {names}.",
            )
    missing = [role for role in FORMATS[name].required if role not in columns]
    if missing:
        raise UserError(
            f"The format {name} needs a column for {' and '.join(missing)}, and none was found.", source,
            f"Say which: --set data.map.{missing[0]}=COLUMN. The columns are: {names}.",
        )  # fmt: skip


def count_kinds(skipped: Iterable[Skipped], counts: Mapping[str, int] | None = None) -> list[tuple[str, int, Skipped]]:
    """Kinds of problem with their number and first row, most frequent first. `counts` are the numbers where not all
    rows are listed."""
    skipped = list(skipped)
    first: dict[str, Skipped] = {}
    for item in skipped:
        first.setdefault(item.kind, item)
    numbers = Counter(counts) if counts else Counter(item.kind for item in skipped)
    return [(kind, number, first[kind]) for kind, number in numbers.most_common() if kind in first]
