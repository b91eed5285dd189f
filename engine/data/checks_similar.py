"""Rows that nearly repeat each other, and rows of a validation file that are trained on as well."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from engine.data.examples import Example
from engine.data.finding import Finding
from engine.data.fingerprint import row_key
from engine.data.similar import THRESHOLD, NearIndex, common_pieces

_NOT_A_WORD = re.compile(r"[\W_]+")
_ASCII_MARKS = {code: None for code in range(128) if not chr(code).isalnum()}


def bare(text: str) -> str:
    """A text without case, punctuation and spaces."""
    if text.isascii():
        return text.lower().translate(_ASCII_MARKS)
    return _NOT_A_WORD.sub("", unicodedata.normalize("NFKC", text).casefold())


def _whole(example: Example) -> str:
    return "\0".join(turn.content for turn in (*example.turns, *example.rejected))


class Twins:
    """The rows that were added, and how a further one is like one of them: "same", "letters" (but for case,
    punctuation and spaces), "near" (at least 80 % of its three-word pieces), or "" when it is not."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._near = NearIndex(common_pieces(examples))
        self._exact: set[str] = set()
        self._bare: set[int] = set()

    def kind(self, example: Example, add: bool = True) -> str:
        """How the row is like an earlier one; with `add` it is one of them from now on."""
        key = row_key(example)
        if key in self._exact:
            return "same"
        letters, sketch = hash(bare(_whole(example))), self._near.sketch(example)
        found = "letters" if letters in self._bare else ""
        if not found and sketch is not None and self._near.find(sketch):
            found = "near"
        if add:
            self._exact.add(key)
            self._bare.add(letters)
            if sketch is not None and not found:
                self._near.add(sketch, example.where)
        return found


def check_similar(examples: Sequence[Example]) -> list[Finding]:
    """Near duplicates; exact ones are a finding of their own."""
    twins = Twins(examples)
    kinds = [(twins.kind(example), example) for example in examples]
    letters = [example for kind, example in kinds if kind == "letters"]
    near = [example for kind, example in kinds if kind in ("letters", "near")]
    if not near:
        return []
    parts = []
    if letters:
        parts.append(f"{_repeats(len(letters))} an earlier row but for case, punctuation or spaces")
    if len(near) > len(letters):
        words = f"at least {THRESHOLD:.0%} of the wording (three-word pieces) with an earlier row"
        parts.append(f"{_shares(len(near) - len(letters))} {words}")
    fix = "Look at a few, and remove them if they are not meant."
    return [Finding("near duplicates", "note", len(near), f"{'; '.join(parts)}.", near[0].where, fix)]


def _repeats(number: int) -> str:
    return "1 row repeats" if number == 1 else f"{number} rows repeat"


def _shares(number: int) -> str:
    return "1 row shares" if number == 1 else f"{number} rows share"


def check_leaks(examples: Sequence[Example], validation: Sequence[Example]) -> list[Finding]:
    """Rows of the validation file that are also trained on, exactly or nearly."""
    twins = Twins(examples)
    for example in examples:
        twins.kind(example)
    kinds = [(twins.kind(example, add=False), example) for example in validation]
    leaks = [(kind, example) for kind, example in kinds if kind]
    if not leaks:
        return []
    exact = sum(kind == "same" for kind, _ in leaks)
    nearly = f", {len(leaks) - exact} more nearly" if len(leaks) > exact else ""
    what = f"{exact} of {len(validation)} rows of the validation file are also trained on{nearly}"
    fix = "Remove them from one side, or let Tunewright hold rows out by itself."
    sentence = f"{what}; the evaluation will look better than it is."
    return [Finding("leaks", "warn", len(leaks), sentence, leaks[0][1].where, fix)]
