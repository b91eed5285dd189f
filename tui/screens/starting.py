"""The end of the wizard: write the recipe, start the run in the background, open its screen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from tui.screens.background import in_thread
from tui.steps import review
from tui.steps.option import Problem

if TYPE_CHECKING:
    from tui.app import TunewrightApp
    from tui.screens.wizard import WizardScreen


def save_recipe(wizard: WizardScreen) -> None:
    """Write the recipe to the working directory and say where. Raises UserError."""
    path = review.save(wizard.answers, wizard.lookups.facts, Path.cwd())
    wizard.notify(f"Saved. Start it with: tunewright train {path}", timeout=15, markup=False)


async def start_run(wizard: WizardScreen, rehearse: bool = False) -> None:
    """Make the run, start its engine and show its screen; what goes wrong stands on the page."""
    if not review.blocking(wizard.answers, wizard.lookups.facts):  # else nothing starts, and the page says why
        wizard.notify("Starting the run.", markup=False)
    try:
        run = await in_thread(partial(review.start, wizard.answers.snapshot(), wizard.lookups.facts, rehearse))
    except UserError as error:
        if wizard.page is not None:
            wizard.page.show_problem(Problem.of(error))
        return
    wizard.answers.discard()
    wizard.answers.path = None  # the run has the answers now; leaving must not bring the file back
    app: TunewrightApp = wizard.app  # type: ignore[assignment]
    app.open_training(run)
