"""Untrusted text: nothing that acts on a terminal gets through, and nothing disappears unseen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from tests.tui.payloads import PAYLOADS
from tui.line_filter import SafeFilter
from tui.text import JOINERS, UNSAFE, clean, one_line


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_survives_cleaning(payload: str) -> None:
    assert not UNSAFE.search(clean(payload).replace("\n", ""))


@settings(deadline=None)
@given(st.text())
def test_cleaned_text_is_safe_and_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert not UNSAFE.search(cleaned.replace("\n", ""))
    assert clean(cleaned) == cleaned


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=[*map(chr, JOINERS), "\t", "\r"])))
def test_nothing_disappears(text: str) -> None:
    assert len(clean(text)) == len(text)


def test_plain_text_stays_as_it_is() -> None:
    for text in ("hello", "Grüße, 世界, 😀", "a\u00a0b"):
        assert clean(text) == text


def test_controls_become_visible() -> None:
    assert clean("\x1b[31mred") == "\u241b[31mred"
    assert clean("a\tb\r\nc") == "a    b\nc"
    assert clean("abc\u202edef") == "abc\ufffddef"


def test_joiners_of_persian_text_and_emoji_are_left_out() -> None:
    assert clean("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645") == "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"


def test_one_line_shows_line_breaks_and_cuts_with_a_mark() -> None:
    assert one_line("a\nb") == "a\u21b5b"
    assert one_line("abcdef", 4) == "abc\u2026"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_filter_stops_what_was_not_cleaned(payload: str) -> None:
    painted = SafeFilter().apply([Segment("a"), Segment(payload, Style(bold=True))], Color(0, 0, 0))
    assert not UNSAFE.search("".join(segment.text for segment in painted))


def test_the_filter_leaves_clean_lines_untouched() -> None:
    segments = [Segment("hello "), Segment("世界")]
    assert SafeFilter().apply(segments, Color(0, 0, 0)) is segments


def test_the_filter_keeps_the_width_of_the_line() -> None:
    before = Segment("a\u200bb\x1bc")
    after = SafeFilter().apply([before], Color(0, 0, 0))[0]
    assert after.cell_length == before.cell_length
