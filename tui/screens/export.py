"""Export: make a merged model, or hand it to Ollama; shows the paths and the exact commands."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import UserError
from engine.runs.store import Run
from tui.jobs import AsyncJob
from tui.steps.words import gigabytes
from tui.text import clean, one_line
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line

CHOICES = (
    ("merged", "Merged model", "One folder with whole weights in 16 bits, for transformers and vLLM."),
    ("ollama", "Ollama", "The merged model and a Modelfile, for `ollama create` and `ollama run`."),
    ("gguf", "GGUF", "One file for llama.cpp, LM Studio and Ollama."),
    ("script", "Training script", "A Python program that does the same training without Tunewright."),
)


class ExportScreen(Screen[None]):
    """Runs the job "export". Leaving the page while it works ends the job, which removes what is half written."""

    CSS_PATH = "export.tcss"
    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar = [
        Binding("c", "create", "Create in Ollama", id="export.create", tooltip="Run the first command now."),
        Binding("q,escape", "back", "Back", id="export.back", tooltip="Go back. An export that is going on is ended."),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.job: AsyncJob | None = None
        self.result: dict[str, Any] | None = None
        self.creating = False

    def compose(self) -> ComposeResult:
        yield Line([[(f" {self.run.name}", "strong"), ("  export", "key")]], id="header")
        options = [Option(Content.assemble((title, "bold"), f"\n{text}"), id=name) for name, title, text in CHOICES]
        yield OptionList(*options, id="choices", markup=False)
        yield Line(id="message")
        with VerticalScroll(id="outcome", can_focus=False):
            yield Static("", id="told", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Say what to do."""
        self._say("Choose what to make and press Enter.", "dim")

    async def on_unmount(self) -> None:
        """The job ends with the page."""
        if self.job is not None:
            await self.job.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Creating in Ollama makes sense once there is something to create, and only where Ollama is."""
        if action == "create":
            return bool(self.result and can_create(self.result) and not self.creating)
        return True

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Start the export that was chosen."""
        event.stop()
        if self.job is None and event.option.id:
            self.run_worker(self._export(event.option.id), group="export", exclusive=True)

    async def _export(self, kind: str) -> None:
        self.result = None
        self.refresh_bindings()
        self.query_one("#told", Static).update("")
        self._say("Starting.", "key")
        self.job = AsyncJob("export", {"run": str(self.run.path), "to": kind})
        try:
            await self.job.start()
            self.result = await self.job.result(self._show_progress)
        except (UserError, OSError) as error:
            self._failed(error if isinstance(error, UserError) else UserError(str(error)))
        else:
            self._done(self.result)
        finally:
            job, self.job = self.job, None
            await job.close()

    def _show_progress(self, progress: Any) -> None:
        if not isinstance(progress, dict):
            return
        words = str(progress.get("phase") or progress.get("detail") or "Working")
        detail = str(progress.get("detail") or "") if progress.get("phase") else ""
        self._say(f"{words[:1].upper()}{words[1:]}{': ' + detail if detail else ''}", "key")

    def _failed(self, error: UserError) -> None:
        self._say("The export failed.", "bad")
        lines = [("what", error.what), ("where", error.where), ("to mend it", error.fix)]
        told = [(f"{label:<12}{clean(text)}\n", "") for label, text in lines if text]
        self.query_one("#told", Static).update(Content.assemble(*told))

    def _done(self, result: dict[str, Any]) -> None:
        self._say("Done.", "good")
        self.query_one("#told", Static).update(Content.assemble(*outcome(result)))
        self.refresh_bindings()

    async def action_create(self) -> None:
        """Run `ollama create`, without a shell, and say what it says at the end."""
        if not self.result or self.creating:
            return
        command = [str(word) for word in self.result["commands"][0]]
        self.creating = True
        self.refresh_bindings()
        self._say("Ollama is taking the model in. This copies its weights.", "key")
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, cwd=str(self.result.get("out") or self.run.path),
            )  # fmt: skip
            _, told = await process.communicate()
        except OSError as error:
            self._say(f"Ollama could not be started: {error.strerror}.", "bad")
        else:
            run = shlex.join(map(str, self.result["commands"][1]))
            last = told.decode(errors="replace").strip().splitlines()[-1:] or [""]
            if process.returncode == 0:
                self._say(f"Ollama has it. Talk to it in a terminal: {run}", "good")
            else:
                self._say(f"ollama create ended with code {process.returncode}. {last[0]}", "bad")
        finally:
            self.creating = False
            self.refresh_bindings()

    def action_back(self) -> None:
        """Leave; the job is ended by `on_unmount`."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()

    def _say(self, text: str, look: str) -> None:
        self.query_one("#message", Line).say(f" {one_line(text)}", look)


def can_create(result: Mapping[str, Any]) -> bool:
    """Whether the first command makes a model in an Ollama that is installed here."""
    commands = result.get("commands") or [[]]
    return bool(result.get("installed")) and [str(word) for word in commands[0][:2]] == ["ollama", "create"]


def _commands_title(result: Mapping[str, Any]) -> str:
    if can_create(result):
        return "Press c to run the first one now"
    if result.get("to") == "ollama":
        return "Ollama is not here; run these where it is"
    return "To serve it, for example"


def outcome(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What came of an export: where it lies, how large it is, the commands to copy, and what to know about it."""
    told: list[tuple[str, str]] = []
    for label, key in (("folder", "out"), ("file", "file"), ("Modelfile", "modelfile")):
        if result.get(key):
            told += [(f"{label:<12}", "$text-muted"), (f"{clean(str(result[key]))}\n", "")]
    if isinstance(result.get("bytes"), int | float):
        told += [(f"{'size':<12}", "$text-muted"), (f"{gigabytes(result['bytes'])}\n", "")]
    same = (result.get("agreement") or {}).get("same_choice")
    if isinstance(same, int | float):
        told.append((f"{'checked':<12}", "$text-muted"))
        told.append((f"the same choice as the trained model at {same:.1%} of places\n", ""))
    commands = [shlex.join(map(str, command)) for command in result.get("commands") or []]
    if commands:
        told.append((f"\n{_commands_title(result)}:\n", ""))
        told += [(f"  {clean(command)}\n", "bold $text-accent") for command in commands]
    for note in result.get("notes") or []:
        told.append((f"\n{clean(str(note))}\n", "$text-warning"))
    return told
