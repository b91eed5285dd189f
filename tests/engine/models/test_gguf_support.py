"""Whether a model can leave for GGUF and Ollama is known before it is trained, from its small files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.models.architectures import LLAMA_CPP_CONVERTS, OLLAMA_CONVERTS
from engine.models.find import find_model
from engine.models.gguf_support import support_line

BPE = {"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "ByteLevel"}}
WORDPIECE = {"model": {"type": "WordPiece", "vocab": {}}}


def _model(folder: Path, architecture: str, tokenizer: dict[str, object]) -> Path:
    kind = {"LlamaForCausalLM": "llama", "Qwen3ForCausalLM": "qwen3"}.get(architecture, "llama")
    config = {"architectures": [architecture], "model_type": kind, "vocab_size": 64, "hidden_size": 32,
              "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
              "num_key_value_heads": 2, "max_position_embeddings": 128, "head_dim": 16}  # fmt: skip
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "words"),
    [("LlamaForCausalLM", BPE, "can leave as GGUF"), ("Qwen3ForCausalLM", BPE, "can leave as GGUF"),
     ("LlamaForCausalLM", WORDPIECE, "cannot leave for Ollama or llama.cpp: llama.cpp reads BPE tokenizers"),
     ("NobodyForCausalLM", BPE, "cannot leave for Ollama or llama.cpp: llama.cpp's converter does not know")],
)  # fmt: skip
def test_a_model_page_can_say_it(tmp_path: Path, architecture: str, tokenizer: dict[str, object], words: str) -> None:
    found = find_model(str(_model(tmp_path / "m", architecture, tokenizer)))
    assert words in support_line(found)


def test_every_text_model_that_ollama_reads_goes_through_gguf_as_well() -> None:
    # so the one sentence of `support_line` need not tell the two roads apart
    assert not {name for name in OLLAMA_CONVERTS - LLAMA_CPP_CONVERTS if name.endswith("ForCausalLM")}


def test_a_model_of_the_hub_is_judged_by_its_small_files(tmp_path: Path) -> None:
    found = find_model(str(_model(tmp_path / "m", "LlamaForCausalLM", WORDPIECE)))
    away = replace(found, directory=None, download_bytes=1)
    assert "cannot leave" in support_line(away)
    nowhere = replace(away, tokenizer_path=tmp_path / "gone" / "tokenizer.json")
    assert "can leave as GGUF" in support_line(nowhere)  # the architecture alone is known
