"""Who was killed for memory, told from counters of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs import kills


def counter(path: Path, count: int) -> Path:
    path.write_text(f"low 0\nhigh 3\nmax 12\noom 4\noom_kill {count}\noom_group_kill 9\n")
    return path


def test_the_counter_of_the_group_decides(tmp_path: Path) -> None:
    path = counter(tmp_path / "memory.events", 2)
    assert kills.memory_kills(path) == 2
    state = {"memory_counter": str(path), "memory_kills": 2, "machine_kills": -1}
    assert not kills.killed_for_memory(state)
    counter(path, 3)
    assert kills.killed_for_memory(state)


def test_a_group_that_went_with_its_engine_leaves_the_question_to_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "_MACHINE", counter(tmp_path / "vmstat", 7))
    state = {"memory_counter": str(tmp_path / "gone"), "memory_kills": 0, "machine_kills": 6}
    assert kills.killed_for_memory(state)
    assert not kills.killed_for_memory({**state, "machine_kills": 7})


@pytest.mark.parametrize("state", [{}, {"memory_kills": None}, {"memory_counter": 7, "memory_kills": "x"}])
def test_a_snapshot_that_says_nothing_accuses_nobody(state: dict[str, object]) -> None:
    assert not kills.killed_for_memory(state)


@pytest.mark.parametrize("text", ["", "oom_kill many", "oom_kill"])
def test_a_counter_that_cannot_be_read_is_zero(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_text(text)
    assert kills.memory_kills(tmp_path / "c") == kills.memory_kills(tmp_path / "none") == 0


def test_the_record_of_this_process_can_be_compared() -> None:
    record = kills.memory_record()
    assert Path(record["memory_counter"]).is_file()
    assert not kills.killed_for_memory(record)
