"""What shows only in the tokens: rows with nothing to learn, answers cut, answers that never end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.data.counted import count_rows
from engine.data.examples import Example, RowProblem
from engine.data.finding import Finding, Severity
from engine.data.lengths import Lengths
from engine.data.rows import snippet
from engine.data.token_facts import TokenFacts
from engine.data.usable import BLOCKING_SHARE

PLAIN = {"data.template": "plain"}


def check_refused(refused: Sequence[tuple[Example, RowProblem]], total: int) -> list[Finding]:
    """Rows that the chat template refuses."""
    if not refused:
        return []
    example, problem = refused[0]
    what = f"{count_rows(len(refused), 'is', 'are')} refused by the model's chat template. {problem}"
    fix = "Change the order of turns, or use the plain template."
    return [Finding("template", _grave(len(refused), total), len(refused), what, example.where, fix, PLAIN)]


def check_tokens(
    facts: Sequence[TokenFacts], lengths: Lengths, sequence_length: int | None, is_text: bool, most: int = 0
) -> list[Finding]:
    """Findings over whole rows; `sequence_length` None means the suggested length. `most` is how many tokens the model
    can read, 0 where that is not known."""
    limit = sequence_length or min(lengths.suggested, most or lengths.suggested)
    found = [
        *_nothing_trained(facts, limit, is_text, most),
        *_never_ends(facts),
        *_merged(facts),
        *_lost(facts),
        *_specials(facts),
    ]
    return found if is_text else [*found, *_cut(facts, limit, lengths, most)]


def _grave(number: int, total: int) -> Severity:
    return "block" if number > BLOCKING_SHARE * total else "warn"


def _nothing_trained(facts: Sequence[TokenFacts], limit: int, is_text: bool, most: int) -> list[Finding]:
    empty = [row for row in facts if row.first == 0 or (not is_text and row.first >= limit)]
    if not empty:
        return []
    have = count_rows(len(empty), "has", "have")
    what = f"{have} nothing to learn at {limit} tokens: the answer begins behind the cut."
    severity = _grave(len(empty), len(facts))
    fix = "Use a longer sequence length."
    if most and limit >= most:
        fix = f"The model reads {most} tokens at most: take one that reads more, or remove these rows."
    return [Finding("nothing to learn", severity, len(empty), what, empty[0].example.where, fix)]


def _cut(facts: Sequence[TokenFacts], limit: int, lengths: Lengths, most: int) -> list[Finding]:
    cut = [row for row in facts if row.tokens > limit]
    if not cut:
        return []
    answers = [row for row in cut if row.end > limit]
    share = f"{len(cut) / len(facts):.1%}"
    longer, lose = "is" if len(cut) == 1 else "are", "loses" if len(answers) == 1 else "lose"
    what = f"{count_rows(len(cut))} ({share}) {longer} longer than {limit} tokens; "
    what += f"{len(answers)} of them {lose} the end of an answer."
    severity: Severity = "warn" if len(answers) > 0.01 * len(facts) else "note"
    enough = -(-lengths.longest // 64) * 64
    wanted = min(enough, most or enough)
    remedy = {"training.sequence_length": wanted} if wanted > limit else {}
    fix = f"The longest row has {lengths.longest} tokens" + (f"; the model reads {most}." if enough > wanted else ".")
    return [Finding("cut", severity, len(cut), what, (answers or cut)[0].example.where, fix, remedy)]


def _never_ends(facts: Sequence[TokenFacts]) -> list[Finding]:
    """Rows whose last learned token does not stop generation: a model that learns them would never stop."""
    endless = [row for row in facts if row.end and not row.ends]
    if not endless:
        return []
    where = count_rows(len(endless))
    what = f"In {where} the last learned token is not an end of turn, so the model would not learn to stop."
    severity: Severity = "block" if len(endless) > 0.5 * len(facts) else "warn"
    fix = "Use the plain template, which ends every answer."
    return [Finding("no end", severity, len(endless), what, endless[0].example.where, fix, PLAIN)]


def _merged(facts: Sequence[TokenFacts]) -> list[Finding]:
    merged = [row for row in facts if row.merged]
    if not merged:
        return []
    what = f"In {count_rows(len(merged))} the answer begins inside a token of the prompt; that token is not learned."
    fix = "Remove white space at the start of the answers."
    return [Finding("merged start", "note", len(merged), what, merged[0].example.where, fix)]


def _lost(facts: Sequence[TokenFacts]) -> list[Finding]:
    """Content that the template leaves out or rewrites, by kind."""
    counts = Counter(row.lost for row in facts if row.lost)
    found: list[Finding] = []
    for kind, number in counts.most_common():
        first = next(row for row in facts if row.lost == kind)
        severity: Severity = "warn" if "content" in kind and number > BLOCKING_SHARE * len(facts) else "note"
        what = f"In {count_rows(number)} the chat template does not write {kind} as it stands in the data."
        fix = "Look at these rows in the mask view: what is not there is not learned."
        found.append(Finding("left out by template", severity, number, what, first.example.where, fix))
    return found


def _specials(facts: Sequence[TokenFacts]) -> list[Finding]:
    """Texts that hold the model's special tokens: they would be read as the end of a turn, not as text."""
    inside = [row for row in facts if row.specials]
    if not inside:
        return []
    hold = count_rows(len(inside), "holds", "hold")
    what = f'{hold} special tokens of the model as text, first "{snippet(inside[0].specials, 40)}".'
    fix = "Remove them: the model reads them as commands, for instance as the end of a turn."
    return [Finding("special tokens", "warn", len(inside), what, inside[0].example.where, fix)]
