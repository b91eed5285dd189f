"""Which rows are held out."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.data.split import split_rows, suggested_held_out


@pytest.mark.parametrize(("rows", "held_out"), [(0, 0), (1, 0), (9, 0), (10, 2), (100, 20), (1000, 50), (100_000, 500)])
def test_a_twentieth_within_bounds_is_suggested(rows: int, held_out: int) -> None:
    assert suggested_held_out(rows) == held_out


def test_the_split_is_a_partition_and_stays() -> None:
    train, held_out = split_rows(1000, 50, 42)
    assert sorted(train + held_out) == list(range(1000)) and len(held_out) == 50
    assert split_rows(1000, 50, 42) == (train, held_out)
    assert split_rows(1000, 50, 43)[1] != held_out
    assert held_out[:5] == [1, 45, 53, 86, 88], "the same seed gives the same rows in every version"


def test_one_row_always_trains() -> None:
    assert split_rows(1, 20, 1) == ([0], [])
    assert len(split_rows(3, 20, 1)[0]) == 1


def test_twins_stay_together() -> None:
    twins = [str(index % 60) for index in range(300)]
    train, held_out = split_rows(300, 50, 7, twins=twins)
    assert len(held_out) == 50
    assert not {twins[index] for index in train} & {twins[index] for index in held_out}


def test_every_class_gives_its_share() -> None:
    classes = ["rare" if index % 10 == 0 else "common" for index in range(400)]
    _, held_out = split_rows(400, 40, 3, classes=classes)
    assert Counter(classes[index] for index in held_out) == {"common": 36, "rare": 4}
