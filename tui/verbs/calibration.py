"""`tunewright plan --calibration`: estimate, simulation and measurement of the runs on this machine, side by side."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from engine.errors import UserError
from engine.plan.calibration import KIND_OF_ALLOCATION, Comparison, compare, keep_simulation, simulation_request
from engine.runs.store import Run, list_runs
from tui.jobs import run_job
from tui.steps.words import METHOD_TITLES, gigabytes
from tui.verbs.output import paragraph, print_json, say, table, warn
from tui.verbs.places import root_of


def calibrate(arguments: Namespace) -> int:
    """Compare every run that was rehearsed; what was not simulated yet is simulated now and kept with its run."""
    root = root_of(arguments)
    found = list(_comparisons(list_runs(root)))
    if arguments.json:
        print_json({"directory": str(root), "runs": [one.as_dict() for one in found]})
    elif not found:
        say(f"No run in {root} has measured its memory yet; each does before its first step.")
    else:
        show(found)
    return 0


def _comparisons(runs: list[Run]) -> Iterator[Comparison]:
    for run in runs:
        try:
            found = compare(run)
            if found is not None and found.simulation_bytes is None:
                _simulate(run, found)
                found = compare(run)
        except (UserError, OSError) as error:
            warn(f"{run.name}: {error.what if isinstance(error, UserError) else error}")
            continue
        if found is not None:
            yield found


def _simulate(run: Run, comparison: Comparison) -> None:
    """Simulate the measured batch; where that is not possible the column stays empty and stderr says why."""
    warn(f"Simulating {comparison.rows} x {comparison.tokens} tokens as {run.name} trained them.")
    try:
        answer = run_job("simulate", simulation_request(run, comparison))
    except UserError as error:
        warn(f"{run.name} was not simulated. {error.what}")
        return
    keep_simulation(run, comparison, int(answer["memory"]["allocated_bytes"]))


def show(found: list[Comparison]) -> None:
    """The table, and what its numbers are."""
    head = ("run", "method", "device", "batch", "measured", "estimate", "off", "simulation", "off")
    say(*table(head, [_row(one) for one in found], right=(4, 5, 6, 7, 8)), "")
    kinds = sorted({f"{one.device}: {KIND_OF_ALLOCATION.get(one.device, 'bytes')}" for one in found})
    paragraph(f"Measured by each run's rehearsal, before its first step ({', '.join(kinds)}), at the longest batch of "
              "its data; estimate and simulation are of that batch.")  # fmt: skip
    if any(one.device == "cpu" for one in found):
        paragraph(
            "On a CPU only pages that were touched are resident, and memory that was free inside the process is "
            "used again, so less is measured than tensors hold. On a GPU the numbers should agree to 1 %."
        )


def _row(one: Comparison) -> tuple[str, ...]:
    simulation = "" if one.simulation_bytes is None else gigabytes(one.simulation_bytes)
    return (one.run, METHOD_TITLES.get(one.method, one.method), one.device, f"{one.rows} x {one.tokens}",
            gigabytes(one.measured_bytes), gigabytes(one.estimate_bytes), _share(one.estimate_error), simulation,
            _share(one.simulation_error))  # fmt: skip


def _share(error: float | None) -> str:
    return "" if error is None else f"{100 * error:+.1f} %"
