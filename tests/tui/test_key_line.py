"""Which keys the bottom line shows when it has no room for all."""

from __future__ import annotations

from tui.widgets.key_line import fitting

KEYS = [("Enter", "Take it"), ("x", "Export"), ("?", "Help"), ("q", "Back"), ("Ctrl+Q", "Leave")]


def test_with_room_everything_is_shown() -> None:
    assert fitting(KEYS, 80) == KEYS


def test_the_last_ones_go_first_and_the_ways_out_stay() -> None:
    assert [key for key, _ in fitting(KEYS, 45)] == ["Enter", "x", "?", "q"]
    assert [key for key, _ in fitting(KEYS, 10)] == ["?", "q"]
    assert [key for key, _ in fitting([*KEYS[:3], KEYS[4]], 10)] == ["?", "Ctrl+Q"]
    assert fitting([], 0) == []
