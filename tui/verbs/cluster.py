"""`tunewright train --slurm` and `--nodes`: the same run, carried out elsewhere or by several machines."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path

import engine
from engine.errors import UserError
from engine.places import runs_root
from engine.plan.devices import check_devices
from engine.recipe import Recipe
from engine.runs.nodes import Nodes, command_on
from engine.runs.slurm import submit
from engine.runs.slurm_script import FILE, Resources, script
from engine.runs.store import Run, create_run
from tui.answers import Answers
from tui.steps.facts import Facts
from tui.steps.review import keep_plan
from tui.verbs.making import check_room, doubts
from tui.verbs.output import say, warn
from tui.verbs.places import word_for

CPUS_PER_GPU, CPUS_WITHOUT_GPU = 4, 1
"""One for the process, the rest for its libraries' threads and for rendering the data before the first step."""
USUAL_SECONDS = 4 * 3600.0
"""When no data was measured, so that there is no estimate."""


def hand_in(recipe: Recipe, answers: Answers, facts: Facts, arguments: Namespace) -> tuple[Run, str]:
    """Make the run and its job file, and submit it where sbatch is. The run, and the job's number or nothing."""
    check_devices(recipe, recipe.training.devices * arguments.nodes)
    check_room(answers, facts)
    for doubt in doubts(answers, facts):
        warn(doubt)
    made = create_run(recipe, runs_root(recipe.run.directory), arguments.name or recipe.run.name or None)
    keep_plan(made, answers, facts)
    path = made.path / FILE
    path.write_text(script(made.path, made.name, sys.executable, resources(recipe, answers, facts, arguments.nodes),
                           checkout()), encoding="utf-8")  # fmt: skip
    path.chmod(0o700)
    return made, submit(made, path) if shutil.which("sbatch") else ""


def tell(made: Run, job: str) -> None:
    """Say what was made and what comes next."""
    path = made.path / FILE
    if not job:
        say(f"The job file is written: {path}",
            f"There is no sbatch here. On a machine of the cluster: sbatch {path}")  # fmt: skip
        return
    word = word_for(made)
    say(f"{made.name} is handed in as SLURM job {job}. Its file, to be read and changed: {path}",
        f"Watch it, also while it waits: tunewright attach {word}. Stop it: tunewright stop {word}.")  # fmt: skip


def resources(recipe: Recipe, answers: Answers, facts: Facts, nodes: int) -> Resources:
    """What the plan says that each node needs."""
    plan, machine = facts.method_plan(facts.method(answers)), facts.machine.value
    devices = recipe.training.devices
    gpus = devices if machine is not None and machine.gpus else 0
    seconds = plan.seconds if plan is not None and plan.seconds else USUAL_SECONDS
    memory = plan.host_memory_bytes * 5 // 4 if plan is not None else 16 * 10**9
    cpus = devices * (CPUS_PER_GPU if gpus else CPUS_WITHOUT_GPU)
    return Resources(nodes, gpus, cpus, memory, seconds / nodes)


def checkout() -> str:
    """The folder that Python has to look in for this program, where it is not installed; else empty."""
    home = Path(engine.__file__).parent.parent
    return "" if "site-packages" in home.parts else str(home)


def tell_others(run: Run, nodes: Nodes, resume: bool = False) -> None:
    """Say what is to be typed on the other machines."""
    for rank in range(1, nodes.count):
        say(f"On machine {rank + 1} of {nodes.count}, where {run.path} is the same folder:",
            f"  {command_on(nodes, rank, run.path, resume)}")  # fmt: skip
    say(f"They meet at {nodes.address}, port {nodes.port}: choose another with --rendezvous HOST:PORT. "
        "Where gloo or NCCL take the wrong network, set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME.")  # fmt: skip


def check_flags(arguments: Namespace) -> None:
    """UserError for flags that contradict each other."""
    if arguments.rendezvous and arguments.nodes == 1:
        raise UserError("--rendezvous is for a run that several machines share.", "--rendezvous",
                        "Say how many: --nodes 2.")  # fmt: skip
    if arguments.vram is not None and not arguments.slurm:
        raise UserError("--vram pretends a machine, and a run needs a real one.", "--vram",
                        "With --slurm it says what GPUs the nodes have; without it, leave it out.")  # fmt: skip
    if arguments.slurm and arguments.rehearse_only:
        raise UserError("--rehearse-only measures this machine, and --slurm uses another one.", "command line",
                        "Give one of them.")  # fmt: skip
