"""`tunewright queue`: several recipes one after another or one per GPU, sweeps, and how they came out."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.machine.detect import detect_machine
from engine.machine.packages import require_training_packages
from engine.places import runs_root
from engine.recipe import Recipe
from engine.runs.local_paths import check_file
from engine.runs.queue import Queue, check_queue_name, list_queues, make_queue, open_queue, standing
from engine.runs.queue_work import launch_worker
from engine.runs.store import Run, create_run, fresh_name
from tui.verbs.output import print_json, say, table
from tui.verbs.places import root_of
from tui.verbs.sweep import expand, name_of, parse_sweep
from tui.watch.comparing import Compared, outcome

POLL_SECONDS = 2.0


def run(arguments: Namespace) -> int:
    """Show, stop, go on with, or make a queue."""
    _check_flags(arguments)
    if arguments.stop:
        return _stop(open_queue(arguments.stop), arguments)
    if arguments.go_on:
        return _go_on(open_queue(arguments.go_on), arguments)
    if arguments.show or not arguments.recipes:
        return _show(arguments)
    require_training_packages()
    queue = _make(arguments)
    launch_worker(queue)
    return _tell(queue, arguments)


def _check_flags(arguments: Namespace) -> None:
    """UserError for flags that contradict each other, or that nothing would come of."""
    asked = [flag for flag in ("stop", "go_on", "show") if getattr(arguments, flag)]
    flags = [f"--{flag.replace('_', '-')}" for flag in asked]
    if len(asked) > 1 or (asked and (arguments.recipes or arguments.sweep)):
        what = f"{' and '.join(flags)} {'are' if len(asked) > 1 else 'is'} about a queue that exists."
        raise UserError(what, "command line", "Give one of them, without recipes and --sweep.")
    needing = [flag for flag in ("sweep", "per_gpu", "name") if getattr(arguments, flag)]
    if needing and not asked and not arguments.recipes:
        flag = f"--{needing[0].replace('_', '-')}"
        raise UserError(f"{flag} needs a recipe.", "command line", f"tunewright queue recipe.toml {flag} ...")


def _stop(queue: Queue, arguments: Namespace) -> int:
    if not queue.worked_on:
        alive = [
            f" {one.name} goes on by itself: tunewright stop {one.word}." for one, now in standing(queue) if now.alive
        ]
        what = f"{queue.name}: nobody works on it, so there is nothing to stop.{''.join(alive)}"
        return _tell(queue, arguments, what)
    queue.ask_to_stop()
    return _tell(queue, arguments, "Its runs are saving and stopping; no other starts.")


def _go_on(queue: Queue, arguments: Namespace) -> int:
    if all(now.state == "finished" for _, now in standing(queue)):
        return _tell(queue, arguments, f"{queue.name}: every run has finished, so there is nothing to go on with.")
    launch_worker(queue)
    return _tell(queue, arguments)


def _make(arguments: Namespace) -> Queue:
    """Check every recipe, then make every run, then the queue over them. Raises UserError."""
    check_queue_name(arguments.name or "")
    sweeps = [parse_sweep(text) for text in arguments.sweep]
    root = root_of(arguments) if arguments.runs else runs_root()
    planned: list[tuple[Recipe, dict[str, str], str]] = []
    for path in arguments.recipes:
        recipe = Recipe.load(Path(path).expanduser())
        check_file(recipe.data.source)
        stem = recipe.run.name or Path(path).stem
        planned += [(one, changed, name_of(stem, changed)) for one, changed in expand(recipe, sweeps)]
    devices = _gpus(root) if arguments.per_gpu else [""]
    made: list[Run] = []
    changes = {}
    for recipe, changed, name in planned:
        made.append(create_run(recipe, root, fresh_name(root, name)))
        changes[made[-1].name] = changed
    return make_queue(made, devices, changes, arguments.name or "")


def _gpus(root: Path) -> list[str]:
    """The visible GPUs, as CUDA_VISIBLE_DEVICES takes them. UserError where there are none."""
    gpus = [gpu.uuid for gpu in detect_machine(root).gpus if gpu.kind == "cuda"]
    if not gpus:
        fix = "Leave --per-gpu out: the runs then follow one another."
        raise UserError("There is no GPU to give each run one.", "--per-gpu", fix)
    return gpus


def _tell(queue: Queue, arguments: Namespace, words: str = "") -> int:
    if arguments.wait:
        return _wait(queue, arguments)
    if arguments.json:
        print_json(describe(queue))
        return 0
    usual = f"{queue.name}: {len(queue.runs())} runs, at most {len(queue.devices())} at a time, in the background."
    say(words or usual)
    stop = f" Stop it: tunewright queue --stop {queue.name}." if not arguments.stop and not words else ""
    say(f"See it: tunewright queue --show {queue.name}.{stop}")
    return 0


def _wait(queue: Queue, arguments: Namespace) -> int:
    """Say each change until nobody works on the queue any more, then how the runs came out."""
    known: dict[str, str] = {}
    while True:
        worked_on = queue.worked_on
        for one, now in standing(queue):
            if known.get(one.name) != now.state and not arguments.json:
                say(f"{one.name}: {now.state}. {now.detail}")
            known[one.name] = now.state
        if not worked_on:
            break
        time.sleep(POLL_SECONDS)
    if arguments.json:
        print_json(describe(queue))
    else:
        say("", *lines(queue))
    return 0 if set(known.values()) == {"finished"} else 1


def _show(arguments: Namespace) -> int:
    found = [open_queue(arguments.show)] if arguments.show else list_queues()
    if arguments.json:
        print_json({"queues": [describe(queue) for queue in found]})
        return 0
    if not found:
        say("There are no queues. Make one: tunewright queue a.toml b.toml, or with --sweep key=1,2.")
    for queue in found:
        state = "being worked on" if queue.worked_on else "nobody works on it"
        say(f"{queue.name}: {len(queue.runs())} runs, {state}.", *lines(queue), "")
    return 0


def lines(queue: Queue) -> list[str]:
    """A table: each run with what was changed, where it stands and what it came to; the best loss is marked."""
    rows = describe(queue)["runs"]
    keys = list(dict.fromkeys(key for row in rows for key in row["changed"]))
    losses = [row["best_held_out_loss"] for row in rows if row["best_held_out_loss"] is not None]
    head = ("run", *(key.rpartition(".")[2] for key in keys), "state", "steps", "loss", "held-out", "")
    body = [(row["name"], *(row["changed"].get(key, "") for key in keys), row["state"], str(row["steps"]), row["loss"],
             _number(row["best_held_out_loss"]), "best" if losses and row["best_held_out_loss"] == min(losses) else "")
            for row in rows]  # fmt: skip
    notes = [f"{name}: {why}" for name, why in queue.failures().items()]
    return [*table(head, body), *notes]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def describe(queue: Queue) -> dict[str, Any]:
    """A queue as JSON: its runs in order, what was changed in each, and what came of it."""
    changed = queue.document().get("changed", {})
    rows = [{**_came_of(one), "name": one.name, "path": str(one.path), "state": now.state, "detail": now.detail,
             "changed": changed.get(one.name, {})} for one, now in standing(queue)]  # fmt: skip
    return {"name": queue.name, "path": str(queue.path), "working": queue.worked_on, "devices": queue.devices(),
            "runs": rows}  # fmt: skip


def _came_of(one: Run) -> dict[str, Any]:
    """Smoothed loss and best held-out loss, from the events of the run."""
    compared = Compared.of(one)
    while compared.feed.poll():
        pass
    compared.build()
    losses = [value for value in compared.feed.history.evals.values if value == value]
    _, loss, _, _ = outcome(compared)
    return {"steps": compared.feed.history.step, "loss": loss, "best_held_out_loss": min(losses, default=None)}
