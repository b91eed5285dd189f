"""Step 7: one line per answer, the same thing as a command, and the start."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps import flow
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem
from tui.steps.words import shown

if TYPE_CHECKING:
    from engine.runs.store import Run

START, REHEARSE, SAVE = "start", "rehearse", "save"
FLAGS = {"model.source": "--model", "data.source": "--data", "goal": "--goal", "method.name": "--method",
         "run.name": "--name", "run.directory": "--runs"}  # fmt: skip
HELP = """\
This is everything that the run will do. Choose a line and press Enter to change it; you come back here afterwards.

Start writes the recipe and starts the run in the background. The run goes on when you close this program or lose the \
connection. No more questions follow.

Rehearse only makes the run, loads the model and measures its longest batch on this machine, then stops; going on with \
the run trains it.

The command does the same without a screen. Save only writes the recipe to a file that you can start later."""


@dataclass(frozen=True)
class Line:
    """One answer on the page. `step` is where it is changed."""

    step: str
    title: str
    text: str
    note: str = ""
    """Why it needs a look: "check again: Model changed"."""


def lines(answers: Answers, facts: Facts) -> list[Line]:
    """One line per step, with what is missing or to be checked."""
    found = []
    for name in flow.ORDER[:-1]:
        why = answers.check.get(name, "")
        note = f"check again: {why}" if why else ""
        found.append(Line(name, flow.TITLES[name], flow.step(name).summary(answers, facts), note))
    return found


def blocking(answers: Answers, facts: Facts, training: bool = True) -> list[tuple[str, Problem]]:
    """What keeps the run from starting, with the step that mends it.

    `training` False asks only whether a recipe can be saved, which needs neither this machine nor its packages.
    """
    found = [(step, problem) for step, problem in flow.problems(answers, facts) if problem.blocking]
    if not training:
        return [(step, problem) for step, problem in found if step != "machine"]
    from engine.machine.packages import require_training_packages

    try:
        require_training_packages()
    except UserError as error:
        found.append(("review", Problem.of(error)))
    return found


def command(answers: Answers, facts: Facts) -> str:
    """The command that does the same without a screen, quoted for a shell."""
    words = ["tunewright", "train"]
    for key, flag in FLAGS.items():
        value = facts.method(answers) if key == "method.name" else answers.text(key)
        if value:
            words += [flag, value]
    for key, answer in answers.chosen().items():
        if key not in FLAGS:
            words += ["--set", f"{key}={_set_text(answer)}"]
    return shlex.join(words)


def _set_text(answer: Answer) -> str:
    if isinstance(answer.value, list):
        return "[" + ", ".join(f'"{one}"' for one in answer.value) + "]"
    return shown(answer.value)


def recipe(answers: Answers, facts: Facts) -> Recipe:
    """The recipe of these answers. Raises UserError for the first thing that blocks it."""
    problems = blocking(answers, facts, training=False)
    if problems:
        problem = problems[0][1]
        raise UserError(problem.what, problem.where, problem.fix)
    own = {key: answer for key, answer in answers.values.items() if key in KEYS}
    return Recipe.from_answers({**facts.settings(answers), **own})


def free_path(folder: Path, stem: str) -> Path:
    """`stem.toml` in `folder`, or `stem-2.toml` and so on: no file is overwritten."""
    path, number = folder / f"{stem}.toml", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.toml"
    return path


def save(answers: Answers, facts: Facts, folder: Path) -> Path:
    """Write the recipe to a new file in `folder`. Raises UserError."""
    finished = recipe(answers, facts)
    path = free_path(folder, finished.run.name or "recipe")
    try:
        finished.save(path)
    except OSError as error:
        fix = "Start the program in a folder that you may write to."
        raise UserError(f"The recipe cannot be written: {error.strerror}.", str(path), fix) from error
    return path


def start(answers: Answers, facts: Facts, rehearse: bool = False) -> Run:
    """Make the run and start its engine in the background; takes a second. With `rehearse` it stops before the first
    step. Raises UserError for what blocks it."""
    from engine.places import runs_root
    from engine.plan.devices import check_devices
    from engine.runs.process import launch, launch_rehearsal
    from engine.runs.store import create_run
    from engine.runs.unsloth_place import check_backend

    problems = blocking(answers, facts)
    if problems:
        problem = problems[0][1]
        raise UserError(problem.what, problem.where, problem.fix)
    finished = recipe(answers, facts)
    check_devices(finished, finished.training.devices)
    check_backend(finished)
    run = create_run(finished, runs_root(finished.run.directory))
    keep_plan(run, answers, facts)
    (launch_rehearsal if rehearse else launch)(run)
    return run


def logout_words() -> str:
    """What ends a run here although nobody stops it; "" where nothing does. Takes up to a second."""
    from engine.runs.detach import detachment

    found = detachment()
    return "" if found.outlives else f"{found.sentence} {found.fix}".strip()


def keep_plan(run: Run, answers: Answers, facts: Facts) -> None:
    """Keep what was planned in the run's folder, beside what the run will measure."""
    from engine.plan.record import write_plan

    plan = facts.method_plan(facts.method(answers))
    if plan is None:
        return
    try:
        write_plan(run.path, plan, answers.text("goal"))
    except OSError as error:
        raise UserError(f"The plan cannot be written: {error.strerror}.", str(run.path), "Make room there.") from error


def options(answers: Answers, facts: Facts) -> list[Option]:
    """Start, rehearse, save, or change a line."""
    found = [
        Option(START, "Start the run", "It goes on in the background, also without this window.", recommended=True),
        Option(REHEARSE, "Rehearse only", "Load the model, measure the longest batch, and stop before the first step."),
        Option(SAVE, "Save the recipe only", "Write it to a file, to start it later or elsewhere."),
    ]
    return found + [Option(line.step, f"{line.title}: {line.text}", line.note) for line in lines(answers, facts)]


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """The review stores nothing; its choices are actions."""
    if text not in {option.value for option in options(answers, facts)}:
        raise UserError(f"{text!r} is not among the choices.", "Review", "Choose a line of the list.")


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """What blocks the start."""
    return [problem for _, problem in blocking(answers, facts)]


def summary(answers: Answers, facts: Facts) -> str:
    """The review has no line of its own."""
    return ""


STEP = Step(
    name="review",
    title="Review",
    question="Everything is ready. Start the run?",
    help=HELP,
    questions=(Question("review", "What next?", options, apply),),
    validate=validate,
    summary=summary,
)
