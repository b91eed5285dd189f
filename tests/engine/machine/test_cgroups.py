"""Limits of control groups, on recorded trees of both versions."""

from __future__ import annotations

from pathlib import Path

from engine.machine.cgroups import read_limits

GIB = 1 << 30


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_tightest_limit_along_the_ancestry_counts(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "user.slice/memory.max", f"{8 * GIB}\n")
    write(root / "user.slice/memory.current", f"{3 * GIB}\n")
    write(root / "user.slice/memory.stat", f"anon 1\ninactive_file {1 * GIB}\n")
    write(root / "user.slice/job/memory.max", f"{16 * GIB}\n")
    write(root / "user.slice/job/memory.current", f"{1 * GIB}\n")
    write(root / "user.slice/cpu.max", "150000 100000\n")
    write(root / "user.slice/job/cpu.max", "max 100000\n")
    write(tmp_path / "self", "0::/user.slice/job\n")
    limits = read_limits(tmp_path / "self", root)
    assert limits.memory_bytes == 8 * GIB
    assert limits.memory_free_bytes == 6 * GIB, "8 GiB less 3 in use, of which 1 can be dropped at once"
    assert limits.cpus == 1.5
    assert limits.where.endswith("user.slice")


def test_a_container_without_a_cgroup_namespace_uses_the_mounted_root(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "memory.max", f"{2 * GIB}\n")
    write(root / "memory.current", "0\n")
    write(tmp_path / "self", "0::/docker/0123456789abcdef\n")
    assert read_limits(tmp_path / "self", root).memory_bytes == 2 * GIB


def test_version_one_is_read_from_its_controllers(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "memory/slurm/job_1/memory.limit_in_bytes", f"{4 * GIB}\n")
    write(root / "memory/slurm/job_1/memory.usage_in_bytes", f"{2 * GIB}\n")
    write(root / "memory/slurm/job_1/memory.stat", f"total_inactive_file {GIB}\n")
    write(root / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root / "cpu,cpuacct/slurm/job_1/cpu.cfs_quota_us", "400000\n")
    write(root / "cpu,cpuacct/slurm/job_1/cpu.cfs_period_us", "100000\n")
    write(root / "cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "self", "12:memory:/slurm/job_1\n4:cpu,cpuacct:/slurm/job_1\n1:name=systemd:/x\n")
    limits = read_limits(tmp_path / "self", root)
    assert (limits.memory_bytes, limits.memory_free_bytes, limits.cpus) == (4 * GIB, 3 * GIB, 4.0)


def test_no_limits_and_no_files_are_both_fine(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "memory.max", "max\n")
    write(root / "cpu.max", "max 100000\n")
    write(tmp_path / "self", "0::/\n")
    for place in (tmp_path / "self", tmp_path / "absent"):
        limits = read_limits(place, root)
        assert (limits.memory_bytes, limits.memory_free_bytes, limits.cpus) == (None, None, None)


def test_a_damaged_file_is_no_limit(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "memory.max", "plenty\n")
    write(root / "cpu.max", "1000 0\n")
    write(tmp_path / "self", "nonsense\n0::/\n")
    limits = read_limits(tmp_path / "self", root)
    assert (limits.memory_bytes, limits.cpus) == (None, None)
