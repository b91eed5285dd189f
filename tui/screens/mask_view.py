"""The mask view: one row on the screen, exactly as the model will see it, and which of its tokens are learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import Screen

from engine.errors import UserError
from tui.async_job import AsyncJob
from tui.screens.background import start
from tui.steps import mask
from tui.text import clean
from tui.widgets.field import Field, PlainInput
from tui.widgets.key_line import KeyLine
from tui.widgets.marks import mark
from tui.widgets.plain import Plain

STYLES = {"context": "dim", "trained": "bold $text-success", "cut": "$text-error strike", "mark": "$text-muted"}
LINE_END = "\u21b5"


class MaskScreen(Screen[int]):
    """Rows one at a time. It ends with the number of the row that was shown last.

    `request` is the first request of the "rows" job, which stays while the screen is open; `total` is the number of
    rows where it is known.
    """

    CSS = """
    MaskScreen #head { height: auto; padding: 0 1; background: $panel; }
    MaskScreen #problems { height: auto; padding: 0 1; }
    MaskScreen #scroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    MaskScreen #text { height: auto; }
    MaskScreen #legend { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    AUTO_FOCUS = "#scroll"
    BINDINGS: ClassVar = [
        Binding("right,n,l", "step(1)", "Next", id="mask.next", tooltip="The next row."),
        Binding("left,p,h", "step(-1)", "Previous", id="mask.previous", tooltip="The row before."),
        Binding("x", "problem", "Next problem", id="mask.problem",
                tooltip="The next row that is cut, refused, teaches nothing, or does not end its turn."),
        Binding("g", "jump", "Go to row", id="mask.jump", tooltip="Type the number of a row."),
        Binding("escape,q", "back", "Back", id="mask.back", tooltip="Back to the data."),
    ]  # fmt: skip

    def __init__(self, request: Mapping[str, Any], total: int = 0) -> None:
        super().__init__()
        self.request, self.total = dict(request), total
        self.row: dict[str, Any] = {}
        self._asked: dict[str, Any] = {"row": int(request.get("row") or 1)}
        self._at = int(self._asked["row"])
        self._job: AsyncJob | None = None

    def compose(self) -> ComposeResult:
        yield Plain("Reading the row.", id="head")
        yield Plain("", id="problems")
        with VerticalScroll(id="scroll"):
            yield Plain("", id="text")
        yield Field("Row number", "", "1", id="jump")
        yield Plain(Content.assemble(*((f"{words}  ", _style(kind)) for words, kind in mask.LEGEND)), id="legend")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#jump").display = False
        self.query_one("#problems").display = False
        start(self, self._serve, "mask")

    async def _serve(self) -> None:
        """Take what the job says, until the screen is left."""
        async with AsyncJob("rows", self.request) as job:
            self._job = job
            refused = False
            while True:
                try:
                    async for message in job.messages():
                        refused = False
                        self._take(message)
                    return
                except UserError as error:
                    ended = error.exit_code == 1
                    if not (ended and refused):  # a job that ends behind its own error has said why
                        self._say(f"{error.what} {error.fix}")
                    if ended:
                        self._job = None
                        return
                    refused = True

    def _take(self, message: Mapping[str, Any]) -> None:
        if "row" in message:
            self.row = dict(message["row"])
            self._at = self.number if "after" in self._asked else self._at
            self._paint()
        elif "end" in message:
            self.total = int(message["end"])
            self._at = self.number
            self._say(mask.end_words(self._asked, self.total))
        elif "progress" in message:
            self._say(f"Reading, row {int(message['progress']):,} so far. Another key stops it.")

    def _paint(self) -> None:
        first, *more = mask.head_lines(self.row, self.total)
        pieces: list[tuple[str, str]] = [(clean(first), "bold")]
        pieces += [(f"\n{clean(line)}", "$text-muted") for line in more]
        self.query_one("#head", Plain).put(Content.assemble(*pieces))
        self._say(" ".join(mask.problem_lines(self.row)))
        self.query_one("#text", Plain).put(Content.assemble(*map(_painted, mask.runs(self.row))))
        self.query_one("#scroll", VerticalScroll).scroll_home(animate=False)

    def _say(self, words: str) -> None:
        line = self.query_one("#problems", Plain)
        line.display = bool(words)
        line.put(Content.assemble((f"{mark('check')} {clean(words)}", "bold $text-warning")))

    async def _ask(self, request: dict[str, Any]) -> None:
        if self._job is None:
            return
        self._asked = request
        try:
            await self._job.send(request)
        except UserError as error:
            self._say(f"{error.what} {error.fix}")

    @property
    def number(self) -> int:
        """The row that is shown."""
        return int(self.row.get("number") or self.request.get("row") or 1)

    async def action_step(self, by: int) -> None:
        """A row on or back."""
        if self._at + by >= 1:  # counted from the row that was asked for last, so that quick keys all count
            self._at += by
            await self._ask({"row": self._at})

    async def action_problem(self) -> None:
        """The next row with a problem."""
        await self._ask({"after": self._at})

    def action_jump(self) -> None:
        """Ask for the number of a row."""
        field = self.query_one("#jump", Field)
        field.display = True
        field.text = ""
        field.focus_text()

    def on_key(self, event: Key) -> None:
        """A number can be typed at once, and digits that come before the field has the focus are not lost."""
        field = self.query_one("#jump", Field)
        if isinstance(self.focused, PlainInput):
            return
        if event.character is not None and event.character.isdigit():
            text = field.text if field.display else ""
            self.action_jump()
            field.text = text + event.character
            field.focus_text()
        elif event.key == "enter" and field.display:
            field.submit()
        else:
            return
        event.stop()

    @on(Field.Submitted)
    async def _typed(self, event: Field.Submitted) -> None:
        event.stop()
        digits = event.text.strip().replace(",", "").replace("_", "")
        self._close_field()
        if digits.isascii() and digits.isdigit() and int(digits) > 0:
            self._at = int(digits)
            await self._ask({"row": self._at})
        else:
            self._say("A row number is a whole number from 1.")

    def _close_field(self) -> None:
        self.query_one("#jump", Field).display = False
        self.query_one("#scroll").focus()

    def action_back(self) -> None:
        """Close the field, else the page."""
        if self.query_one("#jump", Field).display:
            self._close_field()
        else:
            self.dismiss(self.number)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters are text while the number is typed; Esc still closes the field."""
        return not (isinstance(self.focused, PlainInput) and action in ("step", "problem", "jump"))


def _style(kind: str, special: bool = False) -> str:
    if kind == "special":
        return "underline"
    return f"{STYLES.get(kind, '')} underline" if special else STYLES.get(kind, "")


def _painted(run: mask.Run) -> tuple[str, str]:
    text = clean(run.text)
    if run.kind in mask.BRACKETS:  # a learned line end is learned too, and would not be seen
        text = text.replace("\n", f"{LINE_END}\n")
    return text, _style(run.kind, run.special)
