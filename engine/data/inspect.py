"""The "data" job: everything a person should know about a data source before training on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.data.checks import check_examples
from engine.data.checks_reading import check_reading
from engine.data.checks_similar import check_leaks
from engine.data.checks_text import check_texts
from engine.data.counted import count_rows
from engine.data.dataset import SAMPLE_ROWS, Dataset, load_dataset
from engine.data.detect import detect_format
from engine.data.document import document, early_document, shown, unknown_document
from engine.data.document_tokens import fill_in_tokens
from engine.data.early import first_rows
from engine.data.finding import Finding, worst
from engine.data.limits import limit_this_process
from engine.data.mixing import MoreData, parse_more
from engine.data.preview import bare_preview
from engine.data.render import Renderer
from engine.data.rows import ReadOptions, ReadReport
from engine.data.sources import open_rows
from engine.emit import Emit
from engine.errors import UserError

KEPT_ROWS = 100_000
"""Rows whose texts and tokens are looked at; beyond it a sample stands for all, and the lengths say so."""


def inspect_data(
    request: Mapping[str, Any], emit: Emit | None = None, requests: Iterator[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Look at a data source and, when `model` is given, at its tokens.

    Request: `source`; optional `model` (folder), `format`, `map`, `template` ("model" or "plain"), `sequence_length`,
    `context_length` (tokens that the model can read), `objective` ("sft" leaves out answers marked bad),
    `validation` (a file to evaluate on, looked at for rows that are trained on too), `previews` (how many rows are
    shown, 10), `first_preview` (the row number to begin with, 1), `limit` (read at most so many rows), and the reading
    options `encoding delimiter header split config revision skip_bad_rows`.

    Result: `source rows complete format title map confidence reason columns schemas notes encoding delimiter skipped
    labels previews findings worst template lengths summary`; the last three are None without a model
    (`engine.data.document`).
    A format that is not recognised is no error here: `format` is empty, `columns` and `sample` allow mapping by hand.
    Before all rows are read, `emit` gets {"early": the same document of the first rows, without findings}.
    """
    if emit is not None:
        limit_this_process()
    options = ReadOptions.from_request(request)
    source = str(request.get("source") or request.get("path") or "")
    if not source:
        raise UserError("No data was named.", "", "Give a file.")
    unknown = _not_recognised(source, request, options, emit)
    if unknown is not None:
        return unknown
    try:
        return _inspect(source, options, request, emit)
    except MemoryError:
        raise UserError(
            "The data needs more memory than a job may use.", source, "Look at a part of it (limit).", 1
        ) from None


def _inspect(source: str, options: ReadOptions, request: Mapping[str, Any], emit: Emit | None) -> dict[str, Any]:
    dataset = load_dataset(
        source, str(request.get("format") or "auto"), dict(request.get("map") or {}), options=options,
        limit=request.get("limit"), keep=KEPT_ROWS, keep_bad=request.get("objective", "kto") == "kto",
        progress=lambda rows: _say(emit, f"{rows} rows read"),
    )  # fmt: skip
    _say(emit, "rows compared with each other")
    findings = [*check_reading(dataset), *check_examples(dataset), *check_texts(dataset.examples)]
    if request.get("validation"):
        findings += _check_validation(dataset, str(request["validation"]), options)
    found = document(dataset)
    others = [(more, _load_more(more, dataset, options)) for more in parse_more(request.get("more") or [])]
    found["notes"] += [f"{more.source}: {count_rows(other.usable)} more, used {more.weight:g} times in a pass."
                       for more, other in others]  # fmt: skip
    if request.get("model") and dataset.examples:
        with Renderer.load(Path(str(request["model"])), str(request.get("template") or "model")) as renderer:
            findings += fill_in_tokens(found, dataset, renderer, request, lambda words: _say(emit, words), others)
    else:
        found["previews"] = [bare_preview(example) for example in shown(dataset.examples, request)]
    return _with_findings(found, findings)


def _with_findings(found: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """The document with its findings, the gravest first."""
    findings.sort(key=lambda finding: ("block", "warn", "note").index(finding.severity))
    return {**found, "findings": [finding.as_dict() for finding in findings], "worst": worst(findings)}


def _load_more(more: MoreData, dataset: Dataset, options: ReadOptions) -> Dataset:
    """One more source of the run, read as training reads it. Raises UserError when it cannot be read."""
    plain = replace(options, config="", revision="")
    return load_dataset(more.source, options=plain, keep=KEPT_ROWS, keep_bad=dataset.keep_bad)


def _check_validation(dataset: Dataset, source: str, options: ReadOptions) -> list[Finding]:
    """What the validation file has in common with the data. Raises UserError when it is not in the same format."""
    columns = dict(dataset.detected.map)
    held_out = load_dataset(
        source, dataset.format, columns, options=replace(options, split=""), keep=KEPT_ROWS, keep_bad=dataset.keep_bad
    )
    return check_leaks(dataset.examples, held_out.examples)


def _say(emit: Emit | None, words: str) -> None:
    if emit is not None:
        emit({"progress": words})


def _not_recognised(
    source: str, request: Mapping[str, Any], options: ReadOptions, emit: Emit | None
) -> dict[str, Any] | None:
    """The answer for data in no known format; None when a format is known or was said. The first rows are shown before
    anything else, since a large file takes long."""
    is_said = bool(request.get("map")) or str(request.get("format") or "auto") != "auto"
    if is_said and emit is None:
        return None
    report = ReadReport()
    reading = open_rows(source, options, report, min(SAMPLE_ROWS, int(request.get("limit") or SAMPLE_ROWS)))
    rows = first_rows(reading)
    if emit is not None and rows:
        emit({"early": early_document(source, rows, report, request)})
    if is_said or not rows:
        return None
    rows += reading
    detected = detect_format(rows)
    return None if detected.name else unknown_document(Dataset(source, detected, rows=len(rows), report=report), rows)
