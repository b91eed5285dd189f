"""Step 2: whether to fine-tune at all, and what the model should learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from engine.errors import UserError
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem


@dataclass(frozen=True)
class Need:
    """A reason to change a model: what is usually right for it, in a sentence or two."""

    id: str
    title: str
    consequence: str
    advice: str
    fits: bool
    """Whether fine-tuning is the usual answer."""


@dataclass(frozen=True)
class Approach:
    """One way to get a better answer out of a model, for the comparison."""

    name: str
    best_for: str
    effort: str
    cost: str


NEEDS = (
    Need("task", "It should do one task reliably", "Task-specific behaviour: fine-tuning fits.",
         "Fine-tuning fits: the model learns the task and its form from your examples.", True),
    Need("style", "It should always answer in one style", "Consistent style: fine-tuning fits.",
         "Fine-tuning fits: a tone or a format is learned from a few hundred good examples.", True),
    Need("domain", "It should know the language of my field", "Domain expertise: fine-tuning fits.",
         "Fine-tuning fits. If your field reads like another language, continued pre-training on raw text comes first; "
         "its effort is very high. Choose \"Continue raw text\" below for that.", True),
    Need("rag", "I tried search plus a prompt (RAG), and it is not enough", "Fine-tuning adds the behaviour to it.",
         "Fine-tuning fits, and it works together with RAG: search brings the facts, training the behaviour.", True),
    Need("facts", "It should know fresh or changing facts", "RAG usually fits better.",
         "RAG fits better: facts that change belong in a search index that you can update in a minute. A fine-tuned "
         "model keeps what was true on the day of its training. You may still go on.", False),
    Need("quick", "I want a better answer today", "A better prompt usually comes first.",
         "Try prompt engineering first: it costs minutes, and what you learn becomes your training data. "
         "You may still go on.", False),
)  # fmt: skip
APPROACHES = (
    Approach("Prompt engineering", "quick iterations", "low", "low"),
    Approach("RAG (search plus prompt)", "dynamic knowledge", "medium", "medium"),
    Approach("Fine-tuning", "behaviour change", "high", "high"),
    Approach("Continued pre-training", "large domain shift", "very high", "very high"),
)
"""The documented alternatives, in the order of their cost."""

GOALS = (
    Option("instruction", "Follow instructions", "Answers requests the way your examples do."),
    Option("structured", "Give structured output", "Turns a text into JSON or another fixed form."),
    Option("classification", "Sort texts into classes", "Gives each text one of a few labels."),
    Option("chat", "Hold a conversation", "Several turns with a tone or a role."),
    Option("code", "Write code", "Completes or writes programs in your style."),
    Option("text", "Continue raw text", "Learns from plain text without questions and answers."),
)
GOAL_OF_FORMAT = {"classification": "classification", "messages": "chat", "sharegpt": "chat", "text": "text"}
"""What data in this format most likely teaches; every other format is "instruction"."""
TITLES = {option.value: option.title for option in GOALS}
HELP = """\
Fine-tuning changes how a model behaves. It is worth its effort in four cases: the model should know the language of a \
field, keep one style, do one task reliably, or RAG alone was not enough.

Facts that change every week are better kept outside the model (RAG). A quick improvement is better tried with a \
prompt. Both take less time and money.

The use case is held against your data: the Data page says when the rows teach something else. With much raw text it \
also speaks for full fine-tuning. How rows are read and how answers are measured follows from the rows themselves."""


def approach_lines(width: int) -> list[str]:
    """The alternatives: a line for each in columns where `width` cells hold them, else wrapped with an indent."""
    worth = [f"{one.effort} effort and cost" if one.effort == one.cost else f"{one.effort} effort, {one.cost} cost"
             for one in APPROACHES]  # fmt: skip
    columns = [f"  {one.name:<26}{one.best_for:<20}{last}" for one, last in zip(APPROACHES, worth, strict=True)]
    if max(map(len, columns)) <= width:
        return columns
    lines: list[str] = []
    for one, last in zip(APPROACHES, worth, strict=True):
        lines += wrap(f"{one.name}: {one.best_for}, {last}", max(30, width), initial_indent="  ",
                      subsequent_indent="    ")  # fmt: skip
    return lines


def suggest_goal(answers: Answers, data_format: str) -> None:
    """Answer the goal from the format of the data; without a format it stays open."""
    if data_format and data_format != "auto":
        goal = GOAL_OF_FORMAT.get(data_format, "instruction")
        answers.put("goal", goal, "detected", f"told from the format of the data: {data_format}")


def need(answers: Answers) -> Need | None:
    """The reason that was given."""
    return next((one for one in NEEDS if one.id == answers.text("need")), None)


def need_options(answers: Answers, facts: Facts) -> list[Option]:
    """The documented reasons, with what usually fits."""
    return [Option(one.id, one.title, one.consequence) for one in NEEDS]


def goal_options(answers: Answers, facts: Facts) -> list[Option]:
    """The use cases."""
    return list(GOALS)


def apply_need(answers: Answers, facts: Facts, text: str) -> None:
    """Store the reason. It is advice only; it changes no setting."""
    if text not in {one.id for one in NEEDS}:
        raise UserError(f"{text!r} is not among the reasons.", "Goal", "Choose one from the list.")
    if text != answers.text("need"):
        answers.put("need", text, "you", "your reason to fine-tune")


def apply_goal(answers: Answers, facts: Facts, text: str) -> None:
    """Store the use case."""
    if text not in TITLES:
        raise UserError(f"{text!r} is not a use case.", "Goal", f"Use one of: {', '.join(TITLES)}.")
    if text != answers.text("goal"):
        answers.put("goal", text, "you", "your choice")


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """A use case is needed; an unusual reason is only said."""
    found = []
    reason = need(answers)
    if reason is not None and not reason.fits:
        found.append(Problem(reason.advice, "Goal", blocking=False))
    if not answers.text("goal"):
        found.append(Problem("The use case is not chosen yet.", "Goal", "Choose what the model should learn."))
    return found


SINGLE_TURN = ("instruction", "prompt_completion", "input_output", "classification")


def mismatches(answers: Answers, result: Mapping[str, Any] | None) -> list[Problem]:
    """What the rows teach instead of the use case; `result` is that of the data job. It is only said."""
    goal, name = answers.text("goal"), str((result or {}).get("format", ""))
    if not goal or not name or not result:
        return []
    title = TITLES[goal]
    if name == "text" and goal != "text":
        what = f'The rows are plain text, so the model learns to go on with it. Your goal is "{title}".'
        return [_mismatch(what, "For answers give rows with questions and answers.")]
    if goal == "text" and name != "text":
        what = f'The rows hold questions and answers, so answers are learned. Your goal is "{title}".'
        return [_mismatch(what, 'For text as it stands give a .txt file, or read the rows as "plain text".')]
    if goal == "chat" and name in SINGLE_TURN:
        what = f'Every row is one question and one answer, so later turns are not learned. Your goal is "{title}".'
        return [_mismatch(what, "For those give rows with messages.")]
    if goal == "classification" and name not in ("classification", "kto") and not result.get("labels"):
        what = f'No labels were found in the rows, so answers are learned as free text. Your goal is "{title}".'
        return [_mismatch(what, 'Where there is a column of labels, read the rows as "text and label".')]
    return []


def _mismatch(what: str, fix: str) -> Problem:
    return Problem(what, "Goal", fix, blocking=False)


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review."""
    return TITLES.get(answers.text("goal"), "not chosen yet")


STEP = Step(
    name="goal",
    title="Goal",
    question="What do you want to change?",
    help=HELP,
    questions=(
        Question("need", "What is missing when you use the model as it is?", need_options, apply_need),
        Question("goal", "What should the model learn to do?", goal_options, apply_goal),
    ),
    validate=validate,
    summary=summary,
    later=("data", "method", "settings"),
    keys=("need", "goal"),
)
