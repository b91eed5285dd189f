"""Reading the machine: GPUs through a stand-in for NVML, logs that anything may be written to, long runs in bites."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.runs.events import EventLog
from engine.runs.history import load_history
from tests.tui import runs
from tui.watch.feed import Feed, parse_together
from tui.watch.lines import CurveLine, LossLines
from tui.watch.log_tail import LogTail
from tui.watch.telemetry import Telemetry, throttle_words


class FakeNvml:
    """Two cards; the second knows neither power nor temperature."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVML's names
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=10, total=24)

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:  # noqa: N802
        return b"Old driver" if handle else "NVIDIA A"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=97)

    def _sometimes(self, handle: int, value: Any) -> Any:
        if handle:
            raise self.NVMLError
        return value

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return int(self._sometimes(handle, 310_000))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        return int(self._sometimes(handle, 350_000))

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        return int(self._sometimes(handle, 71))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802
        return int(self._sometimes(handle, 0x4))


def test_every_gpu_is_read_and_what_it_does_not_tell_is_none(tmp_path: Path) -> None:
    telemetry = Telemetry(runs.make_run(tmp_path))
    telemetry._nvml, telemetry._nvml_tried = FakeNvml(), True
    first, second = telemetry._gpus()
    assert (first.power_watts, first.power_limit_watts, first.temperature_celsius) == (310.0, 350.0, 71)
    assert first.throttled == "at its power limit"
    assert (second.name, second.power_watts, second.temperature_celsius) == ("Old driver", None, None)
    assert second.throttled == ""


def test_a_reading_of_this_machine_tells_its_memory(tmp_path: Path) -> None:
    reading = Telemetry(runs.make_run(tmp_path)).read()
    assert 0 < reading.ram_used_bytes < reading.ram_total_bytes
    assert reading.disk_free_bytes > 0
    assert reading.liveness.state == "new"


@pytest.mark.parametrize(
    ("bits", "words"), [(0, ""), (0x1, ""), (0x44, "slowed by heat"), (0x8, "slowed by the hardware")]
)
def test_the_worst_reason_for_throttling_is_said(bits: int, words: str) -> None:
    assert throttle_words(bits) == words


def test_a_log_is_followed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    tail = LogTail(path)
    assert tail.read() == []
    path.write_bytes(b"one\ntw")
    assert tail.read() == ["one"]
    with path.open("ab") as stream:
        stream.write(b"o\n 10%|#\r 20%|##\n\xff\x1b[2J\n")
    assert tail.read() == ["two", " 20%|##", "\ufffd\u241b[2J"]


def test_a_log_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    tail = LogTail(path)
    path.write_text("a long first line\n")
    tail.read()
    path.write_text("new\n")
    assert tail.read() == ["new"]


def test_reading_in_bites_gives_the_history_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.finished(tmp_path)
    monkeypatch.setattr("tui.watch.feed.BITE_BYTES", 4_000)
    feed, polls = Feed(run), 0
    lines, speed = LossLines(), CurveLine("tokens_per_second")
    while feed.poll(budget_seconds=0.0):
        polls += 1
        lines.update(feed.history)
        speed.update(feed.history)
    whole = load_history(run)
    assert polls > 10
    assert feed.history.loss.values == whole.loss.values
    assert list(lines.raw.ys) == list(whole.loss.values)
    assert len(speed.series) == len(whole.loss)
    assert feed.history.notes == whole.notes


def test_torn_foreign_and_unfinished_lines_are_skipped_counted_or_awaited(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path, 5, 50)
    with run.events_path.open("ab") as stream:
        stream.write(b'{"torn\n[1,2]\nnull\n{"v":99,"type":"step"}\n{"v":1,"type":"step","step":6,"lo')
    feed = Feed(run)
    feed.poll()
    assert (feed.history.step, feed.history.skipped_lines, feed.behind) == (5, 4, False)
    with run.events_path.open("ab") as stream:
        stream.write(b'ss":1.0}\n')
    feed.poll()
    assert feed.history.step == 6


def test_a_line_longer_than_a_bite_is_foreign_and_passed(tmp_path: Path) -> None:
    run, log = runs.running(tmp_path, 5, 50)
    with run.events_path.open("ab") as stream:
        stream.write(b"x" * 300_000 + b"\n")
    runs.step(EventLog(run.events_path), 6, 50, 1.0)
    feed = Feed(run)
    while feed.poll() or feed.behind:
        pass
    assert feed.history.step == 6
    assert feed.history.skipped_lines > 0


def test_two_broken_lines_that_make_one_are_not_taken_for_an_event() -> None:
    assert parse_together([b'{"v":1,"type":"step","x":[{"a":1}', b'{"b":2}]}']) is None
    good = json.dumps({"v": 1, "type": "step"}).encode()
    assert parse_together([good, good]) is not None


def test_a_preview_has_steps_from_everywhere_and_the_newest_words(tmp_path: Path) -> None:
    run = runs.finished(tmp_path, total=20_000)
    feed = Feed(run)
    feed.look()
    preview = feed.preview()
    steps = [step for step, _ in preview.steps]
    assert steps == sorted(steps)
    assert steps[0] < 200
    assert preview.history.step == 20_000
    assert preview.history.ended is not None
