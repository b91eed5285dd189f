"""`tunewright plan`: which method fits, why, and what it takes."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.models.find import TRAINABLE_QUANTIZATION, ModelFiles
from engine.models.spec import ModelSpec, refuse_unusable, spec_from_config
from engine.models.tokenizer_files import read_json
from engine.plan.asking import simulation_request
from engine.plan.memory import memory_of
from engine.plan.several_gpus import best_sharing, sharings
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.jobs import run_job
from tui.steps import looking
from tui.steps.words import METHOD_TITLES, count, duration, gigabytes, shown
from tui.verbs.making import answers_of, doubts, look_up, require, unusable_data
from tui.verbs.output import fields, paragraph, print_json, say, table, warn

if TYPE_CHECKING:
    from engine.plan.plan import MethodPlan, Plan

FITS = {"fits": "yes", "tight": "tight", "no": "no"}
WAYS = {"ddp": "data parallel", "fsdp2": "sharded, FSDP2", "zero2": "sharded, ZeRO-2", "zero3": "sharded, ZeRO-3"}


def run(arguments: Namespace) -> int:
    """Plan and say it; exit code 0 also when nothing fits, since the plan is the answer."""
    if arguments.calibration:
        from tui.verbs.calibration import calibrate

        return calibrate(arguments)
    answers = answers_of(arguments)
    require(answers, "model.source")
    facts = look_up(answers, model_to_plan)
    plan = facts.plan.value
    assert plan is not None, "a model was given, so there is a plan"
    if arguments.simulate:
        assert facts.model.value is not None, "there is a plan, so there is a model"
        plan = simulated(plan, facts.model.value)
    if arguments.json:
        print_json(plan.as_dict())
        return 0
    problem = unusable_data(facts)
    if problem is not None:
        warn(f"The plan is for data that cannot be trained on as it is. {problem}")
    for doubt in doubts(answers, facts, ("data",)):
        warn(doubt)
    show(plan, facts.method(answers))
    return 0


def simulated(plan: Plan, model: ModelFiles) -> Plan:
    """The plan with each usable method's estimate replaced by a simulation of its settings.

    What cannot be simulated keeps its estimate, and stderr says why.
    """
    for method in plan.methods:
        if not method.available:
            continue
        try:
            answer = run_job("simulate", simulation_request(plan.machine, model, method))
        except UserError as error:
            warn(f"{METHOD_TITLES.get(method.name, method.name)} stays an estimate. {error.what}")
            continue
        plan = plan.with_memory(method.name, memory_of(answer["memory"]))
    return plan


def model_to_plan(answers: Answers) -> ModelFiles:
    """The model, also when its folder holds no more than a config.json: a plan needs neither tokenizer nor weights.

    What is missing for training is said on stderr. Raises UserError for what cannot be planned either.
    """
    try:
        return looking.look_at_model(answers)
    except UserError as error:
        folder = Path(answers.text("model.source")).expanduser()
        if not (folder / "config.json").is_file():
            raise
        spec = _spec_alone(folder / "config.json", error)
        warn(f"{error.what} The plan needs only config.json; training needs the rest.")
        return ModelFiles(str(folder), None, "", spec, None, False, 0, False)


def _spec_alone(file: Path, error: UserError) -> ModelSpec:
    """The sizes in a config.json. Raises UserError; `error` when the weights are in a form that cannot be trained."""
    config = read_json(file)
    refuse_unusable(config, str(file))
    spec = spec_from_config(config, str(file))
    if spec.quantization and spec.quantization not in TRAINABLE_QUANTIZATION:
        raise error
    return spec


def show(plan: Plan, name: str = "") -> None:
    """The plan as text: the three methods side by side, then the memory and the settings of the one called `name`.

    Without a name that second part is left out.
    """
    spec, gpu = plan.spec, plan.machine.best_gpu
    device = f"{gpu.name}, {gigabytes(gpu.free_bytes)} free" if gpu else "no GPU: the processor and its RAM"
    say(*fields({"Model": f"{spec.architecture}, {count(spec.parameters)} parameters", "Machine": device}))
    paragraph(f"Recommended: {METHOD_TITLES.get(plan.recommended, plan.recommended)}. {plan.reason}")
    for note in plan.notes:
        paragraph(note)
    head = ("method", "fits", "GPU memory" if gpu else "memory", "RAM", "disk", "time")
    say("", *table(head, [_row(method) for method in plan.methods], right=(2, 3, 4, 5)), "")
    for method in plan.methods:
        paragraph(f"{METHOD_TITLES.get(method.name, method.name)}: {' '.join((method.reason, *method.warnings))}")
    _show_sharing(plan)
    chosen = next((method for method in plan.methods if method.name == name), None)
    if chosen is not None:
        _show_method(chosen)


def _row(method: MethodPlan) -> tuple[str, ...]:
    time = duration(method.seconds) if method.seconds else "?"
    fits = FITS.get(method.verdict, method.verdict) if method.available else "no"
    return (METHOD_TITLES.get(method.name, method.name), fits,
            gigabytes(method.memory.total_bytes), gigabytes(method.host_memory_bytes), gigabytes(method.disk_bytes),
            time)  # fmt: skip


def _show_sharing(plan: Plan) -> None:
    """Several GPUs: the need of each, by way; nothing is shown for one."""
    rows = []
    for method in plan.methods:
        found = sharings(method, plan.spec, plan.machine.nvidia_gpus)
        best = best_sharing(found)
        for one in found:
            rows.append((METHOD_TITLES.get(method.name, method.name), WAYS[one.way], FITS[one.verdict],
                         gigabytes(one.need_bytes), "the fastest that fits" if one is best else ""))  # fmt: skip
    if not rows:
        return
    say("", f"On {len(plan.machine.nvidia_gpus)} GPUs, each (by formula, less certain than the plan for one):")
    say(*(f"  {line}" for line in table(("method", "way", "fits", "memory", ""), rows, right=(3,))))
    for method in plan.methods:
        paragraph(f"{METHOD_TITLES.get(method.name, method.name)}: {method.answers['training.devices'].reason}")


def _show_method(method: MethodPlan) -> None:
    memory = method.memory
    say("", f"Memory of {METHOD_TITLES.get(method.name, method.name)} ({memory.certainty}):")
    parts = sorted(memory.parts.items(), key=lambda part: -part[1])
    say(*(f"  {line}" for line in fields({name: gigabytes(size) for name, size in parts if size > 0})))
    say("", "Settings:")
    answers = {key: method.answers[key] for key in KEYS if key in method.answers}
    lines = fields({key: shown(answer.value) for key, answer in answers.items()})
    width = max(map(len, lines), default=0)
    for line, answer in zip(lines, answers.values(), strict=True):
        say(f"  {line.ljust(width)}  {answer.source}: {answer.reason}")
