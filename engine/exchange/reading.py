"""Which program a file belongs to, and its settings as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.exchange import axolotl, llamafactory, trl_command, unsloth_notebook
from engine.exchange.sheet import Carried

LARGEST_BYTES = 20_000_000
KINDS = "an Axolotl or LLaMA-Factory YAML file, a TRL command line or YAML file, or an Unsloth notebook (.ipynb, .py)"


def read_foreign(path: Path) -> Carried:
    """The settings in `path` as recipe keys. Raises UserError for a file that cannot be read or is none of `KINDS`."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UserError("This file is too large for settings.", str(path), f"Give {KINDS}.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"The file cannot be read: {reason}.", str(path), f"Give {KINDS}.") from error
    if path.suffix in (".ipynb", ".py"):
        return unsloth_notebook.carry(text, str(path))
    if path.suffix == ".sh" or text.lstrip().startswith(("trl ", "python ", "accelerate ", "#!")):
        return _command(text, path)
    return _yaml(text, path)


def _command(text: str, path: Path) -> Carried:
    lines = text.replace("\\\n", " ").splitlines()
    command = next((line for line in lines if "--model_name_or_path" in line or "--model-name-or-path" in line), "")
    if not command:
        raise UserError("No command with --model_name_or_path was found.", str(path), f"Give {KINDS}.")
    options = trl_command.parse_command(command)
    if "finetuning_type" in options or "stage" in options:
        return llamafactory.carry(options, path.absolute().parent)
    return trl_command.carry(options)


def _yaml(text: str, path: Path) -> Carried:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError("This is no YAML that can be read.", where, f"Give {KINDS}.") from error
    if not isinstance(document, Mapping):
        raise UserError("This file holds no settings.", str(path), f"Give {KINDS}.")
    return carry_document({str(key): value for key, value in document.items()}, path)


def carry_document(document: dict[str, Any], path: Path) -> Carried:
    """Told apart by the keys that only one of the programs has. Raises UserError."""
    if "base_model" in document:
        return axolotl.carry(document)
    if "model_name_or_path" in document and ("dataset_name" in document or "use_peft" in document):
        return trl_command.carry(document)
    if "model_name_or_path" in document:
        if not ({"dataset", "stage", "finetuning_type", "do_train"} & set(document)):
            raise UserError("This file does not train: it names no data.", str(path), f"Give {KINDS}.")
        return llamafactory.carry(document, path.absolute().parent)
    raise UserError("This file names no base model, so it is no recipe.", str(path), f"Give {KINDS}.")
