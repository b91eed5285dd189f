"""What the answers ask to be looked up, and looking it up: the machine, the model, the data, the plan.

The functions that look things up may take seconds and import what they need only when called; the app runs them in
threads, the plain prompts call them directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps.facts import Facts

if TYPE_CHECKING:
    from engine.data.summary import DataSummary
    from engine.machine.detect import Machine
    from engine.models.find import ModelFiles
    from engine.plan.plan import Plan

PREVIEW_ROWS = 10
DATA_KEYS = tuple(key for key in KEYS if key.startswith("data.") and key != "data.source")
"""Everything that says how the data is read."""


def machine_question(answers: Answers) -> object:
    """What decides which machine is planned for."""
    pretended = (answers.text(f"pretend.{name}") for name in ("vram_gb", "ram_gb", "gpus"))
    return ("machine", *pretended, answers.text("run.directory"))


def model_question(answers: Answers) -> object:
    """What decides which model is looked up; None without a model."""
    source = answers.text("model.source")
    return (source, answers.text("model.revision")) if source else None


def data_question(answers: Answers, facts: Facts) -> object:
    """What decides how the data is read; None without data. The model counts, since it renders the rows."""
    source = answers.text("data.source")
    if not source:
        return None
    directory = tokenizer_directory(facts)
    keys = (*DATA_KEYS, "goal", "method.objective")
    return (source, str(directory or ""), *(answers.text(key) for key in keys), _most_rows(answers),
            shown_length(answers, facts))  # fmt: skip


def shown_length(answers: Answers, facts: Facts) -> int:
    """The sequence length at which rows are shown cut; 0 while no row is longer, or lengths are unknown."""
    longest = int(((facts.data.value or {}).get("lengths") or {}).get("longest", 0))
    in_force = facts.settings(answers).get("training.sequence_length")
    length = in_force.value if in_force is not None and isinstance(in_force.value, int) else 0
    return length if 0 < length < longest else 0


def _chosen_length(answers: Answers) -> int:
    """The sequence length that the person set, known before any row was counted; 0 when it is recommended."""
    chosen = answers.chosen().get("training.sequence_length")
    return chosen.value if chosen is not None and isinstance(chosen.value, int) else 0


def _most_rows(answers: Answers) -> int:
    """How many rows the person lets it learn from at most; 0 for all."""
    chosen = answers.chosen().get("data.max_rows")
    return chosen.value if chosen is not None and isinstance(chosen.value, int) else 0


def plan_question(answers: Answers, facts: Facts) -> object:
    """What the plan stands on; None while machine or model are unknown."""
    if facts.machine.value is None or facts.model.value is None:
        return None
    given = {key: answer for key, answer in answers.chosen().items() if key not in ("method.name", "run.name")}
    chosen = tuple(sorted((key, str(answer.value)) for key, answer in given.items()))
    # how rows are shown is the last part of the question, and does not matter for the plan
    data = facts.data.asked[:-1] if isinstance(facts.data.asked, tuple) and facts.data.value is not None else None
    return (facts.machine.asked, facts.model.asked, data, answers.text("goal"), chosen)


def remedy_question(answers: Answers, facts: Facts) -> object:
    """What decides the remedy; None while everything fits."""
    plan = facts.plan.value
    if plan is None or facts.plan.busy or any(method.fits for method in plan.methods):
        return None
    return (facts.plan.asked, facts.method(answers))


def look_at_machine(answers: Answers) -> Machine:
    """This machine, or the one that is pretended."""
    from engine.machine.detect import detect_machine, pretend

    directory = answers.text("run.directory")
    machine = detect_machine(Path(directory).expanduser() if directory else None)
    vram, ram = answers.text("pretend.vram_gb"), answers.text("pretend.ram_gb")
    if vram or ram:
        count = max(1, int(answers.text("pretend.gpus") or 1))
        return pretend(machine, float(vram) if vram else None, float(ram) if ram else None, count)
    return machine


def look_at_model(answers: Answers) -> ModelFiles:
    """The model's configuration and tokenizer, never its weights. Raises UserError."""
    from engine.models.find import find_model

    return find_model(answers.text("model.source"), answers.text("model.revision"))


def tokenizer_directory(facts: Facts) -> Path | None:
    """Where the model's tokenizer and chat template are; its weights may still be on the Hub. None without a model."""
    model = facts.model.value
    if model is None:
        return None
    if model.directory is not None:
        return model.directory
    return model.tokenizer_path.parent if model.tokenizer_path is not None else None


def data_request(answers: Answers, facts: Facts) -> dict[str, Any]:
    """The request of the "data" job."""
    request: dict[str, Any] = {"source": answers.text("data.source"), "previews": PREVIEW_ROWS}
    directory = tokenizer_directory(facts)
    if directory is not None:
        request["model"] = str(directory)
    if facts.model.value is not None:
        request["context_length"] = facts.model.value.spec.context_length
    for key in DATA_KEYS:
        if key in answers.values:
            request[key.split(".")[1]] = answers.values[key].value
    if "method.objective" in answers.values:
        request["objective"] = answers.text("method.objective")
    if "goal" in answers.values:
        request["goal"] = answers.text("goal")
    if most := _most_rows(answers):
        request["limit"] = most
    length = shown_length(answers, facts) or _chosen_length(answers)
    if length:
        request["sequence_length"] = length
    return request


def make_plan(answers: Answers, facts: Facts) -> Plan:
    """What fits, what is recommended and why. Raises UserError."""
    from engine.plan.recommend import recommend

    machine, model = facts.machine.value, facts.model.value
    assert machine is not None and model is not None
    # the chosen method is left out, so that the recommendation stays what it would be without it
    chosen = {key: answer for key, answer in answers.chosen().items() if key != "method.name"}
    goal = answers.text("goal") or "instruction"
    return recommend(machine, model, data_summary(facts.data.value), goal, None, chosen)


def data_summary(result: Mapping[str, Any] | None) -> DataSummary | None:
    """The part of a data job's result that the planner reads; None while the rows were not measured."""
    if not result or not result.get("summary"):
        return None
    from engine.data.summary import DataSummary

    return DataSummary.from_dict(result["summary"])
