"""The "data" job: everything a person should know about a data source before training on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.data.checks import Finding, check_examples, check_reading, worst
from engine.data.checks_similar import check_leaks
from engine.data.checks_text import check_texts
from engine.data.checks_tokens import check_refused, check_tokens
from engine.data.convert import FORMATS
from engine.data.counted import count_rows
from engine.data.dataset import SAMPLE_ROWS, Dataset, choose_format, count_kinds, load_dataset
from engine.data.detect import detect_format
from engine.data.early import early_examples, first_rows
from engine.data.examples import Example
from engine.data.lengths import Lengths, measure_lengths
from engine.data.limits import limit_this_process
from engine.data.mixing import MoreData, parse_more, weighted
from engine.data.preview import bare_preview, preview
from engine.data.render import Renderer, writes_date
from engine.data.rows import ReadOptions, ReadReport, Row
from engine.data.sources import open_rows
from engine.data.split import suggested_held_out
from engine.data.summary import DataSummary
from engine.data.token_facts import TokenFacts, longer_of_pairs, token_facts
from engine.errors import UserError

__all__ = ["DataSummary", "inspect_data"]

PREVIEWS = 10
KEPT_ROWS = 100_000
"""Rows whose texts and tokens are looked at; beyond it a sample stands for all, and the lengths say so."""
Emit = Callable[[dict[str, Any]], None]


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
    labels previews findings worst template lengths summary`; the last three are None without a model. See `_document`.
    A format that is not recognised is no error here: `format` is empty, `columns` and `sample` allow mapping by hand.
    Before all rows are read, `emit` gets {"early": the same document of the first rows, without findings}.
    """
    if emit is not None:
        limit_this_process()
    options = read_options(request)
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
    document = _document(dataset)
    others = [(more, _load_more(more, dataset, options)) for more in parse_more(request.get("more") or [])]
    for more, other in others:
        document["notes"].append(
            f"{more.source}: {count_rows(other.usable)} more, used {more.weight:g} times in a pass."
        )
    if request.get("model") and dataset.examples:
        with Renderer.load(Path(str(request["model"])), str(request.get("template") or "model")) as renderer:
            findings += _with_tokens(document, dataset, renderer, request, emit, others)
    else:
        document["previews"] = [bare_preview(example) for example in _shown(dataset.examples, request)]
    findings.sort(key=lambda finding: ("block", "warn", "note").index(finding.severity))
    document["findings"] = [finding.as_dict() for finding in findings]
    document["worst"] = worst(findings)
    return document


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


def read_options(request: Mapping[str, Any]) -> ReadOptions:
    """The reading options of a request."""
    header = request.get("header")
    return ReadOptions(
        encoding=str(request.get("encoding") or ""), delimiter=str(request.get("delimiter") or ""),
        header=header if isinstance(header, bool) else None, split=str(request.get("split") or ""),
        config=str(request.get("config") or ""), revision=str(request.get("revision") or ""),
        skip_bad_rows=bool(request.get("skip_bad_rows")),
    )  # fmt: skip


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
        emit({"early": _early(source, rows, report, request)})
    if is_said or not rows:
        return None
    rows += reading
    detected = detect_format(rows)
    return None if detected.name else _unknown(Dataset(source, detected, rows=len(rows), report=report), rows)


def _early(source: str, rows: list[Row], report: ReadReport, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the first rows say: the same document with `early` True, `rows` the few that were read, no findings."""
    try:
        detected = choose_format(rows, str(request.get("format") or "auto"), dict(request.get("map") or {}), source)
    except UserError:
        detected = detect_format(rows)
    dataset = Dataset(source, detected, rows=len(rows), complete=False, report=report)
    examples = early_examples(rows, detected, int(request.get("previews", PREVIEWS)))
    shown = {"early": True, "findings": [], "worst": None, "previews": [bare_preview(one) for one in examples]}
    return {**_document(dataset), **shown}


def _unknown(dataset: Dataset, rows: list[Row]) -> dict[str, Any]:
    dataset.complete = len(rows) < SAMPLE_ROWS
    fix = "Choose a format and say which column plays which role."
    finding = Finding("no format", "block", len(rows), dataset.detected.reason, rows[0].where, fix)
    document = _document(dataset)
    document["sample"] = [{"where": row.where, "fields": row.fields} for row in rows[:PREVIEWS]]
    document["findings"], document["worst"] = [finding.as_dict()], "block"
    return document


def _document(dataset: Dataset) -> dict[str, Any]:
    """The part of the result that needs no model."""
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
        "skipped": [
            {"kind": kind, "rows": rows, "where": first.where, "reason": first.reason}
            for kind, rows, first in count_kinds(dataset.skipped, dataset.skipped_counts)
        ],
        "labels": dict(dataset.labels.most_common(200)),
        "held_out_suggestion": suggested_held_out(dataset.usable),
        "template": None,
        "lengths": None,
        "summary": None,
        "previews": [],
    }


def _with_tokens(
    document: dict[str, Any], dataset: Dataset, renderer: Renderer, request: Mapping[str, Any], emit: Emit | None,
    others: Sequence[tuple[MoreData, Dataset]] = (),
) -> list[Finding]:  # fmt: skip
    """Fill in what needs the model's tokenizer and template; return the findings. `others` only count for lengths."""
    examples, is_text = dataset.examples, dataset.format == "text"
    facts, refused = token_facts(renderer, examples, lambda rows: _say(emit, f"tokens of {rows} rows counted"))
    if dataset.format == "preference":
        facts = longer_of_pairs(renderer, facts)
    counted, usable = list(facts), dataset.usable
    for more, other in others:
        counted += _weighted_facts(renderer, more, other)
        usable += round(more.weight * other.usable)
    lengths = measure_lengths(counted, usable if len(counted) < usable else 0, is_text)
    date = writes_date(renderer)
    document["template"] = {"kind": renderer.kind, "note": " ".join(filter(None, (renderer.note, date)))}
    document["lengths"] = lengths.as_dict()
    document["summary"] = _summary(dataset, lengths, usable).as_dict()
    limit, most = request.get("sequence_length") or None, int(request.get("context_length") or 0)
    shown = _shown(examples, request)
    # long texts are split into pieces, so nothing of them is cut
    results = renderer.render_many(shown, None if is_text else limit)
    document["previews"] = [preview(example, result) for example, result in zip(shown, results, strict=True)]
    return [*check_refused(refused, len(examples)), *check_tokens(facts, lengths, limit, is_text, most)]


def _weighted_facts(renderer: Renderer, more: MoreData, other: Dataset) -> list[TokenFacts]:
    """The tokens of the rows of one more source, each as often as its weight says."""
    facts, _ = token_facts(renderer, other.examples)
    if other.format == "preference":
        facts = longer_of_pairs(renderer, facts)
    return [facts[index] for index in weighted(range(len(facts)), more.weight, 0)]


def _summary(dataset: Dataset, lengths: Lengths, usable: int) -> DataSummary:
    return DataSummary(
        usable, lengths.trained_tokens, lengths.total_tokens, lengths.p50, lengths.p95, lengths.p99,
        lengths.longest, dataset.format, suggested_held_out(usable),
    )  # fmt: skip


def _shown(examples: Sequence[Example], request: Mapping[str, Any]) -> list[Example]:
    start = max(1, int(request.get("first_preview") or 1)) - 1
    return list(examples[start : start + int(request.get("previews", PREVIEWS))])
