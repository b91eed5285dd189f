"""The small text files beside a tokenizer: its chat template and its special tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError


@dataclass(frozen=True)
class SpecialTokens:
    """The strings that begin, end, fill and replace; None where the tokenizer names none."""

    bos: str | None
    eos: str | None
    pad: str | None
    unk: str | None


def chat_template(directory: Path) -> str | None:
    """The Jinja text that turns a conversation into the model's prompt, None for a model without one.

    Looked for where transformers looks: chat_template.jinja, then chat_template in tokenizer_config.json (a string,
    or a
    list of named ones of which "default" counts), then chat_template.json.
    """
    file = directory / "chat_template.jinja"
    if file.is_file():
        return _text(file)
    for name in ("tokenizer_config.json", "chat_template.json"):
        found = read_json(directory / name).get("chat_template") if (directory / name).is_file() else None
        if isinstance(found, str):
            return found
        if isinstance(found, list):
            named = {
                str(entry.get("name")): str(entry.get("template")) for entry in found if isinstance(entry, Mapping)
            }
            return named.get("default") or next(iter(named.values()), None)
    return None


def special_tokens(directory: Path) -> SpecialTokens:
    """The special tokens that tokenizer_config.json names, completed from special_tokens_map.json. UserError on
    broken JSON."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            settings |= {key: value for key, value in read_json(directory / name).items() if value is not None}
    return SpecialTokens(*(_content(settings.get(f"{name}_token")) for name in ("bos", "eos", "pad", "unk")))


def read_json(file: Path) -> dict[str, Any]:
    """One JSON object. UserError with file and line when it is damaged or no object."""
    fix = "Download the model again, or mend the file."
    try:
        content = json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file.name} is not valid JSON: {error.msg}.", f"{file}:{error.lineno}", fix) from error
    if not isinstance(content, dict):
        raise UserError(f"{file.name} does not hold a JSON object.", str(file), fix)
    return content


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is not text in UTF-8.", str(file), "Download the model again.") from error
    except OSError as error:
        raise UserError(
            f"{file.name} cannot be read: {error.strerror}.", str(file), "Check its permissions."
        ) from error


def _content(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None
