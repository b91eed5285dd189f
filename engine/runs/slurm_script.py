"""The text of the job that carries out a run under SLURM: one readable file, to be changed where a cluster differs.

Sources: sbatch(1): `--signal=B:TERM@SECONDS` signals the script alone, before the end of the time; `--requeue` lets a
job that lost its node, or was pre-empted, start again. A job whose time is up is not started again by SLURM, so the
script asks for it (scontrol(1), requeue) after the engine has saved.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from engine.runs.nodes import DEFAULT_PORT

WARNING_SECONDS = 300
"""How long before the end of its time a job is told: a checkpoint of 100 GB at 0.5 GB/s takes 200."""
PORT = DEFAULT_PORT
FILE = "job.sh"


@dataclass(frozen=True)
class Resources:
    """What a job asks for on each node; `gpus` 0 means that the CPU trains. `reason` says where it comes from."""

    nodes: int
    gpus: int
    cpus: int
    memory_bytes: int
    seconds: float
    reason: str = "from the plan"


TEMPLATE = """\
#!/bin/bash
# A Tunewright run as a SLURM job, written by `tunewright train --slurm`.
# Resources are @REASON@; change what your cluster wants otherwise, then: sbatch @FILE@
@DIRECTIVES@

# What your cluster needs first, for example (take the # away):
# module load cuda
# source /path/to/venv/bin/activate

RUN=@RUN@
PYTHON=@PYTHON@
@PATH@
printf '{"job": "%s"}' "$SLURM_JOB_ID" > "$RUN/slurm.json"  # for `tunewright attach`
RESUME=''
[ -e "$RUN/state.json" ] && RESUME='--resume'  # it was started before: go on from its checkpoint

@START@
ENGINE=$!

# SLURM tells this script before the time is up; the engine saves and ends, and the job goes back into the queue
TOLD=''
trap 'TOLD=yes; kill -TERM "$ENGINE"' TERM
wait "$ENGINE"; CODE=$?
while [ "$TOLD" ] && [ "$CODE" = 143 ]; do wait "$ENGINE"; CODE=$?; done  # 143: the signal ended only the waiting
[ "$TOLD" ] && [ "$CODE" = 3 ] && scontrol requeue "$SLURM_JOB_ID"  # 3: stopped and resumable
exit "$CODE"
"""


def script(run: Path, name: str, python: str, needs: Resources, package_root: str = "") -> str:
    """The whole file. `package_root` is the folder of a checkout that is not installed, else empty."""
    path = f'export PYTHONPATH={shlex.quote(package_root)}"${{PYTHONPATH:+:$PYTHONPATH}}"\n' if package_root else ""
    words = {
        "REASON": needs.reason, "FILE": str(run / FILE), "DIRECTIVES": "\n".join(_directives(run, name, needs)),
        "RUN": shlex.quote(str(run)), "PYTHON": shlex.quote(python), "PATH": path, "START": _start(needs.nodes),
    }  # fmt: skip
    text = TEMPLATE
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _directives(run: Path, name: str, needs: Resources) -> list[str]:
    hours, minutes = divmod(minutes_of(needs.seconds), 60)
    gigabytes = max(1, -(-needs.memory_bytes // 10**9))
    asked = {
        "job-name": name, "nodes": str(needs.nodes), "ntasks-per-node": "1", "cpus-per-task": str(needs.cpus),
        **({"gpus-per-node": str(needs.gpus)} if needs.gpus else {}), "mem": f"{gigabytes}G",
        "time": f"{hours:02d}:{minutes:02d}:00", "signal": f"B:TERM@{WARNING_SECONDS}", "requeue": "",
        "open-mode": "append", "output": str(run / "slurm.log").replace("%", "%%"),
    }  # fmt: skip
    return [f"#SBATCH --{key}" + (f"={shlex.quote(value)}" if value else "") for key, value in asked.items()]


def minutes_of(seconds: float) -> int:
    """Twice the estimate and a quarter of an hour for the start, in whole ten minutes. Too little costs only another
    turn in the queue."""
    return max(30, int(-(-(2 * seconds + 900) // 600) * 10))


def _start(nodes: int) -> str:
    if nodes == 1:
        return '"$PYTHON" -P -m engine train "$RUN" $RESUME &'
    return f"""\
# one launcher on each node; the first of them is the rendezvous
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RUN PYTHON RESUME HEAD
srun --kill-on-bad-exit=1 --ntasks-per-node=1 bash -c 'exec "$PYTHON" -P -m engine train "$RUN" $RESUME \\
  --nodes "$SLURM_NNODES" --node-rank "$SLURM_NODEID" --rendezvous "$HEAD:{PORT}"' &"""
