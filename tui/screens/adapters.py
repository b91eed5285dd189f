"""Adapters: those of all runs beside each other, how to serve one, and several of one base made into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList

from engine.errors import UserError
from engine.places import home_directory, runs_root
from engine.runs.store import Run, list_runs
from tui.async_job import AsyncJob
from tui.screens.adapters_text import Adapter, combined_text, entry, refusal, serve_text
from tui.screens.side_page import JobPage
from tui.text import clean, one_line
from tui.widgets.choice import ChoiceList
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line
from tui.widgets.plain import Plain

if TYPE_CHECKING:
    from tui.app import TunewrightApp

HELP = """\
An adapter is what LoRA and QLoRA train: a small file that changes a base model. One base can carry any of its adapters.

Combining makes one adapter that does what several do together, each times its weight. It is exact arithmetic, but \
whether the sum is good at both tasks, only a look at its answers tells."""
HINT = "Enter says how to serve one. Space marks several of one base to combine."
LOOKS = {"plain": "", "dim": "$text-muted", "key": "$text-accent", "good": "$text-success", "warn": "$text-warning",
         "bad": "$text-error"}  # fmt: skip


def combined_folder() -> Path:
    """Where combinations are kept, beside the runs."""
    return home_directory() / "adapters"


class AdaptersScreen(JobPage):
    """Asks the job "adapters" for the list and for combinations; the job ends with the page."""

    AUTO_FOCUS = "#adapters"
    CSS = """
    AdaptersScreen #header { background: $panel; }
    AdaptersScreen #message { height: auto; padding: 0 1; }
    """
    BINDINGS: ClassVar = [
        Binding("space", "mark", "Mark", id="adapters.mark",
                tooltip="Mark the highlighted adapter, or take the mark away."),
        Binding("m", "combine", "Combine", id="adapters.combine",
                tooltip="Make one adapter of the marked ones, each with a weight."),
        Binding("t", "chat", "Chat", id="adapters.chat",
                tooltip="Talk with the highlighted one; F6 there brings in the others to compare."),
        Binding("question_mark,f1", "explain", "Help", id="adapters.explain",
                tooltip="Explain this page and its keys."),
        Binding("q,escape", "back", "Back", id="adapters.back", tooltip="Go back. A combination going on is ended."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.adapters: dict[str, Adapter] = {}
        self.marked: list[str] = []

    @property
    def tunewright(self) -> TunewrightApp:
        return self.app  # type: ignore[return-value]

    @property
    def choices(self) -> ChoiceList:
        return self.query_one(ChoiceList)

    @property
    def highlighted(self) -> Adapter | None:
        """The adapter under the highlight."""
        return self.adapters.get(self.choices.value)

    def compose(self) -> ComposeResult:
        yield Line([[(" Adapters", "strong")]], id="header")
        yield Plain("", id="message")
        yield ChoiceList(id="adapters")
        yield KeyLine()

    def on_mount(self) -> None:
        """Ask for the list."""
        self.run_worker(self._list(), group="adapters", exclusive=True)

    # the job

    async def _list(self) -> None:
        runs = list_runs(runs_root())
        self.say("Reading the results of the runs.", "key")
        result = await self._asked({"runs": [str(run.path) for run in runs]})
        if result is None:
            return
        self.adapters = {str(each["run"]): each for each in result.get("adapters") or []}
        words = f"  {len(self.adapters)} of {len(runs)} runs have one"
        self.query_one("#header", Line).put([(" Adapters", "strong"), (words, "dim")])
        self.say(HINT if self.adapters else "No run has an adapter yet. LoRA and QLoRA make one.", "dim")
        self._show()

    async def _combine(self, request: dict[str, Any]) -> None:
        self.say("Starting. Esc ends it.", "key")
        result = await self._asked(request)
        if result is not None:
            self.marked = []
            self._show()
            self.say(f"Combined: {one_line(str(result['out']))}", "good")
            self._tell("The combined adapter", combined_text(result))

    async def _asked(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The result of the job; None after an error, which is shown."""
        self.job = AsyncJob("adapters", request)
        self.refresh_bindings()
        try:
            await self.job.start()
            return await self.job.result(self._show_progress)
        except (UserError, OSError) as error:
            told = error if isinstance(error, UserError) else UserError(str(error))
            self.say(f"{told.what} {told.fix}", "bad")
            return None
        finally:
            job, self.job = self.job, None
            await job.close()
            self.refresh_bindings()

    def _show_progress(self, progress: Any) -> None:
        if isinstance(progress, dict):
            words = ": ".join(str(progress[key]) for key in ("phase", "detail") if progress.get(key))
            self.say(words[:1].upper() + words[1:], "key")

    # what is shown

    def _show(self) -> None:
        self.choices.show([entry(each, name in self.marked) for name, each in self.adapters.items()])
        self.refresh_bindings()

    def say(self, text: str, look: str = "plain") -> None:
        """Whole, over several lines where it is long: it may be the reason of a refusal."""
        self.query_one("#message", Plain).put(Content.assemble((one_line(text), LOOKS[look])))

    def _tell(self, title: str, text: str) -> None:
        from tui.screens.explain import ExplainScreen

        self.app.push_screen(ExplainScreen(clean(title), clean(text)))

    @on(OptionList.OptionSelected, "#adapters")
    def _serve(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if (adapter := self.highlighted) is not None:
            self._tell(f"Serving {one_line(str(adapter['run']))}", serve_text(adapter))

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks and talks need an adapter; a combination needs an idle job."""
        if action in {"mark", "chat"}:
            return bool(self.adapters)
        if action == "combine":
            return len(self.adapters) > 1 and self.job is None
        return True

    def action_mark(self) -> None:
        """Mark the highlighted adapter, or take its mark away."""
        if (adapter := self.highlighted) is None:
            return
        name = str(adapter["run"])
        if name in self.marked:
            self.marked.remove(name)
        elif why := refusal(adapter, [self.adapters[each] for each in self.marked]):
            self.say(why, "warn")
            return
        else:
            self.marked.append(name)
        self.say(f"{len(self.marked)} marked. m combines them." if len(self.marked) > 1 else HINT, "dim")
        self._show()

    def action_combine(self) -> None:
        """Ask for weights and a name, then combine the marked adapters."""
        from tui.screens.combine import CombineScreen

        if len(self.marked) < 2:
            self.say("Mark at least two adapters of one base with Space first.", "warn")
            return

        def decided(request: dict[str, Any] | None) -> None:
            if request is not None:
                self.run_worker(self._combine(request), group="adapters", exclusive=True)

        self.app.push_screen(CombineScreen([self.adapters[each] for each in self.marked], combined_folder()), decided)

    def action_chat(self) -> None:
        """Talk with the highlighted one."""
        if (adapter := self.highlighted) is not None:
            self.tunewright.open_playground(Run(Path(str(adapter["run_directory"]))))

    def action_explain(self) -> None:
        """Explain this page."""
        from tui.screens.commands import help_lines
        from tui.screens.explain import ExplainScreen

        self.app.push_screen(ExplainScreen("Adapters", HELP, help_lines(self)))
