"""Memory, processors and disk of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.machine import host
from engine.machine.cgroups import GroupLimits

GIB = 1 << 30


def with_group(monkeypatch: pytest.MonkeyPatch, **limits: object) -> None:
    monkeypatch.setattr(host, "read_limits", lambda: GroupLimits(**limits))  # type: ignore[arg-type]


def test_the_host_is_read_and_plausible(tmp_path: Path) -> None:
    seen = host.read_host(tmp_path)
    assert 0 < seen.ram_available_bytes <= seen.ram_total_bytes
    assert seen.cpu_count > 0 and seen.disk_free_bytes > 0 and seen.disk_path == str(tmp_path)


def test_a_group_limit_caps_memory_and_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_group(monkeypatch, memory_bytes=GIB, memory_free_bytes=GIB // 2, where="/sys/fs/cgroup/job")
    seen = host.read_host(tmp_path)
    assert seen.ram_total_bytes == GIB and seen.ram_available_bytes == GIB // 2
    assert any("1.0 of" in text and "/sys/fs/cgroup/job" in text for text in seen.limits)


def test_a_cpu_quota_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_group(monkeypatch, cpus=0.5)
    seen = host.read_host(tmp_path)
    assert seen.cpu_count == 0.5 and any("0.5 of" in text for text in seen.limits)


def test_the_free_space_of_a_directory_that_does_not_exist_yet_is_its_ancestors(tmp_path: Path) -> None:
    free, place = host.free_bytes(tmp_path / "not" / "there", [])
    assert place == str(tmp_path) and free > 0


def test_a_missing_psutil_is_told_and_does_not_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(host.importlib, "import_module", missing)
    seen = host.read_host(tmp_path)
    assert seen.ram_total_bytes > 0 and any("psutil" in text for text in seen.limits)


def test_the_default_runs_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    assert host.runs_root() == tmp_path / "runs"
    monkeypatch.delenv("TUNEWRIGHT_HOME")
    assert host.runs_root() == Path.home() / "tunewright" / "runs"


def test_the_model_cache_is_where_the_hub_library_puts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert host.model_cache_directory() == Path.home() / ".cache/huggingface/hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert host.model_cache_directory() == tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "own"))
    assert host.model_cache_directory() == tmp_path / "own"
