"""Set the process up before any heavy library is imported, since most of them look only once."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN", "GITHUB_TOKEN")  # fmt: skip


GPUS = "TUNEWRIGHT_GPUS"
"""Set by the launcher of several processes: the UUID of the GPU of each, in order of local rank."""


def prepare_process(log_path: Path) -> None:
    """Write only into the log from now on, and keep libraries quiet and at home."""
    _redirect_output(log_path)
    os.umask(0o077)
    fixed = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false",
             "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
    os.environ.update(fixed)
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    os.environ.setdefault("OMP_NUM_THREADS", str(cpu_threads()))


def go_offline() -> None:
    """After everything has been fetched: no library may ask the net any more, and no secret stays in reach."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in _SECRETS:
        os.environ.pop(name, None)
    with contextlib.suppress(ImportError, AttributeError):
        import huggingface_hub.constants

        huggingface_hub.constants.HF_HUB_OFFLINE = True


def cpu_threads() -> int:
    """Threads for computing on the CPU: one core stays free for the terminal.

    Threads of OpenMP wait in busy loops, so that one too many makes small steps ten times slower.
    """
    from engine.machine.cgroups import read_limits

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(available, read_limits().cpus or available)) - 1)


class LogStream(io.TextIOBase):
    """Writes to the log, and never raises: a log that cannot be written must not end the run that it tells of."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))
        return len(text)

    def fileno(self) -> int:
        return 2

    def writable(self) -> bool:
        return True


def _redirect_output(log_path: Path) -> None:
    """The engine never writes to a terminal or a pipe, whoever started it: both can stop it."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout = sys.stderr = LogStream()


def gpus_by_room() -> list[str]:
    """The UUIDs of the NVIDIA GPUs that this process may use, most free memory first."""
    from engine.machine.detect import detect_machine

    gpus = [gpu for gpu in detect_machine().gpus if gpu.kind == "cuda"]
    return [gpu.uuid for gpu in sorted(gpus, key=lambda gpu: gpu.free_bytes, reverse=True)]


def use_one_gpu(local_rank: int = 0) -> None:
    """Show torch one GPU: the launcher's choice for this local rank, else the one with most free memory.

    With several in sight the trainer would want nn.DataParallel, which is slower than one GPU and refused by TRL.
    """
    chosen = os.environ.get(GPUS, "").split(",")
    if chosen != [""]:
        os.environ["CUDA_VISIBLE_DEVICES"] = chosen[local_rank]
        return
    gpus = gpus_by_room()
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]
