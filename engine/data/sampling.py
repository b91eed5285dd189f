"""A bounded sample of examples: the first rows whole, the rest drawn evenly, always the same ones."""

from __future__ import annotations

import hashlib

from engine.data.examples import Example

FIRST_ROWS = 1000
"""Rows that always stay, since they are the ones a person pages through."""
LARGEST_TEXT = 64 << 20
"""Characters of all kept rows together; beyond it the sample is halved."""


class Sampler:
    """Keeps at most `limit` of the examples it is given (reservoir sampling by hashes); all when `limit` is None."""

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
        place = int.from_bytes(hashlib.blake2b(str(self._seen).encode(), digest_size=8).digest()) % self._seen
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


def _size(example: Example) -> int:
    return sum(len(turn.content) for turn in (*example.turns, *example.rejected)) + 200
