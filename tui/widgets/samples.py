"""What the model answers to the same few prompts as training goes on: before, now, and what was expected."""

from __future__ import annotations

import textwrap

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.runs.events import Event
from engine.runs.history import History
from tui.text import clean

EARLIER_KEPT = 2
INDENT = 15
LETTERS = 1_200


class Samples(VerticalScroll, can_focus=True):
    """Call `show` with the history; it is built again only when a sample came."""

    DEFAULT_CSS = "Samples { padding: 0 1; } Samples Static { height: auto; }"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()
        self._history: History | None = None

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="sample-text", markup=False)

    def show(self, history: History) -> None:
        """Show the newest answers to every prompt."""
        self._history = history
        newest = history.samples[-1].get("seq") if history.samples else None
        state = (len(history.samples), newest, self.size.width)
        if self._shown != state and self.size.width:
            self._shown = state
            self.query_one("#sample-text", Static).update(sample_words(history.samples, self.size.width - 4))

    def on_resize(self) -> None:
        """Wrap for the new width; it was 0 while the page was hidden."""
        self._shown = ()
        if self._history is not None:
            self.show(self._history)


EMPTY = Content("No answers yet. The model is asked the same prompts at each evaluation; they appear here.")


def sample_words(samples: list[Event], width: int) -> Content:
    """One block for each prompt: the prompt, what was expected, the base model's answer, and the tuned one by step."""
    blocks: dict[str, list[Event]] = {}
    for sample in samples:
        blocks.setdefault(str(sample.get("prompt", "")), []).append(sample)
    if not blocks:
        return EMPTY
    pieces: list[tuple[str, str] | str] = []
    for number, (prompt, answers) in enumerate(blocks.items(), 1):
        pieces += [(f"{number}  {'asked':<12}{_short(prompt, width)}\n", "bold")]
        newest = answers[-1]
        base = next((answer["base"] for answer in answers if answer.get("base")), "")
        expected = str(newest.get("expected") or "")
        rows = [("expected", expected, "$text-muted"), ("base model", str(base), "$text-muted")]
        for answer in answers[-1 - EARLIER_KEPT : -1]:
            rows.append((f"step {answer.get('step')}", str(answer.get("tuned") or ""), "$text"))
        tuned = str(newest.get("tuned") or "")
        right = tuned.strip() == expected.strip()
        rows.append((f"step {newest.get('step')}", tuned, "$text-success" if right else "$text"))
        for label, text, style in rows:
            if text:
                pieces += [(f"   {label:<12}", "$text-muted"), (f"{_short(text, width)}\n", style)]
        pieces.append("\n")
    return Content.assemble(*pieces)


def _short(text: str, width: int) -> str:
    """Cleaned, wrapped below its own start, and cut with a mark where it is very long."""
    shown = clean(text).strip()
    if len(shown) > LETTERS:
        shown = f"{shown[:LETTERS]} ... ({len(shown) - LETTERS:,} more letters)"
    room = max(10, width - INDENT)
    lines = [part for line in shown.splitlines() for part in textwrap.wrap(line, room) or [""]]
    return ("\n" + " " * INDENT).join(lines)
