"""One of several processes of a run: joins the others, does its share, and dies with its launcher."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from engine.errors import UserError
from engine.runs.store import Run
from engine.train.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED
from engine.train.pulse import LAUNCHER
from engine.train.reporter import Reporter
from engine.train.run import carry_out
from engine.train.surroundings import prepare_process, use_one_gpu
from engine.train.world import PeerLost

DEVICES, NODES = "TUNEWRIGHT_DEVICES", "TUNEWRIGHT_NODES"
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
PR_SET_PDEATHSIG = 1


def work_as_rank(directory: Path, resume: bool) -> int:
    """Carry out this process's share of a run. 0 when it ended as it should, also by a request to stop."""
    end_with_launcher()
    run = Run(directory.absolute())
    prepare_process(run.log_path)
    errors = Path(os.environ[ERROR_FILE]) if ERROR_FILE in os.environ else None
    use_one_gpu(int(os.environ["LOCAL_RANK"]))
    expected = int(os.environ[DEVICES]) * int(os.environ.get(NODES, "1"))

    from engine.train import process_group  # torch

    try:
        world = process_group.join(expected)
    except UserError as error:
        return _fail(error, errors)
    except PeerLost as error:
        return _fail(UserError(f"The processes did not find each other: {error}", "", "Resume the run.", 1), errors)
    reporter = Reporter(run, "relayed" if world.leads else "silent")
    code = carry_out(run, resume, reporter, world)
    if code in {EXIT_DONE, EXIT_STOPPED} or reporter.state.get("restart"):
        process_group.leave()
        return EXIT_DONE
    if reporter.last_error is not None:
        _fail(reporter.last_error, errors)
    return code


def end_with_launcher() -> None:
    """Have the kernel kill this process when its launcher dies, however that happens: two engines of one run would
    otherwise work side by side after a resume. Where there is no such call, the pulse looks once a second."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    launcher = os.environ.get(LAUNCHER)
    if launcher and os.getppid() != int(launcher):
        sys.exit("The launcher is gone already.")


def _fail(error: UserError, place: Path | None) -> int:
    """Leave `error` where the launcher finds it. The form around it is torchrun's."""
    sys.stderr.write(f"{error}\n")
    if place is not None:
        document = {"message": error.what, "timestamp": int(time.time()), "user_error": error.as_dict()}
        with contextlib.suppress(OSError):
            place.write_text(json.dumps(document))
    return error.exit_code or EXIT_FAILED
