"""Write the report of a run: report.html, and report.png when Pillow is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.runs.files import write_atomic
from engine.runs.history import load_history
from engine.runs.liveness import liveness
from engine.runs.store import Run
from tui.report.figure import loss_figure, small_figures
from tui.report.page import page, took
from tui.report.png import png


@dataclass(frozen=True)
class Report:
    """Where the files are. `picture` is None when there was none to draw; `note` says why."""

    page: Path
    picture: Path | None
    note: str = ""


def write_report(run: Run, folder: Path | None = None) -> Report:
    """Read the whole run and write its report into `folder`, by default the folder of the run.

    Raises UserError for a run that has said nothing, and for a folder that cannot be written.
    """
    history = load_history(run)
    if not history.revision:
        raise UserError(f"{run.name} has not said anything yet.", str(run.path), "Wait for its first step.")
    place = folder if folder is not None else run.path
    loss, small = loss_figure(history), small_figures(history)
    text = page(run, history, liveness(run), loss, small)
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "report.html", text)
        if loss is None:
            return Report(place / "report.html", None, "There is no picture: a curve needs two steps.")
        try:
            picture = png(f"{run.name}, {history.step:,} steps, {took(history)}", [loss, *small])
        except UserError as error:
            return Report(place / "report.html", None, f"{error.what} {error.fix}")
        write_atomic(place / "report.png", picture)
    except OSError as error:
        raise UserError(f"The report cannot be written: {error.strerror}.", str(place), "Make room, or choose another "
                        "folder with --out.", exit_code=1) from error  # fmt: skip
    return Report(place / "report.html", place / "report.png")
