"""What shows only in the tokens: rows with nothing to learn, answers cut, answers that never end."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.checks import Finding, Severity
from engine.data.examples import Example, RowProblem
from engine.data.lengths import Lengths
from engine.data.prepare import BLOCKING_SHARE
from engine.data.render import IGNORED, Rendered, Renderer, first_and_last_trained

Pair = tuple[Example, Rendered]


def check_rendering(examples: Sequence[Example], results: Sequence[Rendered | RowProblem]) -> list[Finding]:
    """Rows that the chat template refuses."""
    refused = [
        (example, result) for example, result in zip(examples, results, strict=True) if isinstance(result, RowProblem)
    ]
    if not refused:
        return []
    example, problem = refused[0]
    severity: Severity = "block" if len(refused) > BLOCKING_SHARE * len(examples) else "warn"
    return [
        Finding(
            "template", severity, len(refused), f"{len(refused)} rows are refused by the model's chat template. {problem}", example.where,
            "Change the order of turns, or use the plain template.", {"data.template": "plain"},
        )
    ]  # fmt: skip


def check_tokens(
    pairs: Sequence[Pair], renderer: Renderer, lengths: Lengths, sequence_length: int | None
) -> list[Finding]:
    """Findings over whole (uncut) renderings; `sequence_length` None means the suggested length."""
    limit = sequence_length or lengths.suggested
    is_text = bool(pairs) and pairs[0][0].is_text
    found = [*_nothing_trained(pairs, limit, is_text), *_never_ends(pairs, renderer), *_merged(pairs)]
    if not is_text:
        found += _cut(pairs, limit, lengths)
    return found


def _nothing_trained(pairs: Sequence[Pair], limit: int, is_text: bool) -> list[Finding]:
    empty = [example for example, row in pairs if not _trained_before(row, None if is_text else limit)]
    if not empty:
        return []
    severity: Severity = "block" if len(empty) > BLOCKING_SHARE * len(pairs) else "warn"
    what = f"{len(empty)} rows have no token to learn at {limit} tokens: their answer begins behind the cut or is not trained."
    return [Finding("nothing to learn", severity, len(empty), what, empty[0].where, "Use a longer sequence length.")]


def _trained_before(row: Rendered, limit: int | None) -> bool:
    return any(label != IGNORED for label in row.labels[1:limit])


def _cut(pairs: Sequence[Pair], limit: int, lengths: Lengths) -> list[Finding]:
    cut = [(example, row) for example, row in pairs if row.tokens_whole > limit]
    if not cut:
        return []
    answers = [example for example, row in cut if first_and_last_trained(row)[1] > limit]
    share = len(answers) / len(pairs)
    what = f"{len(cut)} rows ({len(cut) / len(pairs):.1%}) are longer than {limit} tokens; {len(answers)} of them lose the end of an answer."
    severity: Severity = "warn" if share > 0.01 else "note"
    where = (answers or [cut[0][0]])[0].where
    return [
        Finding(
            "cut",
            severity,
            len(cut),
            what,
            where,
            f"The longest row has {lengths.longest} tokens.",
            {"training.sequence_length": -(-lengths.longest // 64) * 64},
        )
    ]


def _never_ends(pairs: Sequence[Pair], renderer: Renderer) -> list[Finding]:
    """Rows whose last trained token is not one at which generation stops: a model that learns them would never stop."""
    stops = set(renderer.stop_token_ids)
    open_ended = [example for example, row in pairs if not stops.intersection(renderer.last_learned(row))]
    if not open_ended:
        return []
    severity: Severity = "block" if len(open_ended) > 0.5 * len(pairs) else "warn"
    what = (
        f"In {len(open_ended)} rows the last learned token is not an end of turn, so the model would not learn to stop."
    )
    return [
        Finding(
            "no end",
            severity,
            len(open_ended),
            what,
            open_ended[0].where,
            "Use the plain template, which ends every answer.",
            {"data.template": "plain"},
        )
    ]


def _merged(pairs: Sequence[Pair]) -> list[Finding]:
    merged = [example for example, row in pairs if row.merged_start]
    if not merged:
        return []
    what = f"In {len(merged)} rows the answer begins inside a token of the prompt; that token is not learned."
    return [
        Finding(
            "merged start",
            "note",
            len(merged),
            what,
            merged[0].where,
            "Remove white space at the start of the answers.",
        )
    ]
