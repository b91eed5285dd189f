"""The long tier as tests: `pytest -m long tests/chaos`. `python -m tests.chaos` prints the same as tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import kills, resuming, shim
from tests.chaos.rig import Workshop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("train")]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize(("method", "aimed", "count"), [
    ("lora", True, 100), ("full", True, 100), ("lora", False, 50), ("full", False, 50)])  # fmt: skip
def test_three_hundred_kills(workshop: Workshop, method: str, aimed: bool, count: int) -> None:
    tally = kills.kill_ours(workshop, method, count, aimed, seed=1)
    assert (tally.dead, tally.other) == (0, 0), tally.line()


@pytest.mark.parametrize("name", resuming.CONFIGURATIONS)
def test_resuming_from_every_step(workshop: Workshop, name: str) -> None:
    number = list(resuming.CONFIGURATIONS).index(name)
    assert resuming.from_every_step(workshop, name, number) == (11, [])


@pytest.mark.skipif(not shim.can_compile(), reason="no C compiler to build the fault shim with")
@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_operation_of_a_save(tmp_path: Path, method: str) -> None:
    report = shim.bench_saves(tmp_path, 1, [method])[method]
    for name in ("kill", "no room", "one error", "power"):
        found = report[name]["outcomes"] if name == "kill" else report[name]
        assert set(found) <= {"ok", "not reached"}, (name, found)
