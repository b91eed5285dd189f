"""What the "data" job answers about a source when a model is given: lengths, template and rows as it reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.data.checks_tokens import check_refused, check_tokens
from engine.data.dataset import Dataset
from engine.data.document import shown
from engine.data.examples import Example
from engine.data.finding import Finding
from engine.data.lengths import Lengths, measure_lengths
from engine.data.mixing import MoreData, weighted
from engine.data.preview import preview
from engine.data.render import Renderer, writes_date
from engine.data.split import suggested_held_out
from engine.data.summary import DataSummary
from engine.data.token_facts import TokenFacts, longer_of_pairs, token_facts

Say = Callable[[str], None]
"""Tells a person how far it is."""


def fill_in_tokens(
    document: dict[str, Any], dataset: Dataset, renderer: Renderer, request: Mapping[str, Any], say: Say,
    others: Sequence[tuple[MoreData, Dataset]] = (),
) -> list[Finding]:  # fmt: skip
    """Fill in template, lengths, summary and previews; return the findings. `others` only count for lengths."""
    examples, is_text = dataset.examples, dataset.format == "text"
    facts, refused = token_facts(renderer, examples, lambda rows: say(f"tokens of {rows} rows counted"))
    if dataset.format == "preference":
        facts = longer_of_pairs(renderer, facts)
    counted, usable = list(facts), dataset.usable
    for more, other in others:
        counted += _weighted_facts(renderer, more, other)
        usable += round(more.weight * other.usable)
    lengths = measure_lengths(counted, usable if len(counted) < usable else 0, is_text)
    document["template"] = _template(renderer)
    document["lengths"] = lengths.as_dict()
    document["summary"] = _summary(dataset, lengths, usable).as_dict()
    limit, most = request.get("sequence_length") or None, int(request.get("context_length") or 0)
    document["previews"] = _previews(renderer, shown(examples, request), None if is_text else limit)
    return [*check_refused(refused, len(examples)), *check_tokens(facts, lengths, limit, is_text, most)]


def _template(renderer: Renderer) -> dict[str, Any]:
    note = " ".join(filter(None, (renderer.note, writes_date(renderer))))
    return {"kind": renderer.kind, "note": note}


def _previews(renderer: Renderer, examples: list[Example], limit: int | None) -> list[dict[str, Any]]:
    """`limit` cuts rows as training does; None for long texts, which are split into pieces."""
    results = renderer.render_many(examples, limit)
    return [preview(example, result) for example, result in zip(examples, results, strict=True)]


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
