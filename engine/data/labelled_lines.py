"""Lines that begin with a class: `LABEL text`, `LABEL:fine text`, `LABEL<tab>text`, as older text files have them.

Nothing in such a file says that the first word is a class, so the shape is only pointed out, and a person decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

FEWEST_LINES = 20
MOST_LABELS = 60
_LONGEST_LABEL = 30
_SHARE = 0.99
_ROWS_PER_LABEL = 10


def split_label(line: str) -> tuple[str, str]:
    """The first word and the rest; two empty strings when the line has only one word or begins with a blank."""
    if not line or line[0].isspace():
        return "", ""
    label, *rest = line.split(None, 1)
    return (label, rest[0]) if rest and len(label) <= _LONGEST_LABEL else ("", "")


def labels_of(lines: Sequence[str], fewest: int = 2) -> Counter[str]:
    """The classes that the lines begin with; empty when their shape does not say so.

    At least 20 lines, nearly all with a first word and more, and so few different first words (but `fewest`) that each
    stands ten times on average: no running text begins its lines so.
    """
    labels = Counter(split_label(line)[0] for line in lines)
    good = labels.total() - labels.pop("", 0)
    if good < FEWEST_LINES or good < _SHARE * len(lines):
        return Counter()
    few = fewest <= len(labels) <= min(MOST_LABELS, good // _ROWS_PER_LABEL)
    return labels if few else Counter()
