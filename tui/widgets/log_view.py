"""Everything that happened in a run: its events in words, or the raw log of the engine; with a filter."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input

from engine.runs.history import History
from tui.watch.event_words import note_of
from tui.watch.log_tail import LogTail
from tui.widgets.line import Line
from tui.widgets.rows import Row
from tui.widgets.text_lines import TextLines

ERROR_WORDS = ("error", "traceback", "exception", "out of memory", "killed")


class LogView(Vertical, can_focus=False):
    """Two lists, one in sight. `show` and `read_log` bring what is new."""

    BINDINGS = [
        Binding("o", "other", "Events or log", id="log.other", tooltip="Switch between events and the engine's log."),
        Binding("slash", "filter", "Filter", id="log.filter", tooltip="Show only lines with these words."),
        Binding("e", "error", "Next error", id="log.error", tooltip="Jump to the next error."),
        Binding("end", "follow", "Newest", id="log.follow", show=False, tooltip="Go to the end and stay there."),
    ]
    DEFAULT_CSS = """
    LogView { height: 1fr; }
    LogView Input { height: 1; border: none; padding: 0 1; display: none; }
    LogView.-filtering Input { display: block; }
    LogView #raw { display: none; }
    LogView.-raw #raw { display: block; }
    LogView.-raw #notes { display: none; }
    """

    def __init__(self, log_path: Path, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._tail = LogTail(log_path)
        self._noted = 0
        self._newest = -1.0

    def compose(self) -> ComposeResult:
        yield Line(id="log-title")
        yield TextLines(id="notes")
        yield TextLines(id="raw")
        yield Input(placeholder="words to look for; Enter keeps the filter, Esc takes it away", id="log-filter")

    def on_mount(self) -> None:
        """The blinking cursor of an input costs 2.5 kB/s; it stays still."""
        self.query_one(Input).cursor_blink = False
        self._say_title()

    @property
    def lines(self) -> TextLines:
        """The list in sight."""
        return self.query_one("#raw" if self.has_class("-raw") else "#notes", TextLines)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> LogView:
        """Give the keys to the list in sight, and read the log at once."""
        self.lines.focus(scroll_visible)
        self.read_log()
        return self

    def show(self, history: History) -> None:
        """Add the events that are new since the last call."""
        fresh = [event for event in history.notes if event.get("seq", 0) > self._noted]
        if fresh:
            self._noted = max(int(event.get("seq", 0)) for event in fresh)
            notes = [note for event in fresh if (note := note_of(event)) is not None]
            rows: list[Row] = [[(f" {note.clock}  ", "dim"), (note.text, note.look)] for note in notes]
            self.query_one("#notes", TextLines).add(rows)
        if self.has_class("-raw") and self.display:
            self.read_log()

    def read_log(self) -> None:
        """Add what is new in the engine's log."""
        self.query_one("#raw", TextLines).add([_row(line) for line in self._tail.read()])
        self._say_title()

    def _say_title(self) -> None:
        raw = self.has_class("-raw")
        where = f" Log of the engine: {self._tail.path}" if raw else " Events"
        pieces: list[tuple[str, str]] = [(where, "strong")]
        if raw and self._tail.skipped_bytes:
            pieces.append((f"  the last part; {self._tail.skipped_bytes / 1e6:.0f} MB before it", "dim"))
        wanted = self.lines.wanted
        if wanted:
            pieces.append((f"  only lines with {wanted!r}", "warn"))
        pieces.append((f"  {len(self.lines.shown):,} lines", "dim"))
        self.query_one("#log-title", Line).put(pieces)

    def action_other(self) -> None:
        """Show the other list."""
        self.toggle_class("-raw")
        self.focus()

    def action_filter(self) -> None:
        """Ask for words."""
        self.add_class("-filtering")
        self.query_one(Input).focus()

    def action_error(self) -> None:
        """Jump to the next error, and say when there is none."""
        if not self.lines.jump("bad"):
            self.notify("No error here.", markup=False)

    def action_follow(self) -> None:
        """Go to the end."""
        self.lines.scroll_end(animate=False)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        for lines in self.query(TextLines):
            lines.filter(event.value)
        self._say_title()

    @on(Input.Submitted)
    def _keep_filter(self, event: Input.Submitted) -> None:
        event.stop()
        self.remove_class("-filtering")
        self.lines.focus()

    def key_escape(self, event: object) -> None:
        """Take the filter away first; without one, Esc belongs to the screen."""
        box = self.query_one(Input)
        if self.has_class("-filtering") or box.value:
            getattr(event, "stop", lambda: None)()
            getattr(event, "prevent_default", lambda: None)()
            box.value = ""
            self.remove_class("-filtering")
            self.lines.focus()


def _row(line: str) -> Row:
    lowered = line.casefold()
    look = "bad" if any(word in lowered for word in ERROR_WORDS) else "warn" if "warning" in lowered else "plain"
    return [(f" {line}", look)]
