"""What can be done with the run that is highlighted on the home page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from engine.errors import UserError
from tui.places import answers_path
from tui.screens.background import in_thread, start
from tui.text import clean

if TYPE_CHECKING:
    from engine.runs.store import Run
    from tui.app import TunewrightApp


class RunActions(Screen[None]):
    """The actions on one run; the page says which run that is, and looks again when something has changed."""

    @property
    def tunewright(self) -> TunewrightApp:
        return self.app  # type: ignore[return-value]

    def highlighted_run(self) -> Run | None:
        """The run that the cursor is on; a page without a list has none."""
        return None

    def look_again(self) -> None:
        """Something has changed on disk; a page without a list has nothing to read."""

    def action_chat(self) -> None:
        """Talk with the result."""
        if (run := self.highlighted_run()) is not None:
            self.tunewright.open_playground(run)

    def action_evaluate(self) -> None:
        """Measure the result."""
        if (run := self.highlighted_run()) is not None:
            self.tunewright.open_evaluation(run)

    def action_export(self) -> None:
        """Hand the result on."""
        if (run := self.highlighted_run()) is not None:
            self.tunewright.open_export(run)

    def action_compare(self) -> None:
        """Lay the highlighted run over the newest others."""
        from tui.screens.compare import CompareScreen, neighbours

        if (run := self.highlighted_run()) is not None:
            self.app.push_screen(CompareScreen(neighbours(run)))

    def action_clone(self) -> None:
        """Begin with the answers of a run. The goal is no part of a recipe: it stands beside it, or is told from the
        format of the data."""
        from engine.plan.record import read_plan
        from tui.answers import from_recipe
        from tui.steps.goal import TITLES, suggest_goal

        run = self.highlighted_run()
        if run is None:
            return
        try:
            answers = from_recipe(run.recipe().answers, f"as in {run.name}", answers_path())
        except UserError as error:
            self._say(error)
            return
        goal = str(read_plan(run.path).get("goal") or "")
        if goal in TITLES:
            answers.put("goal", goal, "previous", f"as in {run.name}")
        else:
            suggest_goal(answers, answers.text("data.format"))
        self.tunewright.open_wizard(answers)

    async def action_resume(self) -> None:
        """Start the engine again from the last checkpoint, or hand the run in to SLURM again."""
        from engine.runs.resume import resume_run

        run = self.highlighted_run()
        if run is None:
            return
        try:
            await in_thread(lambda: resume_run(run))
        except UserError as error:
            self._say(error)
            return
        self.tunewright.open_training(run)

    def action_delete(self) -> None:
        """Delete a run whose name was typed."""
        from tui.screens.confirm import ConfirmScreen

        run = self.highlighted_run()
        if run is None:
            return
        text = f"This removes {clean(run.name)} with its checkpoints, result and exports. It cannot be undone."

        def decided(sure: bool | None) -> None:
            if sure:
                start(self, partial(self._delete, run), "delete")

        self.app.push_screen(ConfirmScreen("Delete this run?", text, "Delete", typed=run.name), decided)

    async def _delete(self, run: Run) -> None:
        from engine.runs.store import delete_run

        try:
            await in_thread(lambda: delete_run(run))
        except (UserError, OSError) as error:
            self._say(error if isinstance(error, UserError) else UserError(f"It was not deleted: {error.strerror}."))
        self.look_again()

    def _say(self, error: UserError) -> None:
        self.notify(f"{error.what} {error.fix}".strip(), severity="error", timeout=10, markup=False)
