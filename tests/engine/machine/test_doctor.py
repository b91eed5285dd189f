"""The training stack's checks, on recorded answers of the child and once for real."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from engine.machine import doctor
from engine.machine.detect import Machine
from engine.machine.doctor import check_training, check_versions
from engine.machine.gpus import Gpu
from engine.machine.host import Host

GIB = 1 << 30
HOST = Host(32 * GIB, 30 * GIB, 8.0, 500 * GIB, "/", ())
T4 = Gpu(0, "GPU-1", "Tesla T4", 15 * GIB, 14 * GIB, (7, 5), False, "cuda")
SOUND = {
    "torch": "2.13.0", "cuda": "13.0", "cuda_available": True, "capability": [7, 5], "four_bit_device": "cuda",
    "architectures": ["sm_75", "sm_80", "sm_90", "compute_120"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_training_packages", lambda: ())


def states(answer: dict[str, Any], cuda: str = "13.0", gpus: tuple[Gpu, ...] = (T4,)) -> dict[str, tuple[str, str]]:
    machine = Machine(gpus, HOST, (), "580.65", cuda)
    checks = check_training(machine, lambda seconds: answer)
    assert all(check.fix for check in checks if check.state == "bad"), "what is broken says how to mend it"
    return {check.name: (check.state, check.found) for check in checks}


def test_a_sound_stack_is_ok() -> None:
    found = states(SOUND)
    assert found["torch"][0] == found["4-bit products"][0] == "ok" and "Tesla T4" in found["torch"][1]


@pytest.mark.parametrize(
    ("changes", "cuda", "words"),
    [
        ({"cuda": "", "cuda_available": False}, "13.0", "CPU only"),
        ({}, "12.4", "driver only reaches CUDA 12.4"),
        ({"cuda_available": False}, "13.0", "cannot use"),
        ({"capability": [7, 0]}, "13.0", "no code for"),
        ({"torch_error": "ImportError: libcudart"}, "13.0", "libcudart"),
    ],
)
def test_torch_that_does_not_suit_the_machine_is_broken(changes: dict[str, Any], cuda: str, words: str) -> None:
    state, found = states(SOUND | changes, cuda)["torch"]
    assert state == "bad" and words in found


@pytest.mark.parametrize(("capability", "state"), [([8, 9], "ok"), ([9, 0], "ok"), ([12, 1], "ok"), ([6, 1], "bad")])
def test_code_runs_on_later_minors_and_is_compiled_for_newer_cards(capability: list[int], state: str) -> None:
    assert states(SOUND | {"capability": capability})["torch"][0] == state


def test_without_a_gpu_a_cpu_build_is_fine() -> None:
    assert states(SOUND | {"cuda": "", "cuda_available": False}, gpus=())["torch"][0] == "ok"


def test_a_failing_product_breaks_only_qlora() -> None:
    answer = {key: value for key, value in SOUND.items() if key != "four_bit_device"}
    assert states(answer | {"four_bit_error": "no kernel"})["4-bit products"][0] == "bad"
    assert states(answer)["4-bit products"][0] == "note"


@pytest.mark.parametrize(
    "failure", [subprocess.TimeoutExpired("probe", 5), ValueError("Illegal instruction"), OSError("no such file")]
)
def test_a_child_that_hangs_or_dies_is_told(failure: Exception) -> None:
    def run(seconds: float) -> dict[str, Any]:
        raise failure

    checks = check_training(Machine((), HOST, ()), run, seconds=5)
    assert checks[-1].state == "bad" and ("5 seconds" in checks[-1].found or str(failure) in checks[-1].found)


def test_missing_packages_are_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_training_packages", lambda: ("torch",))
    (check,) = check_training(Machine((), HOST, ()))
    assert check.state == "note" and "torch" in check.found and "-m pip install" in check.fix


def test_versions_outside_the_tested_range_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2.8,<2.16; extra == 'train'", "trl>=1.16,<1.17", "peft>=0.21", "not a requirement !!", "rich>=1"]
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    versions = {"torch": "2.13.0+cpu", "trl": "1.20.0"}

    def installed(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    (check,) = check_versions(installed)
    assert check.state == "note" and "trl 1.20.0" in check.found and "torch" not in check.found
    versions["trl"] = "1.16.3"
    assert check_versions(installed)[0].state == "ok"


@pytest.mark.xdist_group("torch")
def test_the_real_packages_answer() -> None:
    pytest.importorskip("bitsandbytes")
    answer = doctor.run_probe(180)
    assert answer["torch"] and "four_bit_error" not in answer and answer["four_bit_difference"] < 0.2
