"""Evaluation: base against tuned on held-out rows, as it is stored with the run; measured here when asked."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.errors import UserError
from engine.runs.files import read_json
from engine.runs.store import Run
from tui.async_job import AsyncJob
from tui.screens.evaluation_text import sections
from tui.screens.side_page import JobPage
from tui.text import clean
from tui.widgets.key_line import KeyLine
from tui.widgets.line import Line

LOOKS = {"It answers as before": "bold $text-warning"}


class EvaluationScreen(JobPage):
    """Shows <run>/evaluation.json (or that of a checkpoint) and runs the job "evaluate", which ends with the page."""

    CSS_PATH = "evaluation.tcss"
    AUTO_FOCUS = "#figures"
    BINDINGS: ClassVar = [
        Binding("m", "measure", "Measure now", id="evaluation.measure",
                tooltip="Answer the held-out rows with both models and store the figures with the run."),
        Binding("k", "checkpoint", "Other checkpoint", id="evaluation.checkpoint",
                tooltip="The result of the run, or one of its checkpoints."),
        Binding("j", "json", "As JSON", id="evaluation.json", tooltip="The stored document as it is."),
        Binding("q,escape", "back", "Back", id="evaluation.back", tooltip="Go back. A measurement is ended."),
    ]  # fmt: skip

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.checkpoint = ""
        self.as_json = False

    def compose(self) -> ComposeResult:
        yield Line(id="header")
        yield Line(id="message")
        with VerticalScroll(id="figures"):
            yield Static("", id="told", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """What was measured before is there at once."""
        self._show()

    @property
    def document(self) -> dict[str, Any]:
        """The stored evaluation; empty when nothing was measured yet."""
        name = f"evaluation-{self.checkpoint}.json" if self.checkpoint else "evaluation.json"
        found = read_json(self.run.path / name)
        return found if isinstance(found.get("sides"), dict) else {}

    def _show(self) -> None:
        which = self.checkpoint or "the result"
        header = [(f" {self.run.name}", "strong"), ("  evaluation", "key"), (f"  {which}", "dim")]
        self.query_one("#header", Line).put(header)
        document = self.document
        self.query_one("#told", Static).update(self._text(document) if document else "")
        if not document:
            self.say("Nothing is measured yet. m answers the held-out rows with the base and the tuned model.", "key")
        else:
            made = str(document.get("made", ""))[:16].replace("T", " ")
            self.say(f"Measured {made} UTC. m measures again.", "dim")

    def _text(self, document: dict[str, Any]) -> Content:
        if self.as_json:
            return Content(clean(json.dumps(document, indent=1, ensure_ascii=False)))
        pieces: list[tuple[str, str]] = []
        for section in sections(document):
            pieces.append((f"{section.title}\n", LOOKS.get(section.title, "bold")))
            pieces += [(f"{line}\n", "") for line in section.lines]
            pieces.append(("\n", ""))
        return Content.assemble(*pieces)

    async def _measure(self) -> None:
        self.job = AsyncJob("evaluate", {"run": str(self.run.path), "checkpoint": self.checkpoint})
        self.refresh_bindings()
        self.say("Starting. Esc ends it.", "key")
        try:
            await self.job.start()
            await self.job.result(self._show_progress)
        except (UserError, OSError) as error:
            told = error if isinstance(error, UserError) else UserError(str(error))
            self.say(f"{told.what} {told.fix}", "bad")
        else:
            self._show()
        finally:
            job, self.job = self.job, None
            await job.close()
            self.refresh_bindings()

    def _show_progress(self, progress: Any) -> None:
        if isinstance(progress, dict):
            done, total = progress.get("done"), progress.get("total")
            count = f", {done} of {total}" if total else ""
            self.say(f"{str(progress.get('phase', '')).capitalize()}: {progress.get('detail', '')}{count}", "key")

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One measurement at a time."""
        if action in {"measure", "checkpoint"}:
            return self.job is None
        return True

    def action_measure(self) -> None:
        """Measure base and tuned."""
        if self.job is None:
            self.run_worker(self._measure(), group="evaluate", exclusive=True)

    def action_checkpoint(self) -> None:
        """Take the next checkpoint, and the result after the last one."""
        names = ["", *checkpoint_names(self.run)]
        place = names.index(self.checkpoint) if self.checkpoint in names else 0
        self.checkpoint = names[(place + 1) % len(names)]
        self._show()

    def action_json(self) -> None:
        """The document as it is stored, or as text for people."""
        self.as_json = not self.as_json
        self._show()


def checkpoint_names(run: Run) -> list[str]:
    """The checkpoints of a run, the newest first."""
    return sorted((path.name for path in run.checkpoints_dir.glob("step-*") if path.is_dir()), reverse=True)
