"""The rows of a run as a standalone script reads them: as text where that gives the very same tokens, else as ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.data.examples import Example
from engine.data.prepared import PreparedData
from engine.data.render import Renderer
from engine.data.rendered import IGNORED, Rendered
from engine.recipe import Recipe
from engine.train.classes import names_of

Line = dict[str, Any]


def script_rows(prepared: PreparedData, recipe: Recipe) -> dict[str, list[Line]]:
    """The lines of rows.jsonl and held_out.jsonl."""
    renderer, objective = prepared.renderer, recipe.method.objective
    parts = {"rows": (prepared.train, prepared.train_examples),
             "held_out": (prepared.held_out, prepared.held_out_examples)}  # fmt: skip
    if objective == "classify":
        return {name: [_named(*pair, renderer) for pair in zip(rows, examples, strict=True)]
                for name, (rows, examples) in parts.items()}  # fmt: skip
    if objective == "kto":  # rows stand in their micro-batches, as training shuffled them once
        parts["rows"] = (_shuffled(prepared.train, recipe.training.seed), [])
    return {name: [_line(row, objective, renderer) for row in rows] for name, (rows, _) in parts.items()}


def values_of_rows(prepared: PreparedData, recipe: Recipe) -> dict[str, Any]:
    """What the script has to know of the rows as a whole: the labels, or how much a good row counts."""
    if recipe.method.objective == "classify":
        return {"LABELS": names_of(prepared.train_examples, prepared.held_out_examples)}
    if recipe.method.objective == "kto":
        good = sum(row.good for row in prepared.train)
        bad = len(prepared.train) - good
        return {"DESIRABLE": recipe.method.desirable_weight or (round(bad / good, 4) if good and bad else 1.0)}
    return {}


def _shuffled(rows: Sequence[Rendered], seed: int) -> list[Rendered]:
    """As `engine.train.preference_data.make_judged` does it."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return [rows[index] for index in torch.randperm(len(rows), generator=generator).tolist()]


def holds_ids(line: Line) -> bool:
    """Whether a line holds token ids instead of text."""
    parts = [line[name] for name in ("chosen", "rejected", "answer") if name in line] or [line]
    return any("text" not in part for part in parts)


def _line(row: Rendered, objective: str, renderer: Renderer) -> Line:
    if objective == "kto":
        return {"answer": _readable(row, renderer), "good": row.good}
    if row.rejected is not None and objective in ("dpo", "orpo"):
        return {"chosen": _readable(row, renderer), "rejected": _readable(row.rejected, renderer)}
    return _readable(row, renderer)


def _readable(row: Rendered, renderer: Renderer) -> Line:
    """The readable form of a row when it means the same tokens and labels, else its ids."""
    learned = [[start, end] for start, end, kind in row.spans if kind == "trained"]
    encoding = renderer.tokenizer.encode_batch([row.text])[0]
    labels = [
        token if any(start <= a and b <= end for start, end in learned) else -100
        for token, (a, b) in zip(encoding.ids, encoding.offsets, strict=True)
    ]
    if list(encoding.ids) == row.input_ids and labels == row.labels:
        return {"text": row.text, "learned": learned}
    return {"input_ids": row.input_ids, "labels": row.labels}


def _named(row: Rendered, example: Example, renderer: Renderer) -> Line:
    """What a classifier reads of a row, and its label."""
    ids = row.input_ids[: next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.labels))]
    end = next((start for start, _, kind in row.spans if kind == "trained"), len(row.text))
    same = list(renderer.tokenizer.encode_batch([row.text[:end]])[0].ids) == ids
    return {"text": row.text[:end], "label": example.label} if same else {"input_ids": ids, "label": example.label}
