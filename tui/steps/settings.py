"""Step 6: every value of the run, each with where it came from and why. None of them needs a change."""

from __future__ import annotations

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe_keys import KEYS, Key, parse_value
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.contradictions import contradictions
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem
from tui.steps.setting_rows import NOT_HERE, rows
from tui.steps.words import METHOD_TITLES, shown

CONTINUE = "continue"
HELP = """\
Every value here was chosen from your machine, model and data, and says why. Press Enter to take them all.

To change one, move to it and press Enter. The value that you type is marked "you", and r sets it back to the \
recommended one. The e key shows the values that experts change."""


def set_value(answers: Answers, facts: Facts, key: str, text: str) -> bool:
    """Store one setting from typed text; True when something changed.

    Raises UserError for text that is no value of this key; the text stays as a draft. The recommended value, or no
    text at all, gives the setting back to the recommendation.
    """
    if not text.strip():
        return answers.drop(key)
    answers.drafts[key] = text
    value = parse_value(key, text.strip())
    if key == "run.name":
        from engine.runs.store import check_name

        check_name(str(value))
    if value == facts.settings(answers).get(key, Answer(KEYS[key].default, "recommended", "")).value:
        answers.drafts.pop(key, None)
        return False
    return answers.put(key, value, "you", "your choice")


def reset(answers: Answers, key: str | None = None) -> bool:
    """Give one setting, or all of them, back to the recommendation; True when something changed."""
    names = [key] if key else [name for name in KEYS if name not in NOT_HERE]
    dropped = [answers.drop(name) for name in names]  # every one of them, not up to the first
    return any(dropped)


def options(answers: Answers, facts: Facts) -> list[Option]:
    """For the plain prompts: go on, or change a value. The experts' values come last."""
    first = Option(CONTINUE, "Use these values", "Nothing needs a change.", recommended=True)
    usual = rows(answers, facts)
    known = {row.key.name for row in usual}
    found = usual + [row for row in rows(answers, facts, expert=True) if row.key.name not in known]
    return [first, *(Option(row.key.name, row.key.title, f"{row.value or 'not set'}. {row.answer.source}: "
                            f"{row.answer.reason}") for row in found)]  # fmt: skip


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """Take "continue", or `key=value` as with --set."""
    if text in ("", CONTINUE):
        return
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{text!r} changes nothing.", "Settings", "Write key=value, such as training.epochs=2.")
    set_value(answers, facts, key.strip(), value.strip())


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """Typed text that is no value, and values that contradict the model or the data."""
    found = []
    for key, text in answers.drafts.items():
        if key in KEYS and key not in NOT_HERE:
            try:
                parse_value(key, text.strip())
            except UserError as error:
                found.append(Problem(error.what, KEYS[key].title, error.fix))
    return [*found, *contradictions(facts.settings(answers), facts)]


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review: the values that matter most and how many are the person's own."""
    in_force = facts.settings(answers)
    parts = []
    for key, words in (("training.epochs", "epochs"), ("training.learning_rate", "learning rate"),
                       ("training.sequence_length", "tokens per row")):  # fmt: skip
        if key in in_force:
            parts.append(f"{words} {shown(in_force[key].value)}")
    own = [key for key in answers.chosen() if key not in NOT_HERE]
    changed = f"{len(own)} changed by you" if own else "all recommended"
    return ", ".join([*parts, changed])


def explain(key: Key) -> str:
    """What a setting is, what more or less of it does and what it may be: the text behind `?`."""
    lines = [key.help]
    if key.more_or_less:
        lines.append(key.more_or_less)
    if key.choices:
        lines.append(f"It is one of: {', '.join(METHOD_TITLES.get(one, one) for one in key.choices)}.")
    elif key.kind in {"int", "float"}:
        lines.append(f"It may be {key.range_text()}{' ' + key.unit if key.unit else ''}.")
    touch = "Experts change it when they know why; the recommended value is right for nearly every run."
    lines.append(touch if key.expert else "Change it when the reason shown beside it does not hold for you.")
    lines.append(f"On the command line: --set {key.name}={shown(key.default) or '...'}")
    return "\n\n".join(lines)


STEP = Step(
    name="settings",
    title="Settings",
    question="These values will be used.",
    help=HELP,
    questions=(Question("settings", "Use these values?", options, apply,
                        free="key=value changes one, such as training.epochs=2"),),
    validate=validate,
    summary=summary,
    keys=tuple(name for name in KEYS if name not in NOT_HERE),
)  # fmt: skip
