"""What is sent to the terminal is what changed, and the terminal shows what a whole painting shows."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.terminal import Terminal

KEYS = ["1", "2", "3", "4", "5", "6", "7", "enter", "escape", "down", "down", "up", "tab", "c", "?", "e", "d", "end"]


def wizard(columns: int, rows: int) -> Terminal:
    command = [sys.executable, "-m", "tests.pty.frames_program"]
    quiet = {"TEXTUAL_ANIMATIONS": "none", "ESCDELAY": "25"}
    return Terminal(command, columns, rows, directory=PROJECT, environment=quiet)


def cells(terminal: Terminal) -> list[list[Any]]:
    """Every cell with its colours and its weight."""
    terminal.text()
    buffer = terminal.screen.buffer
    return [[buffer[y][x] for x in range(terminal.columns)] for y in range(terminal.rows)]


def assert_nothing_is_missing(terminal: Terminal, told: str) -> None:
    """The screen as it grew by changes equals the screen painted anew."""
    terminal.settle(0.6)
    grown = cells(terminal)
    terminal.send("ctrl+e")
    terminal.read_for(0.2)
    terminal.settle()
    whole = cells(terminal)
    wrong = [y for y, (a, b) in enumerate(zip(grown, whole, strict=True)) if a != b]
    assert not wrong, f"{told}: lines {wrong} are not as they should be:\n{terminal.text()}"


LONG = [pytest.param(seed, (60 + 10 * (seed % 9), 12 + seed % 30), marks=pytest.mark.long) for seed in range(3, 23)]


@pytest.mark.parametrize(("seed", "size"), [(1, (80, 24)), (2, (120, 40)), *LONG])
def test_changes_add_up_to_the_whole_screen(seed: int, size: tuple[int, int]) -> None:
    numbers = random.Random(seed)
    with wizard(*size) as terminal:
        terminal.wait_for("Esc Back")
        pressed: list[str] = []
        for round_number in range(6):
            for _ in range(4):
                pressed.append(numbers.choice(KEYS))
                terminal.send(pressed[-1])
                terminal.read_for(0.15)  # an escape and a letter at once would be another key
            if round_number % 3 == 2:
                terminal.resize(numbers.choice([60, 80, 100, 132]), numbers.choice([15, 24, 30, 43]))
                terminal.read_for(0.3)
            if terminal.ended:  # Esc on the first page leaves
                assert terminal.wait() == 0, pressed
                return
            assert_nothing_is_missing(terminal, f"seed {seed} after {pressed}")


def bytes_of(terminal: Terminal, act: Callable[[], None]) -> int:
    """How much is sent because of `act`."""
    terminal.settle(0.6)
    before = len(terminal.raw())
    act()
    terminal.read_for(0.3)
    terminal.settle(0.6)
    return len(terminal.raw()) - before


def test_a_new_page_sends_a_fraction_of_the_screen() -> None:
    with wizard(120, 40) as terminal:
        terminal.wait_for("Leave")
        whole = bytes_of(terminal, lambda: terminal.send("ctrl+e"))
        assert whole > 5_000
        assert 0 < bytes_of(terminal, lambda: terminal.send("2")) < 0.8 * whole  # in three frames


def test_after_a_stop_by_the_shell_everything_is_painted_again() -> None:
    with wizard(80, 24) as terminal:
        terminal.wait_for("Explain")
        whole = bytes_of(terminal, lambda: terminal.send("ctrl+e"))
        os.kill(terminal.pid, signal.SIGTSTP)
        terminal.read_for(0.5)
        assert bytes_of(terminal, lambda: os.kill(terminal.pid, signal.SIGCONT)) >= whole
