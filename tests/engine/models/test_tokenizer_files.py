"""Chat templates and special tokens from the files beside a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.models.tokenizer_files import SpecialTokens, chat_template, special_tokens


def test_the_template_is_looked_for_where_transformers_looks(tmp_path: Path) -> None:
    assert chat_template(tmp_path) is None
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "third"}))
    assert chat_template(tmp_path) == "third"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "second"}))
    assert chat_template(tmp_path) == "second"
    (tmp_path / "chat_template.jinja").write_text("first")
    assert chat_template(tmp_path) == "first"


def test_of_named_templates_the_default_counts(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert chat_template(tmp_path) == "plain"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named[:1]}))
    assert chat_template(tmp_path) == "tools"


def test_special_tokens_are_strings_or_described(tmp_path: Path) -> None:
    assert special_tokens(tmp_path) == SpecialTokens(None, None, None, None)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": "old", "unk_token": "<unk>"}))
    settings = {"bos_token": {"content": "<s>", "lstrip": False}, "eos_token": "</s>", "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert special_tokens(tmp_path) == SpecialTokens("<s>", "</s>", None, "<unk>")


def test_broken_files_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{\n,}")
    with pytest.raises(UserError) as caught:
        special_tokens(tmp_path)
    assert caught.value.where.endswith("tokenizer_config.json:2")


def test_real_tokenizers_are_read(shared: Path) -> None:
    folder = shared / "models" / "tokenizers"
    qwen = folder / "Qwen--Qwen2.5"
    assert "im_start" in str(chat_template(qwen)) and special_tokens(qwen).eos is not None
    assert chat_template(folder / "openai-community--gpt2") is None
