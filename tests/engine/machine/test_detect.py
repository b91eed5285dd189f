"""The whole look at the machine, the pretended one, and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.machine import detect, other_gpus
from engine.machine.detect import Machine, detect_machine, pretend
from engine.machine.gpus import Gpu, GpuReading
from engine.machine.host import Host
from engine.machine.nvidia_gpus import read_nvidia
from engine.machine.visible import choose_visible
from tests.engine.machine.test_gpus import NOT_SUPPORTED, T4, FakeNvml

GIB = 1 << 30
HOST = Host(32 * GIB, 30 * GIB, 8.0, 500 * GIB, "/", ())


def card(index: int, name: str = "NVIDIA L4", free: int = 20, uuid: str = "", parent: str = "") -> Gpu:
    return Gpu(index, uuid or f"GPU-{index}aaa", name, 24 * GIB, free * GIB, (8, 9), True, "cuda", mig_parent=parent)


def test_detection_never_raises_and_imports_no_training_library(tmp_path: Path) -> None:
    code = (
        "import sys; from engine.machine.detect import detect_machine; from pathlib import Path;"
        f"machine = detect_machine(Path({str(tmp_path)!r}));"
        "bad = {'torch', 'transformers', 'numpy', 'huggingface_hub', 'textual'} & set(sys.modules);"
        "assert not bad, bad; assert machine.host.ram_total_bytes > 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])


def test_importing_the_package_loads_neither_psutil_nor_pynvml() -> None:
    code = (
        "import sys; import engine.machine.detect, engine.machine.tiers, engine.machine.packages;"
        "assert not {'psutil', 'pynvml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])


def test_the_best_gpu_has_the_most_free_memory() -> None:
    machine = Machine((card(0, free=4), card(1, free=18), card(2, free=9)), HOST, ())
    assert machine.best_gpu is not None and machine.best_gpu.index == 1
    assert Machine((), HOST, ()).best_gpu is None


def test_pretending_another_card_and_memory() -> None:
    machine = pretend(Machine((), HOST, ("No driver.",)), vram_gb=24, ram_gb=16)
    gpu = machine.best_gpu
    assert gpu is not None and gpu.kind == "pretend" and gpu.total_bytes == 24 * GIB
    assert 23 * GIB < gpu.free_bytes < 24 * GIB and gpu.supports_bf16
    assert machine.host.ram_total_bytes == 16 * GIB and machine.pretended
    assert "24 GB" in machine.notes[0] and "16 GB" in machine.notes[1]
    assert pretend(machine, vram_gb=0).best_gpu is None


def test_an_amd_card_is_found_when_there_is_no_nvidia_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "card1" / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text(f"{16 * GIB}\n")
    (device / "mem_info_vram_used").write_text(f"{GIB}\n")
    (device / "product_name").write_text("Radeon RX 7800 XT\n")
    monkeypatch.setattr(detect, "read_nvidia", lambda: GpuReading((), ("no NVIDIA card was found.",)))
    monkeypatch.setattr(detect, "read_amd", lambda: other_gpus.read_amd(tmp_path))
    machine = detect_machine(tmp_path)
    assert [(gpu.name, gpu.kind, gpu.free_bytes) for gpu in machine.gpus] == [("Radeon RX 7800 XT", "rocm", 15 * GIB)]
    assert any("ROCm" in note for note in machine.notes)
    assert not any("NVIDIA card was found" in note for note in machine.notes)


class WslNvml(FakeNvml):
    """NVML as WSL offers it: the card and its memory, but neither the processes of the Windows side nor its power."""

    def nvmlDeviceGetComputeRunningProcesses(self, handle: dict[str, Any]) -> list[Any]:
        raise NOT_SUPPORTED


def test_under_wsl_the_card_is_read_and_the_share_of_windows_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(detect, "read_nvidia", lambda: read_nvidia(WslNvml([T4]), str))
    monkeypatch.setattr(detect.platform, "release", lambda: "5.15.167.4-microsoft-standard-WSL2")
    machine = detect_machine(tmp_path)
    assert [(gpu.name, gpu.used_by) for gpu in machine.gpus] == [("Tesla T4", ())]
    assert any("WSL" in note and "Windows" in note for note in machine.notes)
    monkeypatch.setattr(detect.platform, "release", lambda: "6.1.0-18-amd64")
    assert not any("WSL" in note for note in detect_machine(tmp_path).notes)


def test_an_apple_machine_is_told_what_works() -> None:
    reading = other_gpus.read_apple("darwin", "arm")
    assert reading.gpus[0].kind == "mps" and "not offered" in reading.notes[0]
    assert Machine(reading.gpus, HOST, ()).best_gpu is None, "planning must not count on a GPU that cannot train here"
    assert other_gpus.read_apple("darwin", "i386").gpus == ()
    assert other_gpus.read_apple("linux") == GpuReading(())


CARDS = (card(0, uuid="GPU-aa11"), card(1, uuid="GPU-aa22"), card(2, uuid="MIG-cc33", parent="GPU-dd44"))


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        ("0", ["GPU-aa11"]),
        ("2,0", ["MIG-cc33", "GPU-aa11"]),
        ("GPU-aa2", ["GPU-aa22"]),
        ("gpu-aa2", []),
        ("MIG-cc33", ["MIG-cc33"]),
        ("MIG-GPU-dd44/1/0", ["MIG-cc33"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["GPU-aa11"]),
        ("1,9,0", ["GPU-aa22"]),
        ("GPU-aa", []),
        ("0,0", []),
    ],
)
def test_cuda_visible_devices_chooses_as_cuda_does(value: str, chosen: list[str]) -> None:
    gpus, _ = choose_visible(CARDS, {"CUDA_VISIBLE_DEVICES": value})
    assert [gpu.uuid for gpu in gpus] == chosen
    assert [gpu.index for gpu in gpus] == list(range(len(chosen)))


def test_hidden_and_misnamed_gpus_are_said() -> None:
    assert choose_visible(CARDS, {}) == (CARDS, [])
    _, notes = choose_visible(CARDS, {"CUDA_VISIBLE_DEVICES": "1,7"})
    assert any('"7"' in note for note in notes) and any("1 of 3" in note for note in notes)
    mixed = (card(0, "NVIDIA T4"), card(1, "NVIDIA L4"))
    assert any("PCI_BUS_ID" in note for note in choose_visible(mixed, {"CUDA_VISIBLE_DEVICES": "1"})[1])
    calm = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert not any("PCI_BUS_ID" in note for note in choose_visible(mixed, calm)[1])
