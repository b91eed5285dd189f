"""Which rows are held out of training: fixed by the seed, fair to every class, and never a twin of a training row."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from engine.data.examples import Example
from engine.data.fingerprint import row_key

SMALLEST_HELD_OUT = 20
LARGEST_HELD_OUT = 500
HELD_OUT_SHARE = 0.05
"""A twentieth of the rows, at least 20 and at most 500: enough to see a loss rise, and little to lose."""


def suggested_held_out(rows: int) -> int:
    """How many of `rows` to hold out; at least four fifths stay for training, and all when there are fewer than 10."""
    if rows < 10:
        return 0
    wanted = max(SMALLEST_HELD_OUT, round(rows * HELD_OUT_SHARE))
    return min(wanted, LARGEST_HELD_OUT, rows // 5)


def split_examples(examples: Sequence[Example], held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """Split with equal rows on one side and, for classes, every class on both sides in its share."""
    twins = [row_key(example) for example in examples]
    classes = [example.label for example in examples]
    return split_rows(len(examples), held_out, seed, twins=twins, classes=classes if any(classes) else None)


def split_rows(
    count: int, held_out: int, seed: int, *, twins: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> tuple[list[int], list[int]]:
    """(indices to train on, indices held out), both ascending; the same arguments give the same split for ever.

    Rows with the same text in `twins` stay on one side. With `classes`, every class gives about its share.
    At least one row stays for training. The order of draws comes from a hash of seed and index, not from a random
    generator, so that it does not depend on the Python version.
    """
    wanted = max(0, min(held_out, count - 1))
    if wanted == 0:
        return list(range(count)), []
    groups = _groups(count, twins)
    shares = _shares(groups, classes, wanted, count)
    taken: list[int] = []
    left = Counter(shares)
    for group in sorted(groups, key=lambda members: _draw(seed, members[0])):
        name = classes[group[0]] if classes else ""
        if len(group) <= left[name] and len(taken) + len(group) <= wanted:
            left[name] -= len(group)
            taken += group
    chosen = set(taken)
    return [index for index in range(count) if index not in chosen], sorted(chosen)


def _groups(count: int, twins: Sequence[str] | None) -> list[list[int]]:
    if twins is None:
        return [[index] for index in range(count)]
    together: dict[str, list[int]] = defaultdict(list)
    for index in range(count):
        together[twins[index]].append(index)
    return list(together.values())


def _shares(groups: Sequence[Sequence[int]], classes: Sequence[str] | None, wanted: int, count: int) -> dict[str, int]:
    """How many rows each class gives: its share, rounded so that the sum is `wanted` (largest remainders first)."""
    if classes is None:
        return {"": wanted}
    sizes = Counter(classes[index] for group in groups for index in group)
    exact = {name: wanted * size / count for name, size in sizes.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(shares.values())]:
        shares[name] += 1
    return shares


def _draw(seed: int, index: int) -> bytes:
    return hashlib.sha256(f"{seed}:{index}".encode()).digest()
