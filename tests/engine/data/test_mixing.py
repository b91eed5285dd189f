"""Weights of further data: how often each row is used in a pass."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.mixing import MoreData, parse_more, weighted
from engine.errors import UserError


def test_a_source_may_stand_with_or_without_a_weight() -> None:
    read = parse_more(["chat.jsonl * 0.5", "owner/name", "a file * 2.jsonl", "b.csv  *  2"])
    assert read == [MoreData("chat.jsonl", 0.5), MoreData("owner/name", 1.0), MoreData("a file * 2.jsonl", 1.0),
                    MoreData("b.csv", 2.0)]  # fmt: skip


@pytest.mark.parametrize("text", ["", " * 2", "a.jsonl * 0", "a.jsonl * 1.2.3", "a.jsonl * 101"])
def test_what_is_no_weight_is_said(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_more([text])
    assert caught.value.where == "data.more"


@given(st.integers(0, 60), st.floats(0.01, 5), st.integers(0, 3))
def test_rows_are_used_as_often_as_their_weight_says(count: int, weight: float, seed: int) -> None:
    used = weighted(range(count), weight, seed)
    assert len(used) == pytest.approx(weight * count, abs=0.51)
    times = Counter(used)
    assert all(int(weight) <= times[index] <= int(weight) + 1 for index in range(count))
    assert used == weighted(range(count), weight, seed)


def test_the_seed_decides_which_half() -> None:
    assert weighted(range(100), 0.5, 1) != weighted(range(100), 0.5, 2)
