"""Export: walk to a merged model, a GGUF file, Ollama, the Hub or a script; shows what came of it and the commands."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static

from engine.errors import UserError
from engine.runs.store import Run
from tui.async_job import AsyncJob
from tui.screens.export_create import create_in_ollama
from tui.screens.export_outcome import can_create, can_publish, failure, outcome
from tui.screens.export_questions import Ask, next_question, request_of, told_answers
from tui.screens.side_page import JobPage
from tui.widgets.choice import ChoiceList
from tui.widgets.field import PlainInput
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line


class ExportScreen(JobPage):
    """Runs the job "export". Leaving the page while it works ends the job, which removes what is half written."""

    CSS_PATH = "export.tcss"
    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar = [
        Binding("c", "create", "Create in Ollama", id="export.create", tooltip="Run the first command now."),
        Binding("u", "publish", "Send it to the Hub", id="export.publish",
                tooltip="The folder is as you see it; this sends it in one commit."),
        Binding("q,escape", "back", "Back", id="export.back",
                tooltip="To the question before, then to the page before. An export that is going on is ended."),
    ]  # fmt: skip

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.answers: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.asked: Ask | None = None
        self.result: dict[str, Any] | None = None
        self.creating = False

    def compose(self) -> ComposeResult:
        yield Line([[(f" {self.run.name}", "strong"), ("  export", "key")]], id="header")
        yield Static("", id="question", markup=False)
        yield ChoiceList(id="choices")
        yield PlainInput(id="typed")
        yield Line(id="message")
        with VerticalScroll(id="outcome"):
            yield Static("", id="told", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Ask at once; what can be done here is found out meanwhile."""
        self._ask()
        self.run_worker(self._look(), group="look", exclusive=True)

    async def _look(self) -> None:
        job = AsyncJob("leaving", {"run": str(self.run.path)})
        try:
            await job.start()
            self.known = await job.result()
        except (UserError, OSError):
            return  # the export itself says what is wrong, when it is asked for
        finally:
            await job.close()
        if self.job is None and self.result is None and self.asked and self.asked.key == "to":
            self._ask()

    # questions

    def _ask(self) -> None:
        self.asked = next_question(self.answers, self.known)
        if self.asked is None:
            self.run_worker(self._export(request_of(str(self.run.path), self.answers)), group="export", exclusive=True)
            return
        chosen = told_answers(self.answers)
        head = [(f"{chosen}\n", "$text-muted")] if chosen else []
        self.query_one("#question", Static).update(Content.assemble(*head, (self.asked.title, "bold")))
        choices, typed = self.query_one(ChoiceList), self.query_one(PlainInput)
        choices.display, typed.display = not self.asked.typed, self.asked.typed
        self._show_outcome(False)
        if self.asked.typed:
            typed.value, typed.placeholder = "", self.asked.placeholder
            typed.focus()
        else:
            recommended = next((option.value for option in self.asked.options if option.recommended), "")
            choices.show(self.asked.options, choices.value if self.asked.key == "to" else recommended)
            choices.focus()
        hint = "Type it and press Enter." if self.asked.typed else "Choose and press Enter."
        self.say(hint, "dim")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the answer and go on."""
        event.stop()
        if self.asked is not None and self.job is None:
            self.answers[self.asked.key] = event.option.id or ""
            self._ask()

    @on(PlainInput.Submitted, "#typed")
    def _typed(self, event: PlainInput.Submitted) -> None:
        event.stop()
        if self.asked is not None and self.job is None:
            self.answers[self.asked.key] = event.value.strip()
            self._ask()

    def _show_outcome(self, shown: bool) -> None:
        self.query_one("#outcome").display = shown
        self.query_one("#question").display = not shown
        if shown:
            self.query_one(ChoiceList).display = self.query_one(PlainInput).display = False
            self.query_one("#outcome").focus()

    # the job

    async def _export(self, request: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        """Run the job; `before` is the export that this goes on from, which stays whatever comes of it."""
        self.result = None
        self._show_outcome(True)
        self.query_one("#told", Static).update(told_answers(self.answers))
        self.say("Starting.", "key")
        self.job = AsyncJob("export", request)
        try:
            await self.job.start()
            self.result = {**(before or {}), **await self.job.result(self._show_progress)}
        except (UserError, OSError) as error:
            self.result = before
            self._failed(error if isinstance(error, UserError) else UserError(str(error)), before)
        else:
            self._done(self.result)
        finally:
            job, self.job = self.job, None
            await job.close()
            self.refresh_bindings()

    def _show_progress(self, progress: Any) -> None:
        if not isinstance(progress, dict):
            return
        words = str(progress.get("phase") or progress.get("detail") or "Working")
        detail = str(progress.get("detail") or "") if progress.get("phase") else ""
        self.say(f"{words[:1].upper()}{words[1:]}{': ' + detail if detail else ''}", "key")

    def _failed(self, error: UserError, before: dict[str, Any] | None) -> None:
        what = "The export is there, but this step failed: c tries again." if before else "The export failed."
        self.say(f"{what} Esc goes back to the questions.", "bad")
        self.query_one("#told", Static).update(Content.assemble(*failure(error.what, error.where, error.fix)))

    def _done(self, result: dict[str, Any]) -> None:
        waits = can_publish(result, str(self.answers.get("repo") or ""))
        more = f" Nothing is sent yet: u sends it to {self.answers.get('repo')}." if waits else ""
        self.say(f"Done.{more}", "good")
        self.query_one("#told", Static).update(Content.assemble(*outcome(result)))

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Creating in Ollama makes sense once there is something to create, and only where Ollama is."""
        result = self.result if self.job is None else None
        if action == "create":
            return bool(result and can_create(result) and not self.creating)
        if action == "publish":
            return bool(result and can_publish(result, str(self.answers.get("repo") or "")))
        return True

    def action_publish(self) -> None:
        """Send the folder that was shown."""
        request = request_of(str(self.run.path), self.answers) | {"repo": self.answers["repo"]}
        self.run_worker(self._export(request), group="export", exclusive=True)

    async def action_create(self) -> None:
        """Create the model in Ollama and compare its answers with ours; an adapter by `ollama create` alone."""
        if not self.result or self.creating:
            return
        if not self.answers.get("adapter_only"):
            request = request_of(str(self.run.path), self.answers)
            request |= {"to": "ollama", "create_from": str(self.result["out"])}
            self.run_worker(self._export(request, self.result), group="export", exclusive=True)
            return
        self.creating = True
        self.refresh_bindings()
        self.say("Ollama is taking the model in. This copies its weights.", "key")
        try:
            self.say(*await create_in_ollama(self.result, str(self.result.get("out") or self.run.path)))
        finally:
            self.creating = False
            self.refresh_bindings()

    def action_back(self) -> None:
        """One question back; from the first one, leave. The job is ended by `on_unmount`."""
        if self.answers and self.job is None:
            finished = self.asked is None
            self.answers = {} if finished and self.result else dict(list(self.answers.items())[:-1])
            self.result = None
            self._ask()
            self.refresh_bindings()
        else:
            super().action_back()
