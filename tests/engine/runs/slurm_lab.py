"""A private SLURM of two nodes on this machine: munged, slurmctld and two slurmd in a folder of their own.

The programs are those on PATH, or those below $TUNEWRIGHT_SLURM_ROOT (Debian's packages slurmctld, slurmd,
slurm-client, slurm-wlm-basic-plugins, munge, libmunge2, libhwloc15, liblua5.1-0, unpacked with `dpkg -x`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
CryptoType=crypto/munge
SlurmUser=root
SlurmctldPort=17817
StateSaveLocation={place}/state
SlurmctldPidFile={place}/ctld.pid
SlurmctldLogFile={place}/ctld.log
{plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdSpoolDir={place}/spool-%n
SlurmdPidFile={place}/slurmd-%n.pid
SlurmdLogFile={place}/slurmd-%n.log
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17821 CPUs=2 RealMemory=8000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17822 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
TOOLS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")
STEPD = Path("/usr/sbin/slurmstepd")


class SlurmLab:
    """Started on entering; `bin` is a folder of the tools, to be put before PATH."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bin = place / "bin"
        self._root = Path(os.environ.get("TUNEWRIGHT_SLURM_ROOT", "/"))
        self._libraries = self._root / "usr/lib/x86_64-linux-gnu"
        self._started: list[subprocess.Popen[bytes]] = []
        self._linked = False

    def __enter__(self) -> SlurmLab:
        daemons = {name: self._find(name) for name in ("munged", "slurmctld", "slurmd", "slurmstepd")}
        if os.getuid() or any(path is None for path in daemons.values()):
            pytest.skip("no SLURM here that may be started (root, slurmctld, slurmd, munge)")
        self._write()
        if not STEPD.exists():
            STEPD.symlink_to(str(daemons["slurmstepd"]))
            self._linked = True
        socket, key = self.place / "munge.sock", self.place / "key"
        self._start(daemons["munged"], "-F", "-f", "-S", socket, f"--key-file={key}",
                    f"--pid-file={self.place}/munged.pid", f"--log-file={self.place}/munged.log",
                    f"--seed-file={self.place}/seed")  # fmt: skip
        self._await(socket.exists)
        self._start(daemons["slurmctld"], "-D", "-f", self.place / "slurm.conf")
        for node in ("n1", "n2"):
            self._start(daemons["slurmd"], "-D", "-N", node, "-f", self.place / "slurm.conf")
        self._await(lambda: self.ask("sinfo", "-h", "-t", "idle", "-o", "%D") == "2")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._linked:
            STEPD.unlink(missing_ok=True)

    def ask(self, *command: object) -> str:
        """What one of the tools prints."""
        tool, *words = map(str, command)
        command = [str(self.bin / tool), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def _find(self, name: str) -> Path | None:
        for folder in ("usr/sbin", "usr/bin"):
            for word in (name, f"{name}-wlm"):
                if (self._root / folder / word).exists():
                    return self._root / folder / word
        found = shutil.which(name)
        return Path(found) if found else None

    def _write(self) -> None:
        for folder in ("state", "spool-n1", "spool-n2", "bin"):
            (self.place / folder).mkdir()
        plugins = self._libraries / "slurm-wlm"
        line = f"PluginDir={plugins}" if plugins.is_dir() else ""
        text = CONF.format(host=os.uname().nodename, place=self.place, plugins=line)
        (self.place / "slurm.conf").write_text(text)
        (self.place / "cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.place / "key").write_bytes(os.urandom(1024))
        (self.place / "key").chmod(0o400)
        for tool in TOOLS:
            path = self.bin / tool
            path.write_text(f'#!/bin/sh\n{self._exports()}\nexec {self._find(tool)} "$@"\n')
            path.chmod(0o755)

    def _exports(self) -> str:
        return (f"export SLURM_CONF={self.place}/slurm.conf "
                f"LD_LIBRARY_PATH={self._libraries}:{self._libraries}/slurm-wlm")  # fmt: skip

    def _start(self, program: Path | None, *words: object) -> None:
        environment = {**os.environ, "SLURM_CONF": f"{self.place}/slurm.conf",
                       "LD_LIBRARY_PATH": f"{self._libraries}:{self._libraries}/slurm-wlm"}  # fmt: skip
        with (self.place / "daemons.log").open("ab") as log:
            self._started.append(subprocess.Popen([str(program), *map(str, words)], env=environment, stdout=log,
                                                  stderr=log, stdin=subprocess.DEVNULL))  # fmt: skip

    def _await(self, ready: object, seconds: float = 20.0) -> None:
        assert callable(ready)
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                pytest.skip(f"SLURM did not come up: {(self.place / 'daemons.log').read_text()[-500:]}")
            time.sleep(0.1)
