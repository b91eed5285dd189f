"""Estimate, simulation and measurement of a run, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.plan.calibration import batch_of, compare, keep_simulation, measured_bytes, simulation_request
from engine.recipe import Answer, Recipe
from engine.runs.store import Run, create_run

GPU = {"type": "rehearsal", "device": "cuda", "allocated_bytes": 5_000, "reserved_bytes": 6_000,
       "estimate_bytes": 5_100, "baseline_bytes": 0, "rows": 4, "tokens": 300, "parts": 2}  # fmt: skip
CPU = GPU | {"device": "cpu", "baseline_bytes": 1_000}


def make_run(folder: Path, *events: dict[str, Any]) -> Run:
    answers = {"model.source": Answer(str(folder), "you", ""), "data.source": Answer(str(folder / "d"), "you", "")}
    run = create_run(Recipe.from_answers(answers), folder / "runs", "one")
    lines = [json.dumps({"v": 1, "seq": number, "t": 1.0, "mono": 1.0, **event}) for number, event in enumerate(events)]
    run.events_path.write_text("".join(line + "\n" for line in lines))
    return run


def test_a_gpu_counts_allocated_bytes_and_a_cpu_what_the_process_grew_by() -> None:
    assert measured_bytes(GPU) == 5_000
    assert measured_bytes(CPU) == 4_000


@pytest.mark.parametrize("missing", ["allocated_bytes", "baseline_bytes", "rows", "tokens", "parts"])
def test_an_event_of_another_version_lacks_fields_and_breaks_nothing(missing: str) -> None:
    event = {key: value for key, value in CPU.items() if key != missing}
    assert isinstance(measured_bytes(event), int)
    assert batch_of(event)[0] >= 1


def test_the_micro_batch_that_was_measured_is_the_one_that_is_simulated(tmp_path: Path) -> None:
    run = make_run(tmp_path, GPU)
    found = compare(run)
    assert found is not None and (found.rows, found.tokens) == (2, 300)
    settings = simulation_request(run, found)["settings"]
    assert settings["training.micro_batch_size"] == 2 and settings["training.sequence_length"] == 300


def test_errors_are_shares_of_what_was_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path, GPU)
    found = compare(run)
    assert found is not None and found.simulation_error is None
    assert found.estimate_error == pytest.approx(0.02)
    keep_simulation(run, found, 5_050)
    again = compare(run)
    assert again is not None and again.simulation_error == pytest.approx(0.01)


def test_a_simulation_of_another_batch_is_not_taken_for_this_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, GPU)
    found = compare(run)
    assert found is not None
    keep_simulation(run, found, 5_050)
    with run.events_path.open("a") as log:
        log.write(json.dumps({"v": 1, "seq": 9, "t": 2.0, "mono": 2.0, **GPU, "tokens": 400}) + "\n")
    again = compare(run)
    assert again is not None and again.tokens == 400 and again.simulation_bytes is None


def test_a_run_that_measured_nothing_is_left_out(tmp_path: Path) -> None:
    assert compare(make_run(tmp_path, {"type": "phase", "phase": "loading model"})) is None
