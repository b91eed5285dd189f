"""Digests of rows and of a whole data set: twins are found by the one, changed data by the other."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

from engine.data.examples import Example
from engine.data.rendered import Rendered
from engine.data.rows import json_text


def row_key(example: Example) -> str:
    """A digest that is equal for rows with the same turns."""
    turns = [[turn.role, turn.content, dict(turn.extra)] for turn in (*example.turns, *example.rejected)]
    return hashlib.sha256(json_text(turns).encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(train: Iterable[Rendered], held_out: Iterable[Rendered]) -> str:
    """sha256 over all token ids and labels in order. A resumed run compares it and refuses data that changed."""
    digest = hashlib.sha256(b"tunewright data 1")
    for name, rows in ((b"train", train), (b"held out", held_out)):
        digest.update(name)
        for row in rows:
            _add_row(digest, row)
    return digest.hexdigest()


def _add_row(digest: hashlib._Hash, row: Rendered) -> None:
    for numbers in (row.input_ids, row.labels):
        digest.update(len(numbers).to_bytes(4, "little"))
        digest.update(array("q", numbers).tobytes())
    if row.rejected is not None:
        _add_row(digest, row.rejected)
    if not row.good:
        digest.update(b"bad")
