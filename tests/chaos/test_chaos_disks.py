"""Real disks that are full, read-only or broken: a sentence, no traceback for a person, whole checkpoints, going on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.runs.liveness import liveness
from engine.runs.store import Run
from engine.train import checkpoint
from tests.chaos.real_disk import Disk, begin, image_disk, memory_disk
from tests.chaos.rig import Workshop, carry_in_child, digest
from tests.engine.train.carried import Carried

pytestmark = pytest.mark.xdist_group("chaos")
REFUSED = "this system lets no test mount file systems"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    import engine.train.phases  # noqa: F401  (imported once here, so that forked children have it)

    return Workshop.build(tmp_path_factory.mktemp("disks"))


@pytest.fixture(scope="module")
def weights(workshop: Workshop) -> str:
    """The final weights of the run that nobody disturbs."""
    run = workshop.run("undisturbed")
    assert carry_in_child(run).wait() == 0
    return digest(run)


def test_a_full_disk_is_waited_for_until_there_is_room(workshop: Workshop, weights: str, tmp_path: Path) -> None:
    with memory_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip(REFUSED)
        run, child = begin(workshop, disk, disk.fill, give_up_seconds=60.0)
        heard = child.hear()
        disk.make_room()
        assert child.wait() == 0, run.log_path.read_text()[-2000:]
        assert heard
        said = Carried(run)
        (told,) = (event for event in said.of("warning") if event.get("kind") == "disk")
        assert told["what"].startswith(("The disk is full.", "The disk did not take"))
        assert sorted(said.steps) == list(range(1, 13)), "events waited in memory and none was lost"
        assert not list(run.checkpoints_dir.glob(".staging*"))
        assert digest(run) == weights


@pytest.mark.parametrize("fault", [
    pytest.param(Disk.become_read_only, id="read-only"),
    pytest.param(Disk.return_errors, id="input/output errors", marks=pytest.mark.long)])  # fmt: skip
def test_a_dying_disk_ends_resumably(workshop: Workshop, weights: str, tmp_path: Path,
                                     fault: Callable[[Disk], None]) -> None:  # fmt: skip
    with image_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip(REFUSED)
        run, child = begin(workshop, disk, lambda: fault(disk), give_up_seconds=1.0)
        assert child.wait() == 3
        disk.mount_again()
        assert Carried(run).of("error") == []
        saved = Run(tmp_path / "saved")
        shutil.copytree(run.path, saved.path)  # what a person does with a dying disk
    search = checkpoint.find_verified(saved.checkpoints_dir, set_aside=False)
    assert search.best is not None and search.best.step == 3 and not search.damaged
    assert liveness(saved).state == "lost"
    assert carry_in_child(saved, resume=True).wait() == 0
    assert digest(saved) == weights
