"""What the "data" job answers about a source, as a JSON document: the part that needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.data.dataset import SAMPLE_ROWS, Dataset, choose_format, count_kinds
from engine.data.detect import detect_format
from engine.data.early import early_examples
from engine.data.examples import Example
from engine.data.finding import Finding
from engine.data.formats import FORMATS
from engine.data.preview import bare_preview
from engine.data.rows import ReadReport, Row
from engine.data.split import suggested_held_out
from engine.errors import UserError

PREVIEWS = 10
"""Rows that are shown when the request does not say how many."""


def document(dataset: Dataset) -> dict[str, Any]:
    """Everything but findings, and what needs a tokenizer: `template`, `lengths`, `summary` are None here."""
    detected, report = dataset.detected, dataset.report
    return {
        "source": dataset.source,
        "rows": dataset.rows,
        "usable_rows": dataset.usable,
        "sampled_rows": len(dataset.examples),
        "left_out_rows": dataset.left_out,
        "complete": dataset.complete,
        "format": detected.name,
        "title": FORMATS[detected.name].title if detected.name else "",
        "map": dict(detected.map),
        "confidence": detected.confidence,
        "reason": detected.reason,
        "columns": list(detected.columns),
        "schemas": [{"columns": list(columns), "rows": rows} for columns, rows in detected.schemas[:8]],
        "notes": list(report.notes),
        "encoding": report.encoding,
        "delimiter": report.delimiter,
        "bad_rows": [{"where": bad.where, "reason": bad.reason} for bad in report.bad_rows[:20]],
        "bad_row_count": report.bad_row_count,
        "skipped": _skipped(dataset),
        "labels": dict(dataset.labels.most_common(200)),
        "held_out_suggestion": suggested_held_out(dataset.usable),
        "template": None,
        "lengths": None,
        "summary": None,
        "previews": [],
    }


def _skipped(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "rows": rows, "where": first.where, "reason": first.reason}
        for kind, rows, first in count_kinds(dataset.skipped, dataset.skipped_counts)
    ]


def early_document(source: str, rows: list[Row], report: ReadReport, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the first rows say: the same document with `early` True, `rows` the few that were read, no findings."""
    try:
        detected = choose_format(rows, str(request.get("format") or "auto"), dict(request.get("map") or {}), source)
    except UserError:
        detected = detect_format(rows)
    dataset = Dataset(source, detected, rows=len(rows), complete=False, report=report)
    examples = early_examples(rows, detected, int(request.get("previews", PREVIEWS)))
    rest = {"early": True, "findings": [], "worst": None, "previews": [bare_preview(one) for one in examples]}
    return {**document(dataset), **rest}


def unknown_document(dataset: Dataset, rows: list[Row]) -> dict[str, Any]:
    """The answer for data in no known format: a sample of its rows, by which a person says what plays which role."""
    dataset.complete = len(rows) < SAMPLE_ROWS
    fix = "Choose a format and say which column plays which role."
    finding = Finding("no format", "block", len(rows), dataset.detected.reason, rows[0].where, fix)
    found = document(dataset)
    found["sample"] = [{"where": row.where, "fields": row.fields} for row in rows[:PREVIEWS]]
    found["findings"], found["worst"] = [finding.as_dict()], "block"
    return found


def shown(examples: Sequence[Example], request: Mapping[str, Any]) -> list[Example]:
    """The examples that the request wants to see: `previews` of them from `first_preview` on."""
    start = max(1, int(request.get("first_preview") or 1)) - 1
    return list(examples[start : start + int(request.get("previews", PREVIEWS))])
