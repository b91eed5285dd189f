"""Is the training stack sound on this machine: versions, torch against driver and GPU, a 4-bit product really done.

The packages are tried in a child process with a time limit; this module itself imports none of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, Literal

from engine.machine.detect import Machine
from engine.machine.gpus import Gpu
from engine.machine.packages import DISTRIBUTION, TRAINING_PACKAGES, install_command, missing_training_packages

PROBE_MODULE = "engine.plan.probe_stack"
SECONDS_TO_ANSWER = 180.0
Answer = Mapping[str, Any]
Run = Callable[[float], Answer]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: "ok", "note" (works, could be better) or "bad" (training would fail); `fix` mends
    it."""

    name: str
    state: Literal["ok", "note", "bad"]
    found: str
    fix: str = ""


def check_training(machine: Machine, run: Run | None = None, seconds: float = SECONDS_TO_ANSWER) -> tuple[Check, ...]:
    """All checks of the training stack; takes as long as importing torch and bitsandbytes does. Never raises.

    `run` stands in for the child process in tests.
    """
    missing = missing_training_packages()
    if missing:
        fix = f"Planning works. To train: {install_command()}"
        return (Check("training packages", "note", f"missing: {', '.join(missing)}", fix),)
    try:
        answer = (run or run_probe)(seconds)
    except subprocess.TimeoutExpired:
        what = f"the packages did not answer within {seconds:.0f} seconds"
        return (*check_versions(), Check("training packages", "bad", what, f"Install them again: {install_command()}"))
    except (OSError, ValueError) as error:
        what = f"the packages end the process that loads them: {error}"
        return (*check_versions(), Check("training packages", "bad", what, f"Install them again: {install_command()}"))
    return (*check_versions(), *_torch_checks(machine, answer), _four_bit_check(answer))


def run_probe(seconds: float) -> Answer:
    """Ask the child. Raises TimeoutExpired, OSError or ValueError when it gives no answer."""
    command = [sys.executable, "-m", PROBE_MODULE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(last[:300])
    answer = json.loads(done.stdout)
    if not isinstance(answer, dict):
        raise ValueError("its answer is no object")
    return answer


def check_versions(installed: Callable[[str], str] = version) -> tuple[Check, ...]:
    """The installed versions against the tested ranges that this distribution declares."""
    outside: list[tuple[str, str, str]] = []
    inside: list[tuple[str, str, str]] = []
    for name, allowed in _tested_ranges().items():
        try:
            present = installed(name)
        except PackageNotFoundError:
            continue
        (inside if allowed.contains(present, prereleases=True) else outside).append((name, present, str(allowed)))
    if outside:
        found = ", ".join(f"{name} {present} (tested: {allowed})" for name, present, allowed in outside)
        return (Check("tested versions", "note", found, f"To get tested ones: {install_command()} --upgrade"),)
    if not inside:  # run from a folder that is not installed: nothing declares the ranges
        return ()
    return (Check("tested versions", "ok", ", ".join(f"{name} {present}" for name, present, _ in inside)),)


def _tested_ranges() -> dict[str, Any]:
    """Package -> range of versions, from the metadata of this distribution; empty when it is not installed as one."""
    found: dict[str, Any] = {}
    try:
        from packaging.requirements import InvalidRequirement, Requirement  # comes with every training package

        lines = requires(DISTRIBUTION) or []
    except (ImportError, PackageNotFoundError):
        return found
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name in TRAINING_PACKAGES:
            found[requirement.name] = requirement.specifier
    return found


def _torch_checks(machine: Machine, answer: Answer) -> Iterator[Check]:
    if answer.get("torch_error"):
        yield Check("torch", "bad", str(answer["torch_error"]), f"Install it again: {install_command()}")
        return
    built = f"torch {answer.get('torch')}" + (
        f", built for CUDA {answer['cuda']}" if answer.get("cuda") else ", CPU only"
    )
    gpu = machine.best_gpu
    if gpu is None or gpu.kind != "cuda":
        yield Check("torch", "ok", built)
        return
    yield _torch_on(gpu, machine.cuda_version, answer, built)


def _torch_on(gpu: Gpu, driver_cuda: str, answer: Answer, built: str) -> Check:
    """torch against an NVIDIA card and its driver."""
    if not answer.get("cuda"):
        fix = f"{sys.executable} -m pip install --force-reinstall torch"
        return Check("torch", "bad", f"{built}, but there is a {gpu.name}", fix)
    if driver_cuda and _major(str(answer["cuda"])) > _major(driver_cuda):
        what = f"{built}; the driver only reaches CUDA {driver_cuda}"
        return Check("torch", "bad", what, "Update the NVIDIA driver, or install a torch built for an older CUDA.")
    if not answer.get("cuda_available"):
        return Check(
            "torch", "bad", f"{built}; it cannot use the {gpu.name}", "Run nvidia-smi; restart after a driver update."
        )
    capability = answer.get("capability") or []
    known = [str(name) for name in answer.get("architectures") or []]
    if capability and known and not _supported(capability, known):
        what = f"{built}; it has no code for the {gpu.name} (compute capability {capability[0]}.{capability[1]})"
        return Check("torch", "bad", what, "Install a torch release that still (or already) supports this card.")
    return Check("torch", "ok", f"{built}, runs on the {gpu.name}")


def _supported(capability: list[int], known: list[str]) -> bool:
    """Code for sm_XY runs on X.Y and on later minors of X; code for compute_XY is compiled on anything newer."""
    major, minor = int(capability[0]), int(capability[1])
    for name in known:
        kind, _, number = name.partition("_")
        digits = "".join(part for part in number if part.isdigit())
        if not digits:
            continue
        has_major, has_minor = int(digits[:-1]), int(digits[-1])
        if kind == "sm" and has_major == major and has_minor <= minor:
            return True
        if kind == "compute" and (has_major, has_minor) <= (major, minor):
            return True
    return False


def _four_bit_check(answer: Answer) -> Check:
    if answer.get("four_bit_error"):
        what = f"bitsandbytes cannot multiply in 4 bits: {answer['four_bit_error']}"
        return Check(
            "4-bit products", "bad", what, "LoRA and full fine-tuning still work; for QLoRA install bitsandbytes again."
        )
    if "four_bit_device" not in answer:
        return Check("4-bit products", "note", "not tried, since torch does not load")
    device = "GPU" if answer["four_bit_device"] == "cuda" else "processor"
    return Check("4-bit products", "ok", f"bitsandbytes multiplies on the {device}")


def _major(version_text: str) -> int:
    return int(version_text.partition(".")[0] or 0)
