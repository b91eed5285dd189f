"""Reading GPUs through NVML, with recorded answers in place of a driver."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.machine import nvidia_gpus, nvml_failure
from engine.machine.nvidia_gpus import read_nvidia
from engine.machine.nvml_failure import explain_nvml_failure, nvidia_card_present

GIB = 1 << 30


class Failure(Exception):
    """What pynvml raises: an exception with a code in `value`."""

    def __init__(self, value: int, text: str = "") -> None:
        super().__init__(text)
        self.value = value


NOT_SUPPORTED = Failure(3, "Not Supported")


class FakeNvml:
    """An NVML that answers from a list of recorded devices."""

    def __init__(self, devices: list[dict[str, Any]], init: Exception | None = None) -> None:
        self.devices, self.init, self.open = devices, init, 0

    def nvmlInit(self) -> None:
        if self.init is not None:
            raise self.init
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65.06"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 13000

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        if self.devices[index].get("lost"):
            raise Failure(15, "GPU is lost")
        return self.devices[index]

    def nvmlDeviceGetName(self, handle: dict[str, Any]) -> str:
        return str(handle["name"])

    def nvmlDeviceGetUUID(self, handle: dict[str, Any]) -> bytes:
        return str(handle["uuid"]).encode()

    def nvmlDeviceGetMemoryInfo(self, handle: dict[str, Any]) -> SimpleNamespace:
        if "total" not in handle:
            raise NOT_SUPPORTED
        return SimpleNamespace(total=handle["total"], free=handle["free"])

    def nvmlDeviceGetCudaComputeCapability(self, handle: dict[str, Any]) -> tuple[int, int]:
        if "capability" not in handle:
            raise NOT_SUPPORTED
        return handle["capability"]  # type: ignore[no-any-return]

    def nvmlDeviceGetPowerManagementLimit(self, handle: dict[str, Any]) -> int:
        raise NOT_SUPPORTED

    def nvmlDeviceGetComputeRunningProcesses(self, handle: dict[str, Any]) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in handle.get("processes", [])]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: dict[str, Any]) -> list[SimpleNamespace]:
        raise NOT_SUPPORTED

    def nvmlDeviceGetMigMode(self, handle: dict[str, Any]) -> list[int]:
        return [1, 1] if "slices" in handle else [0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: dict[str, Any], index: int) -> dict[str, Any]:
        if index >= len(handle["slices"]):
            raise Failure(6, "Not Found")
        return handle["slices"][index]  # type: ignore[no-any-return]


T4 = {"name": "Tesla T4", "uuid": "GPU-1111", "total": 15 * GIB, "free": 14 * GIB, "capability": (7, 5)}
A100 = {
    "name": "NVIDIA A100-SXM4-80GB", "uuid": "GPU-2222", "total": 80 * GIB, "free": 40 * GIB, "capability": (8, 0),
    "processes": [(7, 3 * GIB), (9, 36 * GIB), (11, None)],
}  # fmt: skip


def test_devices_are_read_with_their_abilities_and_users() -> None:
    nvml = FakeNvml([T4, A100])
    reading = read_nvidia(nvml, lambda pid: f"user{pid}")
    old, new = reading.gpus
    assert (old.name, old.uuid, old.total_bytes, old.free_bytes) == ("Tesla T4", "GPU-1111", 15 * GIB, 14 * GIB)
    assert not old.supports_bf16
    assert new.supports_bf16 and new.index == 1 and new.power_limit_watts is None
    assert [(user.pid, user.user, user.bytes) for user in new.used_by] == [
        (9, "user9", 36 * GIB), (7, "user7", 3 * GIB), (11, "user11", 0),
    ]  # fmt: skip
    assert (reading.driver_version, reading.cuda_version) == ("580.65.06", "13.0")
    assert nvml.open == 0, "NVML must be closed again"


def test_a_sliced_card_shows_its_slices_with_the_parents_abilities() -> None:
    part = {"name": "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "uuid": "MIG-aaaa", "total": 40 * GIB, "free": 39 * GIB}
    reading = read_nvidia(FakeNvml([A100 | {"slices": [part, part | {"uuid": "MIG-bbbb"}]}, T4]), str)
    assert [(gpu.index, gpu.uuid) for gpu in reading.gpus] == [(0, "MIG-aaaa"), (1, "MIG-bbbb"), (2, "GPU-1111")]
    assert reading.gpus[0].compute_capability == (8, 0) and reading.gpus[0].supports_bf16
    assert reading.gpus[0].mig_parent == "GPU-2222" and reading.gpus[2].mig_parent == ""


def test_a_device_that_shares_the_hosts_memory_is_sized_by_meminfo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_gpus, "_unified_memory", lambda: (119 * GIB, 100 * GIB))
    reading = read_nvidia(FakeNvml([{"name": "NVIDIA GB10", "uuid": "GPU-3", "capability": (12, 1)}]), str)
    assert reading.gpus[0].unified_memory
    assert (reading.gpus[0].total_bytes, reading.gpus[0].free_bytes) == (119 * GIB, 100 * GIB)


def test_one_lost_card_does_not_hide_the_others() -> None:
    reading = read_nvidia(FakeNvml([T4 | {"lost": True}, A100]), str)
    assert [gpu.uuid for gpu in reading.gpus] == ["GPU-2222"]
    assert "GPU 0" in reading.notes[0] and "lost" in reading.notes[0]


@pytest.mark.parametrize(
    ("code", "words"),
    [(9, "kernel driver is not loaded"), (18, "different versions"), (4, "may not read"), (999, "did not start")],
)
def test_each_failure_is_told_apart_in_words(code: int, words: str) -> None:
    reading = read_nvidia(FakeNvml([], Failure(code, "code")), str)
    assert reading.gpus == () and words in reading.notes[0]


def test_a_missing_driver_is_told_apart_from_a_missing_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_failure, "nvidia_card_present", lambda: True)
    assert "no driver is installed" in explain_nvml_failure(Failure(12))
    monkeypatch.setattr(nvml_failure, "nvidia_card_present", lambda: False)
    assert "no NVIDIA card was found" in explain_nvml_failure(Failure(12))


def test_the_card_is_looked_for_on_the_pci_bus(tmp_path: Any) -> None:
    for name, vendor, kind in (("a", "0x8086", "0x030000"), ("b", "0x10de", "0x040300")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    assert not nvidia_card_present(tmp_path), "an Intel card and NVIDIA's audio device are no NVIDIA card"
    (tmp_path / "b" / "class").write_text("0x030200\n")
    assert nvidia_card_present(tmp_path)


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(nvidia_gpus.importlib, "import_module", missing)
    assert "nvidia-ml-py" in read_nvidia().notes[0]


def test_the_real_library_answers_without_raising() -> None:
    reading = read_nvidia()
    assert reading.gpus or reading.notes
