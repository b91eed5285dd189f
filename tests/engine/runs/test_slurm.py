"""A run as a job: the text of the job file, where it stands in the queue, and what liveness makes of that."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.runs import slurm
from engine.runs.identity import boot_id
from engine.runs.liveness import liveness
from engine.runs.slurm import Place, cancel, job_of, look_up, submit
from engine.runs.slurm_script import FILE, Resources, minutes_of, script
from engine.runs.store import Run, create_run
from engine.runs.surroundings import read_surroundings

QUEUE = ["11|PENDING|Resources||2026-11-24T14:00:00|main", "12|PENDING|Priority||N/A|main", "9|RUNNING|None|n1||main"]
SQUEUE = """#!/bin/sh
# the first form asks for one job, the second for all that wait
case "$*" in
  *--jobs*%e*) echo 2026-11-24T13:18:20 ;;
  *--jobs*) grep "^$3|" {queue} | cut -d'|' -f2- ;;
  *PENDING*) grep PENDING {queue} | cut -d'|' -f1 ;;
esac
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    answers = {"model.source": Answer("m", "you", ""), "data.source": Answer("d", "you", "")}
    return create_run(Recipe.from_answers(answers), tmp_path, "a")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that stand for SLURM's, and the queue that they know."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "queue").write_text("\n".join(QUEUE) + "\n")
    make(folder, "squeue", SQUEUE.format(queue=folder / "queue"))
    make(folder, "scancel", f"#!/bin/sh\necho $1 >> {folder}/cancelled\n")
    make(folder, "sbatch", '#!/bin/sh\necho "12;cluster"\n')
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    slurm._answers.clear()
    return folder


def make(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_a_waiting_job_says_its_place_and_reason(commands: Path) -> None:
    assert look_up("12") == Place("12", "PENDING", "Priority", "", "N/A", 2, 2)
    first = look_up("11")
    assert first is not None
    assert first.sentence() == ("Queued as SLURM job 11: position 1 of 2, reason Resources, start 2026-11-24T14:00:00.")
    working = look_up("9")
    assert working is not None
    assert working.works
    assert working.sentence() == "SLURM job 9 is running on n1."
    assert look_up("77") is None
    assert cancel("12")
    assert (commands / "cancelled").read_text() == "12\n"


def test_a_run_is_queued_while_its_job_waits_and_not_lost_where_its_lock_is_not_seen(run: Run, commands: Path) -> None:
    assert liveness(run).state == "new"
    assert submit(run, run.path / FILE) == job_of(run) == "12"
    now = liveness(run)
    assert (now.state, now.alive) == ("queued", False)
    assert "position 2 of 2" in now.detail
    run.state_path.write_text(json.dumps({"boot_id": "other", "host": "n1", "step": 7, "stop_reason": None}))
    (commands / "queue").write_text("12|RUNNING|None|n1||main\n")
    slurm._answers.clear()
    assert (liveness(run).state, liveness(run).detail) == ("running", "SLURM job 12 is running on n1.")
    (commands / "queue").write_text("\n")
    slurm._answers.clear()
    assert liveness(run).state == "elsewhere"  # forgotten by SLURM, and the machine is another
    run.state_path.write_text(json.dumps({"boot_id": boot_id(), "step": 7, "stop_reason": "finished"}))
    (commands / "queue").write_text("\n".join(QUEUE))
    slurm._answers.clear()
    assert liveness(run).state == "finished"


def test_the_queue_is_asked_seldom(run: Run, commands: Path) -> None:
    submit(run, run.path / FILE)
    assert liveness(run).state == "queued"
    (commands / "queue").write_text("\n")
    assert liveness(run).state == "queued"  # the answer counts for ten seconds
    slurm._answers["12"] = (time.monotonic() - slurm.ASK_AGAIN_SECONDS - 1, None)
    assert liveness(run).state == "new"


def test_a_refusal_of_slurm_is_a_sentence(run: Run, commands: Path) -> None:
    make(commands, "sbatch", "#!/bin/sh\necho 'error: no such partition' >&2\nexit 1\n")
    with pytest.raises(UserError, match="no such partition") as caught:
        submit(run, run.path / FILE)
    assert f"sbatch {run.path / FILE}" in caught.value.fix
    assert job_of(run) == ""


def test_the_end_of_the_allocation_is_asked_for_where_no_variable_says_it(commands: Path, tmp_path: Path) -> None:
    found = read_surroundings({"SLURM_JOB_ID": "12"}, tmp_path)
    assert found.slurm_end == time.mktime(time.strptime("2026-11-24T13:18:20", "%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_job_file_is_a_script_with_what_the_plan_asks_for(tmp_path: Path, nodes: int) -> None:
    needs = Resources(nodes, 2, 8, 31_500_000_000, 3600)
    text = script(tmp_path / "my runs" / "a", "a", "/usr/bin/python3", needs, "/opt/tunewright")
    path = tmp_path / FILE
    path.write_text(text)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    asked = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    for line in (f"nodes={nodes}", "gpus-per-node=2", "cpus-per-task=8", "mem=32G", "time=02:20:00",
                 "signal=B:TERM@300", "requeue", "open-mode=append"):  # fmt: skip
        assert line in asked
    assert f"output='{tmp_path}/my runs/a/slurm.log'" in asked
    assert ("srun" in text) == (nodes > 1)
    assert "# module load cuda" in text
    assert "@" not in text.replace("B:TERM@300", "")  # every mark was filled in


def test_a_job_gets_twice_its_estimate() -> None:
    assert [minutes_of(seconds) for seconds in (0, 60, 3600, 86_400)] == [30, 30, 140, 2900]


@pytest.mark.parametrize(("code", "told", "requeued"), [(3, True, True), (3, False, False), (0, True, False)])
def test_the_job_goes_back_into_the_queue_only_when_slurm_ended_it(
    tmp_path: Path, commands: Path, code: int, told: bool, requeued: bool
) -> None:
    """The script is run for real, with an engine that takes a moment to save after the signal."""
    engine = f"#!/bin/bash\ntrap 'sleep 0.3; exit {code}' TERM\ntouch up\n[ {int(told)} = 1 ] || exit {code}\n" + (
        "while :; do sleep 0.05; done\n")  # fmt: skip
    make(commands, "python", engine)
    make(commands, "scontrol", '#!/bin/sh\necho "$*" > requeued\n')
    path = tmp_path / FILE
    path.write_text(script(tmp_path, "a", str(commands / "python"), Resources(1, 0, 1, 10**9, 60)))
    job = subprocess.Popen(["bash", str(path)], cwd=tmp_path, env={"PATH": f"{commands}:/usr/bin:/bin",
                                                                   "SLURM_JOB_ID": "12"})  # fmt: skip
    if told:
        while not (tmp_path / "up").exists():
            time.sleep(0.02)
        job.terminate()
    assert job.wait(20) == code
    assert (tmp_path / "requeued").exists() == requeued
    assert json.loads((tmp_path / "slurm.json").read_text()) == {"job": "12"}
