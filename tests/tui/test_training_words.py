"""The words of the training screen: state, time left, events, machine and summary."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.runs.history import History, load_history
from engine.runs.liveness import Liveness
from tests.tui import runs
from tests.tui.payloads import PAYLOADS
from tui.steps.words import gigabytes
from tui.text import UNSAFE
from tui.watch.cells import cells
from tui.watch.eta import Left, Pace, left_words
from tui.watch.event_words import note_of
from tui.watch.lines import LossLines
from tui.watch.page import verdict_row, whole_sentences
from tui.watch.summary import summary
from tui.watch.telemetry import GpuReading, Reading, throttle_words
from tui.watch.words import elapsed, header, machine, numbers, state_of

ALIVE = Liveness("running", "Training.", 12)


def text(pieces: object) -> str:
    return "".join(piece[0] for piece in pieces)  # type: ignore[attr-defined]


def test_nothing_is_promised_before_it_means_something() -> None:
    pace = Pace()
    for step in range(1, 8):
        pace.add(step, step * 10.0)
        assert pace.left(1_000) is None


def test_the_time_left_is_a_range_around_the_pace() -> None:
    pace = Pace()
    for step in range(1, 101):
        pace.add(step, step * 2.0)
    left = pace.left(400)
    assert left is not None
    assert left.low_seconds < 600 < left.high_seconds
    assert left.high_seconds < 800


def test_a_slower_pace_widens_the_range() -> None:
    pace = Pace()
    for step in range(1, 101):
        pace.add(step, step * 1.0 if step < 80 else 80 + (step - 80) * 4.0)
    left = pace.left(200)
    assert left is not None
    assert left.high_seconds > 1.5 * left.low_seconds


def test_a_resumed_run_is_measured_anew() -> None:
    pace = Pace()
    for step in range(1, 50):
        pace.add(step, float(step))
    pace.add(40, 10_000.0)
    assert pace.left(100) is None


def test_nothing_is_left_at_the_end() -> None:
    pace = Pace()
    for step in range(1, 31):
        pace.add(step, float(step))
    assert pace.left(30) is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (3, 6, "under 10 s left"),
        (28, 31, "about 30 s left"),
        (130, 240, "2 to 4 min left"),
        (58, 130, "60 s to 2 min left"),
        (3_500, 7_300, "60 min to 2 h left"),
        (7_000, 9_100, "2 to 2.5 h left"),
        (170_000, 260_000, "2 to 3 d left"),
    ],
)
def test_the_time_left_is_said_as_a_person_would(low: float, high: float, words: str) -> None:
    assert left_words(Left(low, high)) == words


def test_unknown_time_is_not_said() -> None:
    assert left_words(None) == ""


def test_clocks() -> None:
    assert [elapsed(value) for value in (8, 200, 7_500, 100_000)] == ["8 s", "3 min 20 s", "2 h 05 min", "1 d 3 h"]


def test_the_header_says_what_is_going_on(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    said = text(header(run.name, load_history(run), ALIVE, 72, "2 to 3 min left", 120))
    for words in ("demo-1", "training", "step 120 of 400", "epoch 0.90", "1 min 12 s", "2 to 3 min left"):
        assert words in said


@pytest.mark.parametrize(
    ("width", "left_out"), [(90, []), (74, ["epoch"]), (60, ["epoch", "1 min 12 s"]), (40, ["epoch", "1 min", "left"])]
)
def test_a_narrow_header_leaves_out_whole_parts(tmp_path: Path, width: int, left_out: list[str]) -> None:
    run, _ = runs.running(tmp_path)
    said = text(header(run.name, load_history(run), ALIVE, 72, "80 s to 2 min left", width))
    assert len(said) <= max(width, 38)
    for words in ("epoch", "1 min 12 s", "80 s to 2 min left"):
        assert (words in said) is not any(part in words for part in left_out)


def test_a_run_that_ended_has_no_time_left(tmp_path: Path) -> None:
    said = text(header("done", load_history(runs.finished(tmp_path)), ALIVE, 72, "2 min left", 120))
    assert "finished" in said
    assert "left" not in said


@pytest.mark.parametrize(
    ("state", "words"),
    [("lost", "ended without a word"), ("stalled", "no sign of life"), ("elsewhere", "on another machine")],
)
def test_the_process_table_has_the_last_word_on_a_silent_run(state: str, words: str) -> None:
    history = History()
    history.add({"type": "phase", "phase": "training"})
    assert state_of(history, Liveness(state, ""))[0] == words  # type: ignore[arg-type]


def test_numbers_are_named(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    assert text(numbers(load_history(run), wide=True)).split("  ")[0] == " learning rate 2e-4"
    assert "5,000 tokens/s" in text(numbers(load_history(run), wide=False))


def test_a_full_gpu_and_a_hot_one_are_warned_of() -> None:
    gpu = GpuReading(0, "A", 23_900_000_000, 24_000_000_000, 99, 340.0, 350.0, 88, throttle_words(0x40))
    pieces = machine(Reading(ALIVE, (gpu,), 5, 10, 3.0, 0, 10**12), History(), wide=True)
    looks = {piece.strip(): look for piece, look in pieces}
    for words in (f"{gigabytes(23.9e9)} of {gigabytes(24e9)}", "88 \u00b0C", "slowed by heat"):
        assert looks[words] == "warn"
    assert "340 of 350 W" in text(pieces)


def test_every_event_becomes_a_row_with_a_clock(tmp_path: Path) -> None:
    notes = [note_of(event) for event in load_history(runs.failed(tmp_path)).notes]
    said = [note for note in notes if note is not None]
    assert len(said) == len(notes) - 1  # that training began is in the header
    assert any("Checkpoint saved at step 40" in note.text for note in said)
    assert any(note.look == "bad" and "out of memory" in note.text for note in said)
    assert all(len(note.clock) == 8 for note in said)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_events_are_cleaned(payload: str) -> None:
    for event in ({"type": "warning", "what": payload, "where": payload, "fix": payload, "t": 1.0},
                  {"type": "phase", "phase": payload + "x", "detail": payload},
                  {"type": "end", "reason": payload, "detail": payload, "step": payload}):  # fmt: skip
        note = note_of(event)
        assert note is not None
        assert not UNSAFE.search(note.text)


def summary_of(run: object, width: int = 80) -> str:
    history = load_history(run)  # type: ignore[arg-type]
    lines = LossLines()
    lines.update(history)
    return "\n".join(text(row) for row in summary(run, history, None, lines.smooth, 64.2, width))  # type: ignore[arg-type]


def test_the_summary_of_a_finished_run(tmp_path: Path) -> None:
    said = summary_of(runs.finished(tmp_path))
    for words in ("Finished after 400 steps", "at the start", "held-out loss", "1 min 04 s", "result"):
        assert words in said


def test_the_summary_of_a_failed_run_says_what_where_and_how_to_mend_it(tmp_path: Path) -> None:
    said = summary_of(runs.failed(tmp_path))
    for words in ("Failed at step 120 of 400", "ran out of memory", "GPU 0", "Halve the micro-batch", "engine.log"):
        assert words in said


def test_a_long_sentence_is_wrapped_not_cut(tmp_path: Path) -> None:
    rows = summary_of(runs.failed(tmp_path), width=40).splitlines()
    assert max(map(len, rows)) < 40 or "engine.log" in max(rows, key=len)


def test_a_run_that_goes_on_has_no_summary(tmp_path: Path) -> None:
    run, _ = runs.running(tmp_path)
    assert summary_of(run) == ""


def test_a_reason_is_given_in_whole_sentences() -> None:
    reason = "Margin 0.38 at the start, 0.48 now. 53% of the pairs are in the right order."
    assert whole_sentences(reason, 200) == reason
    assert whole_sentences(reason, 70) == "Margin 0.38 at the start, 0.48 now."
    assert whole_sentences(reason, 20) == ""


def test_a_verdict_on_pairs_is_whole_in_80_columns() -> None:
    history = History()
    for step in range(1, 31):
        fields = {"loss": 0.7, "margin": 0.4 + step / 1000, "accuracy": 0.53, "tokens": step * 1000, "grad_norm": 30.0}
        history.add(
            {"type": "step", "step": step, "total_steps": 48, "lr": 6.17e-5, "tokens_per_second": 3486, **fields}
        )
    lines = LossLines()
    lines.update(history)
    row = text(verdict_row(history, lines, "", False, 80))
    assert len(row) <= 80 and row.endswith(".") and "Margin" in row
    assert len(text(numbers(history, wide=False))) <= 80
    assert "53% of the pairs" in text(verdict_row(history, lines, "", True, 120))


def test_on_a_cpu_a_rehearsal_is_told_with_the_program_in_it() -> None:
    from engine.plan.budget import PYTHON_BYTES
    from tui.steps.words import gigabytes
    from tui.watch.event_words import memory_words

    event = {"device": "cpu", "allocated_bytes": 700 << 20, "baseline_bytes": 500 << 20, "estimate_bytes": 60 << 20}
    told = memory_words(event)
    assert told.startswith("Measured 700 MiB") and gigabytes(PYTHON_BYTES + (60 << 20)) in told
    assert "the program included" in told
    assert "program" not in memory_words({**event, "device": "cuda"})


@pytest.mark.parametrize(
    "text", ["demo-1", "Größe", "模型-1", "한국어", "e\u0301", "שלום", "ไทย", "＃１", "🚀", "… · ↵"]
)
def test_words_are_as_wide_as_the_terminal_draws_them(text: str) -> None:
    assert cells(text) == cell_len(text)
