"""Rows that nearly repeat an earlier row: three-word pieces in common, estimated from a small sketch of each row.

A sketch is the 64 smallest hashes of a row's pieces (bottom-k sketch, Cohen and Kaplan 2007); how many two sketches
have in common estimates the Jaccard similarity of the rows, exactly for rows of up to 64 pieces and within about 0.05
beyond. Pieces that stand in many rows are the task's own words, such as a fixed instruction, and do not count.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

from engine.data.examples import Example

THRESHOLD = 0.8
"""Share of pieces in common (Jaccard) from which rows are called near duplicates: the usual choice for cleaning
training text (Lee et al. 2022, "Deduplicating training data makes language models better")."""
WORDS = 3
FEWEST_PIECES = 8
"""Shorter rows are alike by chance: they are compared only without case and punctuation."""
KEPT_HASHES = 64
_INDEXED = 4
"""Rows are compared when one of the 4 smallest hashes is the same: of rows that are alike at 0.8 about 1 in 600 is
missed."""
_SAMPLED = 2000
_COMMON = 0.02
_LONGEST = 20_000
"""Characters of a row that are looked at."""
_WORD = re.compile(r"\w+")


def pieces_of(example: Example) -> set[int]:
    """Hashes of the three-word pieces of a row's texts, the same in every process."""
    text = "\n".join(turn.content for turn in (*example.turns, *example.rejected))[:_LONGEST].lower()
    words = _WORD.findall(text)
    if len(text) > 16 * len(words):  # a script without blanks between words
        words = list("".join(words))
    together = zip(words, words[1:], words[2:], strict=False)
    return {crc32(" ".join(three).encode("utf-8", "surrogatepass")) for three in together}


def common_pieces(examples: Sequence[Example]) -> frozenset[int]:
    """Pieces that stand in more than 2 % of the rows (of some 2000 of them, drawn evenly) and in more than ten."""
    step = max(1, len(examples) // _SAMPLED)
    looked_at = examples[::step]  # so that what is counted stays bounded
    counts = Counter(piece for example in looked_at for piece in pieces_of(example))
    most = max(10, _COMMON * len(looked_at))
    return frozenset(piece for piece, count in counts.items() if count > most)


class NearIndex:
    """Sketches of the rows that were added; about 400 bytes for each."""

    def __init__(self, common: frozenset[int] = frozenset()) -> None:
        self._common = common
        self._sketches: list[array[int]] = []
        self._where: list[str] = []
        self._by_hash: dict[int, int] = {}

    def sketch(self, example: Example) -> array[int] | None:
        """The sketch of a row, or None when too few of its words are its own."""
        own = pieces_of(example) - self._common
        return array("I", sorted(own)[:KEPT_HASHES]) if len(own) >= FEWEST_PIECES else None

    def find(self, sketch: array[int]) -> str | None:
        """Where the first row stands that is alike, or None."""
        candidates = {self._by_hash.get(piece) for piece in sketch[:_INDEXED]} - {None}
        for number in sorted(one for one in candidates if one is not None):
            if likeness(sketch, self._sketches[number]) >= THRESHOLD:
                return self._where[number]
        return None

    def add(self, sketch: array[int], where: str) -> None:
        """Remember a row."""
        for piece in sketch[:_INDEXED]:
            self._by_hash.setdefault(piece, len(self._sketches))
        self._sketches.append(sketch)
        self._where.append(where)


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """The Jaccard similarity that two sketches tell: the share of the smallest hashes of both that stand in both."""
    mine, theirs = set(one), set(other)
    smallest = sorted(mine | theirs)
    if len(mine) == KEPT_HASHES or len(theirs) == KEPT_HASHES:
        smallest = smallest[:KEPT_HASHES]
    return sum(piece in mine and piece in theirs for piece in smallest) / len(smallest) if smallest else 0.0
