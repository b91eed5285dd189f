"""The event log: one whole line an event, and a reader that nothing breaks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.events import LINE_LIMIT_BYTES, VERSION, EventLog, iterate_events, number, read_events


def test_events_come_back_in_order_with_growing_numbers(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    for step in range(5):
        log.write("step", step=step, loss=1.0 / (step + 1))
    log.close()
    again = EventLog(tmp_path / "e.jsonl")
    again.write("end", reason="finished")
    events = list(iterate_events(tmp_path / "e.jsonl"))
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["type"] for event in events] == ["step"] * 5 + ["end"]


def test_not_a_number_is_a_string_and_valid_json(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    log.write("step", loss=math.nan, grad_norm=math.inf, nested={"x": [-math.inf]})
    line = json.loads((tmp_path / "e.jsonl").read_text(), parse_constant=lambda name: 1 / 0)
    assert (line["loss"], line["grad_norm"], line["nested"]) == ("NaN", "Infinity", {"x": ["-Infinity"]})
    assert math.isnan(number("NaN"))
    assert number("Infinity") == math.inf
    assert math.isnan(number({"a": 1}))


def test_a_long_event_is_cut_and_says_so(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    event = log.write("sample", prompt="\x1b" * 5000, tuned="y" * 50_000, step=3)
    line = (tmp_path / "e.jsonl").read_bytes()
    assert len(line) <= LINE_LIMIT_BYTES
    assert event["cut"] is True
    assert event["step"] == 3


def test_a_torn_line_costs_one_event_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    log.write("step", step=1)
    log.close()
    with path.open("ab") as stream:
        stream.write(b'{"v":1,"seq":2,"type":"st')
    events, offset, skipped = read_events(path)
    assert [event["seq"] for event in events] == [1]
    assert skipped == 0, "an unfinished line may still be in the making"
    EventLog(path).write("step", step=3)
    events, _, skipped = read_events(path, offset)
    assert [event["step"] for event in events] == [3]
    assert skipped == 1


def test_a_newer_version_and_garbage_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    newer = json.dumps({"v": VERSION + 1, "type": "step"}).encode()
    path.write_bytes(newer + b"\n\xff\xfe\x00\n[1]\nnull\n\n" + b"[" * 50_000 + b"\n")
    EventLog(path).write("step", step=1)
    events, _, skipped = read_events(path)
    assert len(events) == 1
    assert skipped == 5


def test_a_file_that_shrank_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    EventLog(path).write("step", step=1)
    events, _, _ = read_events(path, offset=10_000)
    assert len(events) == 1


def test_a_block_without_a_line_end_does_not_stop_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"x" * 5000)
    events, offset, skipped = read_events(path, limit=1000)
    assert (events, offset, skipped) == ([], 1000, 1)


def test_an_absent_file_has_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none.jsonl") == ([], 0, 0)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, blob: bytes) -> None:
    path = tmp_path_factory.mktemp("e") / "e.jsonl"
    path.write_bytes(blob + b"\n")
    EventLog(path).write("step", step=7)
    events, offset, _ = read_events(path)
    assert events[-1]["step"] == 7
    assert offset == path.stat().st_size
