"""The run directory is moved or deleted under a working engine, which holds it open."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.runs.liveness import liveness
from engine.runs.lock import lock_owner
from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos.rig import Workshop, carry_in_child, digest
from tests.engine.train.carried import Carried

pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("places"))


def waiting_at(step: int, go: Path) -> Callable[[Callable[[], None]], None]:
    """Patch: say a byte after `step` and wait there until the file `go` is there."""

    def patch(say: Callable[[], None]) -> None:
        from engine.train.reporter import Reporter

        before = Reporter.step

        def stepped(self: Any, seconds: float, **fields: Any) -> None:
            before(self, seconds, **fields)
            if fields["step"] == step:
                say()
                while not go.exists():
                    time.sleep(0.01)

        Reporter.step = stepped  # type: ignore[method-assign]

    return patch


@pytest.mark.parametrize("step", [5, 6], ids=["between saves", "before a save"])
def test_a_moved_run_goes_on_where_it_is_now(workshop: Workshop, tmp_path: Path, step: int) -> None:
    reference = workshop.run(f"still-{step}")
    assert carry_in_child(reference).wait() == 0
    run = workshop.run(f"moving-{step}")
    child = carry_in_child(run, before=waiting_at(step, tmp_path / "go"))
    assert child.hear()
    moved = Run(workshop.root / "runs" / f"moved-{step}")
    run.path.rename(moved.path)
    owner = lock_owner(moved)
    assert owner is not None and owner.pid == child.pid
    (tmp_path / "go").touch()
    assert child.wait() == 0
    said = Carried(moved)
    assert [event["kind"] for event in said.of("warning") if event.get("kind") == "moved"] == ["moved"]
    assert liveness(moved).state == "finished"
    assert digest(moved) == digest(reference)
    assert not run.path.exists()


def test_what_a_deleted_run_had_learned_is_rescued(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    reference = workshop.run("kept")
    assert carry_in_child(reference).wait() == 0
    run = workshop.run("deleted")
    child = carry_in_child(run, before=waiting_at(5, tmp_path / "go"))
    assert child.hear()
    shutil.rmtree(run.path)
    (tmp_path / "go").touch()
    assert child.wait() == 3
    assert not run.path.exists()
    (place,) = (tmp_path / "state" / "tunewright" / "rescue").iterdir()
    rescued = Run(place)
    assert liveness(rescued).state == "stopped"
    assert "deletion of its folder" in str(liveness(rescued).detail)
    steps = checkpoint.steps_on_disk(rescued.checkpoints_dir)
    assert len(steps) == 1 and steps[0] >= 5
    assert os.stat(place).st_mode & 0o077 == 0  # noqa: PTH116
    assert carry_in_child(rescued, resume=True).wait() == 0
    assert digest(rescued) == digest(reference)
