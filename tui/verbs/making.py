"""From flags to a recipe: the same steps as the wizard's, answered by the command line.

What is not given is recommended, with its reason. Nothing here creates anything.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import UserError
from engine.places import runs_root
from engine.recipe import Answer, Recipe
from engine.recipe_keys import Value, parse_value
from tui.answers import Answers
from tui.jobs import run_job
from tui.steps import flow, looking
from tui.steps.facts import Facts, Found
from tui.steps.goal import suggest_goal

if TYPE_CHECKING:
    from engine.models.find import ModelFiles

T = TypeVar("T")
FLAG_STEPS = {"goal": "goal", "model": "model", "data": "data", "method": "method"}
"""Flag -> step whose rules it has to pass."""
COLUMN = "data.map."


def answers_of(arguments: Namespace, before: Mapping[str, Answer] | None = None) -> Answers:
    """The answers in the flags, laid over those of a recipe. Raises UserError for a flag that is no answer."""
    answers = Answers(values=dict(before or {}))
    for flag, step in FLAG_STEPS.items():
        text = getattr(arguments, flag, None)
        if text is not None:
            _apply(answers, flag, step, text)
    for key, name in (("run.name", "name"), ("run.directory", "runs")):
        if getattr(arguments, name, None):
            answers.put(key, str(getattr(arguments, name)), "you", f"given as --{name}")
    put_settings(answers, arguments.overrides)
    check_pretended(arguments)
    for key, name in (("pretend.vram_gb", "vram"), ("pretend.ram_gb", "ram"), ("pretend.gpus", "gpus")):
        if getattr(arguments, name, None) is not None:
            answers.put(key, f"{getattr(arguments, name):g}", "you", f"given as --{name}")
    return answers


def _apply(answers: Answers, flag: str, step: str, text: str) -> None:
    """Take a flag by the rules of its step. Raises UserError; a list to choose from is there on a page only."""
    try:
        flow.step(step).questions[-1].apply(answers, Facts(), text)
    except UserError as error:
        fix = error.fix.replace("Hub name, or choose one below", "Hub name")
        fix = fix.replace("choose one below", "give a name on the Hugging Face Hub")
        where = f"--{flag}" if error.where == flow.step(step).title else error.where
        raise UserError(error.what, where, fix) from error


def put_settings(answers: Answers, settings: Sequence[str]) -> None:
    """Take every `--set key=value`. Raises UserError for one that is none."""
    for setting in settings:
        key, mark, text = setting.partition("=")
        if not mark:
            raise UserError(f"{setting!r} has no value.", f"--set {setting}", "Write it as key=value.")
        name, value = _setting(answers, key.strip(), text.strip())
        answers.put(name, value, "you", "given as --set")


def _setting(answers: Answers, key: str, text: str) -> tuple[str, Value]:
    """A key of the recipe with its value; `data.map.ROLE=COLUMN` adds one column to those that were said before."""
    if not key.startswith(COLUMN):
        return key, parse_value(key, text)
    before = answers.values.get("data.map")
    known = before.value if before is not None and isinstance(before.value, dict) else {}
    return "data.map", {**known, key.removeprefix(COLUMN): text}


def check_pretended(arguments: Namespace) -> None:
    """UserError for a number of GPUs of which nothing else is known."""
    if getattr(arguments, "gpus", None) is not None and getattr(arguments, "vram", None) is None:
        fix = "Say how much memory each has, as in --vram 24 --gpus 2; or leave it out."
        raise UserError("--gpus pretends GPUs, and --vram says how large they are.", "--gpus", fix)


def require(answers: Answers, *keys: str) -> None:
    """UserError that lists every flag that is missing."""
    flags = {"model.source": "--model", "data.source": "--data"}
    missing = [flags[key] for key in keys if not answers.text(key)]
    if missing:
        word = "answers are" if len(missing) > 1 else "answer is"
        fix = f"Give {' and '.join(missing)}, or answer the questions: tunewright"
        raise UserError(f"{len(missing)} {word} missing: {', '.join(missing)}.", "command line", fix)


def look_up(answers: Answers, find: Callable[[Answers], ModelFiles] = looking.look_at_model) -> Facts:
    """Find out about machine, model and data, and plan; `find` looks for the model. Raises the first UserError."""
    facts = Facts()
    _settle(facts.machine, looking.machine_question(answers), lambda: looking.look_at_machine(answers))
    if answers.text("model.source"):
        _settle(facts.model, looking.model_question(answers), lambda: find(answers))
    if answers.text("data.source"):
        request = looking.data_request(answers, facts)
        _settle(facts.data, looking.data_question(answers, facts), lambda: run_job("data", request))
        if not answers.text("goal"):
            suggest_goal(answers, str((facts.data.value or {}).get("format", "")))
    if facts.model.value is not None:
        _settle(facts.plan, looking.plan_question(answers, facts), lambda: looking.make_plan(answers, facts))
    return facts


def _settle(found: Found[T], question: object, look: Callable[[], T]) -> None:
    found.ask(question)
    found.settle(question, look())


def recipe_of(arguments: Namespace) -> tuple[Recipe, Answers, Facts]:
    """The recipe that the flags mean, every value with its reason. Raises UserError."""
    from tui.steps import review

    answers = answers_of(arguments)
    require(answers, "model.source", "data.source")
    facts = look_up(answers)
    refuse_unusable_data(facts)
    return review.recipe(answers, facts), answers, facts


def recipe_from(path: Path, arguments: Namespace) -> tuple[Recipe, Answers, Facts]:
    """The recipe in a file with the flags laid over it, checked against model, data and machine. Raises UserError."""
    recipe = Recipe.load(path)
    changed = answers_of(arguments, recipe.answers)
    recipe = Recipe.from_answers({key: answer for key, answer in changed.values.items() if key in recipe.answers})
    # the plan must be for these very values, so none of them may be recommended anew
    fixed = {key: Answer(answer.value, "previous", answer.reason) for key, answer in recipe.answers.items()}
    extra = {key: answer for key, answer in changed.values.items() if key not in recipe.answers}
    answers = Answers(values={**fixed, **extra})
    facts = look_up(answers)
    refuse_unusable_data(facts)
    return recipe, answers, facts


def unusable_data(facts: Facts) -> UserError | None:
    """What keeps the data from being trained on, as the data job found it. Columns are mended by two flags."""
    result = facts.data.value or {}
    found = next((one for one in result.get("findings", ()) if one.get("severity") == "block"), None)
    if found is None:
        return None
    fix = f"{found.get('fix', '')} {columns_example(result)}".strip()
    return UserError(str(found.get("what", "")), str(found.get("where", "")), fix)


def columns_example(result: Mapping[str, Any]) -> str:
    """How columns are named by flags, where no format was recognised in what the data job found; else empty."""
    return "" if result.get("format") else 'As in: --set data.map.prompt="COLUMN" --set data.map.completion="COLUMN".'


def refuse_unusable_data(facts: Facts) -> None:
    """Said before the questions that hang on it, such as the goal. Raises UserError."""
    problem = unusable_data(facts)
    if problem is not None:
        raise problem


def check_room(answers: Answers, facts: Facts) -> None:
    """UserError when the disk has less room than the run needs."""
    from tui.steps.words import gigabytes

    plan, machine = facts.method_plan(facts.method(answers)), facts.machine.value
    if plan is None or machine is None or plan.disk_bytes <= machine.host.disk_free_bytes:
        return
    need, free = gigabytes(plan.disk_bytes), gigabytes(machine.host.disk_free_bytes)
    what = f"The disk has not enough room: the run needs about {need}, and {free} is free."
    fix = "Make room, choose another folder with --runs, or keep fewer checkpoints: --set checkpoints.keep=1."
    raise UserError(what, str(runs_root(answers.text("run.directory"))), fix)


def doubts(answers: Answers, facts: Facts, steps: Sequence[str] = flow.ORDER) -> list[str]:
    """What speaks against this run and does not forbid it: a method that does not fit, findings in the data."""
    found = [problem for name, problem in flow.problems(answers, facts) if name in steps and not problem.blocking]
    return [" ".join(filter(None, (problem.what, problem.where and f"({problem.where})", problem.fix)))
            for problem in found]  # fmt: skip
