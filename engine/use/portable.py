"""A model directory that other programs read right: configuration, tokenizer and template filled in for all of them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from engine.use.prompts import Prompts

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def finish_model_directory(folder: Path, prompts: Prompts) -> list[str]:
    """Add tokenizer and template to a saved model and complete its files for readers older than transformers 5.

    Returns sentences that say what was filled in.
    """
    notes = fill_config(folder / "config.json")
    copy_tokenizer(prompts.folder, folder)
    template = without_marks(prompts.template_text)
    if template != prompts.template_text:
        notes.append("Marks for training were taken out of the chat template; it renders the same text without them.")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return notes + fill_tokenizer_config(folder, prompts, template)


def without_marks(template: str) -> str:
    """The template without `{% generation %}` marks, which only training reads and llama.cpp does not know.

    A comment takes the place of each, so that white space is cut in the same places.
    """
    return re.sub(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}", r"{#\1 \2#}", template)


def fill_config(path: Path) -> list[str]:
    """Write rotary settings where older readers look for them, and drop what belongs to this machine.

    transformers 5 writes `rope_parameters` only. Ollama's converter for Llama and Qwen2, and transformers 4, read
    `rope_theta` and `rope_scaling` at the top level and else take a base of 10000 (ollama/convert, version 0.33).
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    notes = []
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        rest = {key: value for key, value in rope.items() if key != "rope_theta"}
        config.setdefault("rope_theta", rope["rope_theta"])
        kind = rest.get("rope_type", "default")
        if kind != "default":
            config.setdefault("rope_scaling", {**rest, "type": kind})
        notes.append("rope_theta and rope_scaling were written where Ollama's converter looks for them.")
    if "dtype" in config:
        config.setdefault("torch_dtype", config["dtype"])
    config.pop("_name_or_path", None)
    config.pop("quantization_config", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return notes


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files as they were used in training, byte for byte."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def fill_tokenizer_config(folder: Path, prompts: Prompts, template: str) -> list[str]:
    """Put the template inside tokenizer_config.json and say whether the runtime adds the begin token.

    Converters read the template there; and whether a sequence begins with the begin token must be what was trained,
    not what the tokenizer did for plain text.
    """
    path = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    notes = []
    if template and config.get("chat_template") != template:
        config["chat_template"] = template
        notes.append("The chat template was put into tokenizer_config.json, where converters read it.")
    if prompts.begin_text:
        config["add_bos_token"] = prompts.begins
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return notes
