"""A bounded sample of examples: the first rows whole, the rest drawn evenly, always the same ones."""

from __future__ import annotations

from engine.data.examples import Example

FIRST_ROWS = 1000
"""Rows that always stay, since they are the ones a person pages through."""
_WORD = (1 << 64) - 1
LARGEST_TEXT = 128 << 20
"""Characters of all kept rows together; beyond it the sample is halved."""


class Sampler:
    """Keeps at most `limit` of the examples it is given, always the same ones; all when `limit` is None."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._kept: list[Example] = []
        self._seen = 0
        self._characters = 0

    def add(self, example: Example) -> None:
        """Take one example in, perhaps in the place of another."""
        self._seen += 1
        if self.limit is None:
            self._kept.append(example)
            return
        if len(self._kept) < self.limit:
            self._put(len(self._kept), example)
            return
        place = _scatter(self._seen) % self._seen
        if min(FIRST_ROWS, self.limit // 2) <= place < self.limit:
            self._put(place, example)

    def _put(self, place: int, example: Example) -> None:
        self._characters += _size(example)
        if place < len(self._kept):
            self._characters -= _size(self._kept[place])
            self._kept[place] = example
        else:
            self._kept.append(example)
        if self._characters > LARGEST_TEXT and len(self._kept) > 64:
            self._halve()

    def _halve(self) -> None:
        first = min(FIRST_ROWS, len(self._kept) // 2)
        self._kept = self._kept[:first] + self._kept[first::2] if len(self._kept) > 2 * first else self._kept[:first]
        self.limit = len(self._kept)
        self._characters = sum(map(_size, self._kept))

    def kept(self) -> list[Example]:
        """What was kept, in file order."""
        return sorted(self._kept, key=lambda example: example.row) if self.limit is not None else self._kept


def _scatter(number: int) -> int:
    """A number below 2**64 that looks random: SplitMix64 (Steele, Lea and Flood 2014), fast and the same everywhere."""
    mixed = number * 0x9E3779B97F4A7C15 & _WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
    return mixed ^ mixed >> 31


def _size(example: Example) -> int:
    return sum(len(turn.content) for turn in (*example.turns, *example.rejected)) + 200
