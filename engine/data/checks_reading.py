"""What can be wrong with reading: rows that are none, and columns that change their kind on the way."""

from __future__ import annotations

from engine.data.counted import count_rows
from engine.data.dataset import Dataset, count_kinds
from engine.data.finding import Finding, Severity
from engine.data.rows import snippet
from engine.data.usable import BLOCKING_SHARE


def check_reading(dataset: Dataset) -> list[Finding]:
    """Rows that could not be read or converted."""
    total = max(1, dataset.rows + dataset.report.bad_row_count)
    found: list[Finding] = []
    if dataset.report.bad_row_count:
        first = dataset.report.bad_rows[0]
        found.append(_rows_lost("unreadable", dataset.report.bad_row_count, total, first.where, first.reason))
    for kind, number, skipped in count_kinds(dataset.skipped, dataset.skipped_counts):
        found.append(_rows_lost(kind, number, total, skipped.where, skipped.reason))
    return [*found, *check_types(dataset)]


def check_types(dataset: Dataset) -> list[Finding]:
    """Columns that hold another kind of value further down in the file."""
    used = set(dataset.detected.map.values())
    found: list[Finding] = []
    for change in dataset.types.of(dataset.detected.columns):
        column = snippet(change.column, 40)
        what = f'The column "{column}" begins with {change.before} and holds {change.after} from here on'
        fix = "It is used as it stands. Check that both are meant." if change.column in used else "It is not used."
        severity: Severity = "warn" if change.column in used else "note"
        others = f"{what} ({count_rows(change.rows)} of another kind)."
        found.append(Finding("type changes", severity, change.rows, others, change.where, fix))
    return found


def _rows_lost(kind: str, number: int, total: int, where: str, reason: str) -> Finding:
    severity: Severity = "block" if number / total > BLOCKING_SHARE else "warn"
    return Finding(
        kind,
        severity,
        number,
        f"{count_rows(number)} cannot be used. The first: {reason}",
        where,
        "Mend the rows, or leave them out.",
    )
