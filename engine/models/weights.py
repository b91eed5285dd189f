"""The weight files of a model directory: which there are, whether they are whole, how large."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.models.tokenizer_files import read_json

INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin", "consolidated.00.pth")
_LARGEST_HEADER = 100_000_000  # the limit that safetensors itself sets


@dataclass(frozen=True)
class Weights:
    """Safetensors files in their order, their bytes together, and the names of those that are missing."""

    files: tuple[Path, ...]
    total_bytes: int
    missing: tuple[str, ...]


def weight_files(directory: Path) -> Weights:
    """What the directory's index asks for, or its single file. Nothing is opened but the index."""
    index = directory / INDEX
    if index.is_file():
        names = sorted({str(name) for name in (read_json(index).get("weight_map") or {}).values()})
    else:
        names = sorted(file.name for file in directory.glob("model*.safetensors"))
    present = tuple(directory / name for name in names if (directory / name).is_file())
    missing = tuple(name for name in names if not (directory / name).is_file())
    return Weights(present, sum(file.stat().st_size for file in present), missing)


def check_weights(directory: Path) -> Weights:
    """The weight files of a local model. UserError when there are none, only pickled ones, or some are missing or cut
    off."""
    weights = weight_files(directory)
    if not weights.files and not weights.missing:
        _refuse_pickles(directory)
        raise UserError(
            "This model directory holds no weights.",
            str(directory),
            "Put its model.safetensors beside the config.json.",
        )
    if weights.missing:
        listed = ", ".join(weights.missing[:3]) + (" and more" if len(weights.missing) > 3 else "")
        raise UserError(
            f"{len(weights.missing)} of the model's weight files are missing: {listed}.",
            str(directory),
            "The download was not finished: download the model again; what is there is kept.",
        )
    for file in weights.files:
        check_whole(file)
    return weights


def check_whole(file: Path) -> None:
    """Compare a safetensors file's header with its size. UserError when it is cut off or no safetensors file."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, _LARGEST_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) > size:
            raise ValueError("it is shorter than its header says")
    except OSError as error:
        raise UserError(
            f"{file.name} cannot be read: {error.strerror}.", str(file), "Check its permissions."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(
            f"{file.name} is no whole safetensors file: {error}.",
            str(file),
            "The download was cut off: download it again.",
        ) from error


def _refuse_pickles(directory: Path) -> None:
    found = next((name for name in PICKLES if (directory / name).is_file()), None) or next(
        (file.name for file in directory.glob("pytorch_model*.bin")), None
    )
    if found:
        raise UserError(
            f"The weights are only there as {found}. Such files can run any code when opened, so they are not read.",
            str(directory),
            "Choose a model (or a revision of it) that has .safetensors files.",
        )
