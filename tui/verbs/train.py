"""`tunewright train`: make the recipe, make the run, start its engine, and leave."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from engine.machine.packages import require_training_packages
from engine.places import runs_root
from engine.plan.devices import check_devices, check_machine
from engine.recipe import Recipe
from engine.runs.detach import detachment, warnings_before_start
from engine.runs.nodes import ONE_NODE, Nodes, first_node
from engine.runs.process import launch, launch_rehearsal
from engine.runs.slurm_script import FILE
from engine.runs.store import Run, create_run
from engine.runs.unsloth_place import check_backend
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.review import keep_plan
from tui.verbs import cluster
from tui.verbs.making import answers_of, check_room, doubts, recipe_from, recipe_of
from tui.verbs.output import print_json, say, warn
from tui.verbs.places import word_for
from tui.verbs.screens import open_wizard
from tui.verbs.terminal import can_ask


def run(arguments: Namespace) -> int:
    """Start a run. Everything that can be wrong is checked before anything is created."""
    cluster.check_flags(arguments)
    if not arguments.slurm:
        require_training_packages()
    if _may_ask(arguments):
        return open_wizard(answers_of(arguments))
    if arguments.recipe:
        recipe, answers, facts = recipe_from(Path(arguments.recipe).expanduser(), arguments)
    else:
        recipe, answers, facts = recipe_of(arguments)
    if arguments.slurm:
        return _hand_in(recipe, answers, facts, arguments)
    nodes = first_node(arguments.nodes, arguments.rendezvous or "")
    started, pid = begin(recipe, answers, facts, arguments.name, arguments.rehearse_only, nodes)
    if arguments.json:
        print_json({"name": started.name, "path": str(started.path), "pid": pid})
        return 0
    if nodes.count > 1:
        cluster.tell_others(started, nodes)
    doing = "is rehearsing" if arguments.rehearse_only else "is training"
    say(f"{started.name} {doing} in the background (process {pid}). Its folder: {started.path}")
    if not arguments.follow:
        say(f"Watch it: tunewright attach {word_for(started)}. Stop it: tunewright stop {word_for(started)}.")
        return 0
    from tui.verbs.follow import follow

    return follow(started)


def begin(
    recipe: Recipe,
    answers: Answers,
    facts: Facts,
    name: str | None = None,
    rehearse: bool = False,
    nodes: Nodes = ONE_NODE,
) -> tuple[Run, int]:
    """Check the room, say the doubts, create the run and start its engine, or only its rehearsal. Raises UserError."""
    check_devices(recipe, recipe.training.devices * nodes.count)
    check_backend(recipe)
    check_machine(recipe, facts.machine.value)
    check_room(answers, facts)
    for doubt in (*doubts(answers, facts), *warnings_before_start(detachment())):
        warn(doubt)
    started = create_run(recipe, runs_root(recipe.run.directory), name or recipe.run.name or None)
    keep_plan(started, answers, facts)
    return started, launch_rehearsal(started) if rehearse else launch(started, nodes=nodes)


def _hand_in(recipe: Recipe, answers: Answers, facts: Facts, arguments: Namespace) -> int:
    made, job = cluster.hand_in(recipe, answers, facts, arguments)
    if arguments.json:
        print_json({"name": made.name, "path": str(made.path), "job": job, "script": str(made.path / FILE)})
        return 0
    cluster.tell(made, job)
    if not arguments.follow or not job:
        return 0
    from tui.verbs.follow import follow

    return follow(made)


def _may_ask(arguments: Namespace) -> bool:
    """Whether answers are missing and there is a person to ask."""
    missing = not (arguments.recipe or (arguments.model and arguments.data))
    return missing and not arguments.no_input and not arguments.json and can_ask()
