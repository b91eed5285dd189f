"""llama.cpp's converter: where it is, and fetching it when a person agrees.

The converter is part of llama.cpp's repository and of no Python wheel. The source package of llama-cpp-python holds
it, so that is where it comes from when no checkout is there: a pinned version whose sha256 is checked before a file
of it is used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from engine.emit import Emit
from engine.errors import UserError
from engine.runs.files import sync_directory

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
PACKAGE_BYTES = 76_589_250
SCRIPT = "convert_hf_to_gguf.py"
ADAPTER_SCRIPT = "convert_lora_to_gguf.py"
_INSIDE = "vendor/llama.cpp/"
_WANTED = (SCRIPT, ADAPTER_SCRIPT, "conversion/", "gguf-py/", "LICENSE")


def find_converter(given: str = "") -> Path | None:
    """The folder that holds the converter: as given, $LLAMA_CPP_DIR, beside a program on PATH, or fetched before.

    Raises UserError when `given` holds no converter.
    """
    if given:
        folder = Path(given).expanduser().absolute()
        if not (folder / SCRIPT).is_file():
            raise UserError(f"This folder holds no {SCRIPT}.", str(folder), "Give a checkout of llama.cpp.")
        return folder
    on_path = shutil.which(SCRIPT)
    places = [os.environ.get("LLAMA_CPP_DIR", ""), str(Path(on_path).resolve().parent) if on_path else ""]
    folders = [Path(place) for place in places if place] + [fetched_folder()]
    return next((folder for folder in folders if (folder / SCRIPT).is_file()), None)


def fetched_folder() -> Path:
    """Where a fetched converter is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tunewright" / f"llama.cpp-{VERSION}"


def converter(given: str, may_fetch: bool, emit: Emit) -> Path:
    """The converter's folder, fetched when that is allowed. Raises UserError that says how to get it."""
    found = find_converter(given)
    if found is not None:
        return found
    if not may_fetch:
        size = round(PACKAGE_BYTES / 1e6)
        raise UserError(
            "llama.cpp's converter is needed for GGUF and is not on this machine.",
            str(fetched_folder()),
            f"Allow fetching it with --fetch-converter ({size} MB from PyPI, the source of {PACKAGE} {VERSION}), or "
            "give a checkout of llama.cpp with --llama-cpp.",
        )
    return fetch_converter(emit)


def fetch_converter(emit: Emit) -> Path:
    """Download the pinned source package, check its hash and keep the converter. Raises UserError."""
    target = fetched_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    emit({"progress": {"phase": "fetching", "detail": f"llama.cpp's converter ({PACKAGE_BYTES // 10**6} MB)"}})
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".llama.cpp-") as scratch:
        archive = _download(Path(scratch))
        unpacked = Path(scratch) / "unpacked"
        unpack_converter(archive, unpacked)
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    sync_directory(target.parent)
    return target


def _download(scratch: Path) -> Path:
    """The checked archive, downloaded by pip with a required hash."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", PACKAGE, "--require-hashes", "-r", str(requirement), "-d", str(scratch)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    archive = next(iter(scratch.glob("*.tar.gz")), None)
    if done.returncode or archive is None:
        line = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        fix = "Check the network and that pip is installed, or give a checkout of llama.cpp with --llama-cpp."
        raise UserError(f"The converter could not be fetched: {line[:300]}", PACKAGE, fix, exit_code=1)
    return archive


def unpack_converter(archive: Path, target: Path, sha256: str = SHA256) -> None:
    """Unpack the converter's files from the source package. Raises UserError when the hash is another one."""
    with archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        what = f"The downloaded package is not the one this program knows (sha256 {found[:16]}...)."
        raise UserError(what, str(archive), "Do not use it. Try again later.", exit_code=1)
    target.mkdir()
    with tarfile.open(archive) as package:
        for member in package:
            inside = member.name.partition("/")[2]
            name = inside.removeprefix(_INSIDE)
            if member.isfile() and inside.startswith(_INSIDE) and name.startswith(_WANTED):
                member.name = name
                package.extract(member, target, filter="data")
    if not (target / SCRIPT).is_file():
        raise UserError("The package holds no converter.", str(archive), "Give a checkout of llama.cpp.", exit_code=1)
