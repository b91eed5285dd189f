"""The table of what each kind of machine can train, and who follows it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from engine.machine.abilities import ABILITIES, ALL_METHODS, DeviceKind, table, why_not
from engine.machine.detect import Machine
from engine.machine.gpus import Gpu, GpuKind
from engine.machine.host import Host
from engine.machine.other_gpus import read_intel
from tests.conftest import PROJECT

HOST = Host(64 << 30, 48 << 30, 16.0, 100 << 30, "/runs", ())


def test_every_kind_that_is_detected_is_in_the_table() -> None:
    assert set(get_args(GpuKind)) | {"cpu"} == set(ABILITIES) == set(get_args(DeviceKind))
    assert all(found.reason for found in ABILITIES.values())


@pytest.mark.parametrize("kind", list(ABILITIES))
def test_what_is_not_offered_has_its_reason(kind: DeviceKind) -> None:
    for method in ALL_METHODS:
        assert bool(why_not(kind, method)) == (method not in ABILITIES[kind].methods)


def test_only_devices_that_train_are_planned_for() -> None:
    def machine(kind: GpuKind) -> Machine:
        return Machine((Gpu(0, "", "x", 8 << 30, 8 << 30, None, True, kind),), HOST, ())

    assert {kind for kind in get_args(GpuKind) if machine(kind).best_gpu is not None} == {"cuda", "rocm", "pretend"}


def test_an_intel_gpu_is_found_by_its_drivers_files(tmp_path: Path) -> None:
    assert read_intel(tmp_path).gpus == ()
    files = {"card0/device/tile0/physical_vram_size_bytes": "0x200000000\n", "card1/lmem_total_bytes": "x"}
    for place, text in files.items():
        file = tmp_path / place
        file.parent.mkdir(parents=True)
        file.write_text(text)
    reading = read_intel(tmp_path)
    assert [(gpu.kind, gpu.total_bytes) for gpu in reading.gpus] == [("xpu", 8 << 30)]
    assert "not offered" in reading.notes[0]


def test_the_readme_has_the_same_table() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    for title, methods, precisions, checked, remark in table():
        assert f"| {title} | {methods} | {precisions} | {checked} | {remark} |" in text
