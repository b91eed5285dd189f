"""The datasets of an Axolotl file: where the rows are, what they are, which column is what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.exchange.sheet import Sheet, says_something

FORMATS = {
    "alpaca": "instruction", "completion": "text", "chat_template": "messages", "sharegpt": "sharegpt",
    "alpaca_chat": "instruction", "instruction": "instruction", "pretrain": "text", "input_output": "prompt_completion",
    "chat_template.default": "preference", "chat_template.argilla": "preference", "chatml.intel": "preference",
    "chatml.ultra": "preference", "llama3.argilla": "kto", "chatml.argilla": "preference",
}  # fmt: skip
"""Dataset types whose rows mean the same here."""


def carry_data(sheet: Sheet) -> None:
    """The first dataset is the data; more of them go beside it where they are the same kind of source."""
    for key in ("datasets", "pretraining_dataset"):
        sets = sheet.take(key)
        if not says_something(sets):
            continue
        entries = [one for one in (sets if isinstance(sets, list) else [sets]) if isinstance(one, dict)]
        if not entries or "data.source" in sheet.carried.answers:
            sheet.leave(key, "No list of datasets with a path.")
            continue
        _dataset(sheet, key, entries[0])
        if entries[1:]:
            sheet.put("data.more", [_source(entry) for entry in entries[1:]], f"{key} after the first")
    sheet.change("test_datasets", lambda sets: sheet.put("data.validation", _source(sets[0]), "test_datasets"))


def _dataset(sheet: Sheet, key: str, entry: Mapping[str, Any]) -> None:
    own = Sheet(sheet.carried.program, entry)
    own.take("path")
    own.take("data_files")
    own.take("ds_type")
    sheet.put("data.source", _source(entry), f"{key}: path")
    for name, recipe_key in (("split", "data.split"), ("name", "data.config"), ("revision", "data.revision")):
        own.change(name, lambda value, name=name, to=recipe_key: sheet.put(to, value, f"{key}: {name}"))  # type: ignore[misc]
    kind = own.take("type")
    known = FORMATS.get(str(kind)) or FORMATS.get(str(kind).split(":")[0].split(".")[0])
    if known:
        sheet.put("data.format", known, f"{key}: type")
    elif says_something(kind):
        sheet.leave(
            f"{key}: type", f"The type {str(kind)[:60]} has no format here; data.format auto looks at the rows."
        )
    own.change(
        "message_property_mappings", lambda value: _properties(sheet, f"{key}: message_property_mappings", value)
    )
    own.change("train_on_eos", lambda value: sheet.needless(f"{key}: train_on_eos", "The end of an answer is learned."))
    own.change("roles_to_train", lambda value: sheet.needless(f"{key}: roles_to_train", "Answers are what is learned."))
    columns = {"field_messages": "messages", "field": "text", "field_instruction": "prompt",
               "field_output": "completion", "field_chosen": "chosen", "field_rejected": "rejected"}  # fmt: skip
    roles = {role: str(value) for name, role in columns.items() if says_something(value := own.take(name))}
    if roles and any(role != column for role, column in roles.items()):
        sheet.put("data.map", roles, f"{key}: field_*")
    for name, why in own.finish().left.items():
        sheet.leave(f"{key}: {name}", why)


def _properties(sheet: Sheet, key: str, mapping: Any) -> None:
    """The names of role and content inside a message, which are found where they are usual ones."""
    usual = {"role": {"role", "from"}, "content": {"content", "value"}}
    if isinstance(mapping, Mapping) and all(name in usual.get(str(role), ()) for role, name in mapping.items()):
        sheet.needless(key, "These names are found by themselves.")
    else:
        sheet.leave(key, "Messages have role and content, or from and value.")


def _source(entry: Mapping[str, Any]) -> str:
    files = entry.get("data_files")
    first = files[0] if isinstance(files, list) and files else files
    return str(first if isinstance(first, str) and entry.get("path") in ("json", "csv", "parquet", "text", None) else
               entry.get("path", ""))  # fmt: skip
