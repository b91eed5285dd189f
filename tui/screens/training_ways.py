"""The keys of the training screen that lead elsewhere: back, out of the program, and to what can be done with a run."""

from __future__ import annotations

from engine.errors import UserError
from engine.runs.store import Run
from tui.screens.background import in_thread
from tui.screens.side_page import SidePage


class Ways(SidePage):
    """Each page is imported when it is opened. The training screen brings the run and the row `#message`."""

    run: Run
    closed: bool

    def action_detach(self) -> None:
        """Leave the program; the run does not notice."""
        self.app.exit(self._come_back())

    def _come_back(self) -> str:
        if self.closed:
            return f"Look again: tunewright attach {self.run.name}"
        return f"Training continues. Come back with: tunewright attach {self.run.name}"

    def action_back(self) -> None:
        """Go to the page before, or leave when there is none."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        elif getattr(self.app, "start_with", "attach") == "attach":
            self.app.exit(self._come_back())
        else:
            self._open("open_home")

    def action_playground(self) -> None:
        """Talk with the result."""
        from tui.screens.playground import PlaygroundScreen

        self.app.push_screen(PlaygroundScreen(self.run))

    def action_evaluation(self) -> None:
        """Measure the result."""
        from tui.screens.evaluation import EvaluationScreen

        self.app.push_screen(EvaluationScreen(self.run))

    def action_export(self) -> None:
        """Hand the result on."""
        from tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(self.run))

    async def action_report(self) -> None:
        """Write the run down as a page and a picture, in a thread: a long run takes seconds to read."""
        from tui.report.write import write_report

        self.say("Writing the report.", "key")
        try:
            report = await in_thread(lambda: write_report(self.run))
        except UserError as error:
            self.say(f"{error.what} {error.fix}", "bad")
            return
        self.say(f"Report: {report.page}" + (f", picture: {report.picture.name}" if report.picture else ""), "good")

    def action_compare(self) -> None:
        """Lay this run over the runs beside it."""
        from tui.screens.compare import CompareScreen, neighbours

        self.app.push_screen(CompareScreen(neighbours(self.run)))

    def _open(self, name: str) -> None:
        opener = getattr(self.app, name, None)
        if opener is not None:
            opener()
        else:
            self.app.exit(self._come_back())
