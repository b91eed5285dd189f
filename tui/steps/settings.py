"""Step 6: every value of the run, each with where it came from and why. None of them needs a change."""

from __future__ import annotations

from dataclasses import dataclass

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe_keys import KEYS, Key, parse_value
from tui.answers import Answers
from tui.steps import devices
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem, Remedy
from tui.steps.words import METHOD_TITLES, shown

NOT_HERE = ("model.source", "model.revision", "data.source", "data.format", "data.map", "method.name")
"""These have their own pages."""
ADAPTER_KEYS = ("method.rank", "method.alpha", "method.dropout", "method.target_modules", "method.layers",
                "method.dora", "method.rslora", "method.train_embeddings")  # fmt: skip
COMPARED_FORMATS = ("preference", "kto")
CONTINUE = "continue"
HELP = """\
Every value here was chosen from your machine, model and data, and says why. Press Enter to take them all.

To change one, move to it and press Enter. The value that you type is marked "you", and r sets it back to the \
recommended one. The e key shows the values that experts change."""


@dataclass(frozen=True)
class Row:
    """One setting as it is shown."""

    key: Key
    value: str
    answer: Answer
    recommended: str
    """The value that `reset` would bring back."""

    @property
    def own(self) -> bool:
        """Whether the person changed it."""
        return self.answer.source in ("you", "previous")


def visible_keys(answers: Answers, facts: Facts, expert: bool) -> list[Key]:
    """The settings that matter here: without the adapter's for full fine-tuning, experts' only when wanted.

    An expert value that a person changed is always shown.
    """
    full = facts.method(answers) == "full"
    own = answers.chosen()
    keys = [key for key in KEYS.values() if key.name not in NOT_HERE]
    keys = [key for key in keys if not (full and key.name in ADAPTER_KEYS)]
    objective = value_in_force(answers, facts, "method.objective", "sft")
    compares = str((facts.data.value or {}).get("format", "")) in COMPARED_FORMATS
    if objective == "sft" and not compares and not expert:
        keys = [key for key in keys if key.name != "method.objective"]
    return [key for key in keys if expert or not key.expert or key.name in own or key.name in answers.drafts]


def value_in_force(answers: Answers, facts: Facts, key: str, usual: str) -> str:
    """The value of a setting as text; `usual` while nothing is planned."""
    found = facts.settings(answers).get(key)
    return str(found.value) if found is not None else usual


def rows(answers: Answers, facts: Facts, expert: bool = False) -> list[Row]:
    """The visible settings with value, source and reason."""
    in_force = facts.settings(answers)
    plan = facts.method_plan(facts.method(answers))
    return [_row(key, in_force, plan.answers if plan else {}) for key in visible_keys(answers, facts, expert)]


def _row(key: Key, in_force: dict[str, Answer], recommended: dict[str, Answer]) -> Row:
    usual = Answer(key.default, "recommended", _usual_reason(key))
    answer = in_force.get(key.name, usual)
    base = recommended.get(key.name, usual)
    # the plan repeats what the person set, so the value to go back to is only known when it is not the person's
    value = "" if base.source in ("you", "previous") else shown(base.value)
    return Row(key, shown(answer.value), answer, value)


def _usual_reason(key: Key) -> str:
    if key.name == "run.name":
        return "made from the model and the method when the run starts"
    if key.name == "run.directory":
        return "the usual place for runs"
    return "the usual value"


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
    found.extend(_against_model(answers, facts))
    found.extend(devices.problems(facts.settings(answers)))
    return found


def _against_model(answers: Answers, facts: Facts) -> list[Problem]:
    found = []
    in_force = facts.settings(answers)
    model, length = facts.model.value, in_force.get("training.sequence_length")
    if model is not None and length is not None and model.spec.context_length:
        longest = model.spec.context_length
        if isinstance(length.value, int) and length.value > longest:
            what = f"The sequence length of {length.value:,} is more than the model's {longest:,} tokens."
            remedy = Remedy(f"Use {longest:,}", "training.sequence_length", longest)
            found.append(Problem(what, "Settings", f"Use at most {longest:,}.", remedy=remedy))
    found.extend(_against_data(in_force, facts))
    found.extend(_against_trackers(in_force))
    found.extend(_against_machine(in_force, facts))
    held, total = in_force.get("evaluation.held_out_rows"), int((facts.data.value or {}).get("rows", 0))
    if held is not None and total and isinstance(held.value, int) and held.value >= total:
        suggested = max(1, total // 20)
        what = f"{held.value:,} rows are held out of {total:,}, so nothing is left to train on."
        remedy = Remedy(f"Use {suggested}", "evaluation.held_out_rows", suggested)
        found.append(Problem(what, "Settings", f"Hold out fewer, such as {suggested}.", remedy=remedy))
    return found


def _against_machine(in_force: dict[str, Answer], facts: Facts) -> list[Problem]:
    """What cannot be done on this machine."""
    offloading, machine = in_force.get("training.activation_offloading"), facts.machine.value
    if offloading is None or offloading.value is not True or machine is None:
        return []
    if machine.best_gpu is not None and machine.best_gpu.kind != "mps":
        return []
    what = "Activations can only be offloaded from a GPU to the host's memory."
    remedy = Remedy("Switch it off", "training.activation_offloading", False)
    return [Problem(what, "Settings", "Switch activation offloading off.", remedy=remedy)]


def _against_trackers(in_force: dict[str, Answer]) -> list[Problem]:
    """A tracker whose package is missing, before anything starts."""
    from engine.machine.trackers import require_trackers

    wanted = in_force["tracking.to"].value if "tracking.to" in in_force else []
    try:
        require_trackers(wanted if isinstance(wanted, list) else [])
    except UserError as error:
        return [Problem.of(error)]
    return []


def _against_data(in_force: dict[str, Answer], facts: Facts) -> list[Problem]:
    """An objective that these rows do not serve, or cannot go together with another setting."""
    needed = {"dpo": "preference", "orpo": "preference", "kto": "kto", "classify": "classification"}
    objective = str(in_force["method.objective"].value) if "method.objective" in in_force else "sft"
    name = str((facts.data.value or {}).get("format", ""))
    if name and needed.get(objective, name) != name:
        what = f"{objective.upper()} needs rows in the format {needed[objective]}, and these are read as {name}."
        better = {"preference": "dpo", "kto": "kto"}.get(name, "sft")
        remedy = Remedy(f"Use {better}", "method.objective", better)
        return [Problem(what, "Settings", f"Set the objective to {better}.", remedy=remedy)]
    packing = in_force.get("training.packing")
    if objective != "sft" and packing is not None and packing.value is True:
        remedy = Remedy("Switch packing off", "training.packing", False)
        return [Problem("Rows that are compared cannot be packed.", "Settings", "Switch packing off.", remedy=remedy)]
    return []


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
