"""`stop`, `save`, `pause` and `resume`: ask a run for something and wait for its answer."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from engine.errors import UserError
from engine.plan.devices import check_devices
from engine.runs.control import request
from engine.runs.events import Event
from engine.runs.history import History, load_history
from engine.runs.liveness import Liveness, liveness
from engine.runs.nodes import first_node
from engine.runs.resume import check_resumable, has_begun, resume_run
from engine.runs.slurm import cancel, job_of
from engine.runs.store import Run
from tui.verbs.cluster import tell_others
from tui.verbs.output import print_json, say, warn
from tui.verbs.places import run_of, word_for

POLL_SECONDS = 0.1
NO_ANSWER = 1
ENDING = ("stop", "pause")
Done = Callable[[History, Run], str]
"""A sentence when what was asked for has happened; empty until then."""


def stop(arguments: Namespace) -> int:
    """Save a checkpoint and end; what has already ended is no error."""
    run = run_of(arguments)
    now = liveness(run)
    if now.state == "queued":
        return _take_out(arguments, run)
    if not now.alive:
        return _tell(arguments, run, "stop", True, f"Nothing runs. {now.detail}")
    return _ask(arguments, run, "stop", _ended)


def _take_out(arguments: Namespace, run: Run) -> int:
    job = job_of(run)
    if cancel(job):
        return _tell(arguments, run, "stop", True, f"SLURM job {job} was taken out of the queue.")
    return _tell(arguments, run, "stop", False, f"SLURM did not take job {job} out of the queue.")


def save(arguments: Namespace) -> int:
    """Save a checkpoint and go on."""
    run = _living(arguments, "save")
    before = load_history(run).checkpoints

    def saved(history: History, run: Run) -> str:
        new = [step for step in history.checkpoints if step not in before]
        return f"A checkpoint of step {new[-1]} is saved." if new else ""

    return _ask(arguments, run, "save", saved)


def pause(arguments: Namespace) -> int:
    """Save a checkpoint, end, and give the memory back until the run is resumed."""
    return _ask(arguments, _living(arguments, "pause"), "pause", _ended)


def resume(arguments: Namespace) -> int:
    """Withdraw a stop that was not acted on yet, or start the engine of a run that has ended early again."""
    run = run_of(arguments)
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    code = _ask(arguments, run, "resume", _answered) if liveness(run).alive else _start_again(arguments, run)
    if code == 0 and arguments.follow:
        from tui.verbs.follow import follow

        return follow(run, offset)
    return code


def _ended(history: History, run: Run) -> str:
    """How the run has ended; empty while it has not."""
    now = liveness(run)
    return "" if now.alive else now.detail


def _answered(history: History, run: Run) -> str:
    return "It goes on."


def _start_again(arguments: Namespace, run: Run) -> int:
    now = check_resumable(run)
    if now.state == "elsewhere":
        _make_sure_it_ended_there(run, now)
    if arguments.devices or arguments.nodes > 1:
        _use_other_devices(run, arguments.devices or run.recipe().training.devices, arguments.nodes)
    nodes, begun = first_node(arguments.nodes, arguments.rendezvous or ""), has_begun(run)
    resumed = resume_run(run, nodes)
    if resumed.pid and nodes.count > 1 and not arguments.json:
        tell_others(run, nodes, begun)
    return _tell(arguments, run, "resume", True, resumed.sentence)


def _use_other_devices(run: Run, devices: int, nodes: int) -> None:
    """Write the new number into the run's recipe. Raises UserError when its steps cannot be shared by so many."""
    recipe = run.recipe().changed({"training.devices": devices}, "you", "chosen when the run was resumed")
    try:
        check_devices(recipe, devices * nodes)
    except UserError as error:  # its advice is for a new run: `resume` takes no --set
        fix = f"Go on with another --devices, or begin a new run: tunewright train {run.recipe_path}. {error.fix}"
        raise UserError(error.what, error.where, fix) from error
    recipe.save(run.recipe_path)


def _make_sure_it_ended_there(run: Run, now: Liveness) -> None:
    """Watch the snapshot of a run of another host. Raises UserError while an engine still writes it there."""
    from engine.runs.recover import WATCH_SECONDS, is_silent

    warn(f"{now.detail} Looking for {WATCH_SECONDS:.0f} seconds whether it still works there.")
    if not is_silent([run]):
        raise UserError(f"Run {run.name} is being carried out on another machine.", now.detail,
                        f"Stop it from here: tunewright stop {word_for(run)}. Or look at it there.")  # fmt: skip


def _living(arguments: Namespace, action: str) -> Run:
    run = run_of(arguments)
    now = liveness(run)
    if not now.alive:
        again = f"Start it again: tunewright resume {word_for(run)}."
        fix = f"Its result is there: tunewright chat {word_for(run)}." if now.state == "finished" else again
        raise UserError(f"Run {run.name} is not running, so there is nothing to {action}.", now.detail, fix)
    return run


def _ask(arguments: Namespace, run: Run, action: str, done: Done) -> int:
    """Send the request, wait for its answer and then until it is `done`; both within `--wait` seconds."""
    history = load_history(run)
    identity = request(run, action)
    deadline = time.monotonic() + arguments.wait
    answer = _await(history, run, identity, deadline)
    if answer is None:
        return _tell_silence(arguments, run, action)
    detail = str(answer.get("detail") or "The run has answered.")
    if not answer.get("accepted", True):
        return _tell(arguments, run, action, False, detail)
    while not (ending := done(history, run)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        history.follow(run)
    return _tell(arguments, run, action, True, ending or f"{detail} It is not done yet.")


def _tell_silence(arguments: Namespace, run: Run, action: str) -> int:
    now = liveness(run)
    if not now.alive:
        return _tell(arguments, run, action, action in ENDING, f"The run ended before it answered. {now.detail}")
    what = f"The run has not answered in {arguments.wait:g} seconds; it answers between two steps."
    return _tell(arguments, run, action, None, f"{what} The request stays until then.")


def _await(history: History, run: Run, identity: str, deadline: float) -> Event | None:
    """The `control` event that answers `identity`; None when it does not come in time or the engine is gone."""
    while time.monotonic() < deadline:
        alive = liveness(run).alive
        history.follow(run)
        if identity in history.controls:
            return history.controls[identity]
        if not alive:
            return None
        time.sleep(POLL_SECONDS)
    return None


def _tell(arguments: Namespace, run: Run, action: str, accepted: bool | None, detail: str) -> int:
    """Print what came of it. `accepted` None means that there is no answer yet."""
    now = liveness(run)
    if arguments.json:
        state = run.state()
        document: dict[str, Any] = {"run": run.name, "action": action, "accepted": accepted, "detail": detail,
                                    "state": now.state, "step": state.get("step")}  # fmt: skip
        print_json(document)
    else:
        say(f"{run.name}: {detail}", *_advice(run, action, now))
    return 0 if accepted else NO_ANSWER


def _advice(run: Run, action: str, now: Liveness) -> list[str]:
    if now.state == "stopped":
        return [f"Go on later: tunewright resume {word_for(run)}."]
    return [f"Look: tunewright attach {word_for(run)}."] if action in ENDING and now.alive else []
