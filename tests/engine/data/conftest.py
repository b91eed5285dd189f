"""A tiny model folder (tokenizer only) and files to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|end|>", "<|im_start|>", "<|im_end|>")


def byte_tokenizer() -> Tokenizer:
    """One token per byte: every boundary between characters is a boundary between tokens."""
    alphabet = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    return tokenizer


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model folder with a byte tokenizer and, when given, a chat template."""

    def make(template: str = "", eos: str = "<|end|>", name: str = "model") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        byte_tokenizer().save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"eos_token": eos, "tokenizer_class": "PreTrainedTokenizerFast"})
        )
        if template:
            (folder / "chat_template.jinja").write_text(template)
        return folder

    return make


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """A function that writes a data file and gives its path."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def make_rows(make_file: Callable[[str, str | bytes], Path]) -> Callable[..., Path]:
    """A function that writes rows as JSON lines."""

    def make(rows: list[object], name: str = "rows.jsonl") -> Path:
        return make_file(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    return make
