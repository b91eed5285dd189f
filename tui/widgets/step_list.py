"""The steps of the wizard, always in sight: a list at the side, or one line on a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Click
from textual.message import Message

from tui.steps.flow import StepState
from tui.widgets.marks import mark
from tui.widgets.plain import Plain

STYLES = {"done": "$text-success", "current": "bold $text-accent", "check": "$text-warning", "skipped": "$text-muted",
          "todo": "$text-muted"}  # fmt: skip
WORDS = {"check": "check again", "skipped": "skipped"}
NOTE_LIMIT = 18


def list_text(states: Sequence[StepState]) -> Content:
    """One line per step; a second one says why a step is skipped or to be checked again."""
    pieces: list[tuple[str, str]] = []
    for state in states:
        pieces.append((f"{mark(state.status)} {state.number} {state.title}\n", STYLES[state.status]))
        note = _note(state)
        if note:
            pieces.append((f"    {note}\n", STYLES["check" if state.why and state.status != "skipped" else "skipped"]))
    return Content.assemble(*pieces)


def _note(state: StepState) -> str:
    if state.status == "skipped":
        return "no answer yet" if "no answer" in state.why else "skipped"
    if state.status in ("check", "current") and state.why:
        return state.why if len(state.why) <= NOTE_LIMIT else "check again"
    return ""


def line_text(states: Sequence[StepState]) -> Content:
    """The same in one line: which step this is, and every step's number with its sign."""
    current = next(state for state in states if state.status == "current")
    pieces: list[tuple[str, str]] = [(f" Step {current.number} of {len(states)}: {current.title}  ", "bold")]
    for state in states:
        pieces.append((f" {state.number}{mark(state.status)}", STYLES[state.status]))
    again = [state.title for state in states if state.status == "check"]
    if again:
        pieces.append((f"   check again: {', '.join(again)}", STYLES["check"]))
    return Content.assemble(*pieces)


class StepList(Plain):
    """The list at the side. A click on a step asks for it; digits do the same by key."""

    class Chosen(Message):
        """A step was asked for."""

        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[str] = []

    def show(self, states: Sequence[StepState]) -> None:
        """Paint the states."""
        self._rows = [name for state in states for name in [state.name] * (2 if _note(state) else 1)]
        self.put(list_text(states))

    def on_click(self, event: Click) -> None:
        row = event.get_content_offset(self)
        if row is not None and 0 <= row.y < len(self._rows):
            self.post_message(self.Chosen(self._rows[row.y]))


class StepLine(Plain):
    """The one line of a narrow screen."""

    def __init__(self) -> None:
        super().__init__()

    def show(self, states: Sequence[StepState]) -> None:
        """Paint the states."""
        self.put(line_text(states))
