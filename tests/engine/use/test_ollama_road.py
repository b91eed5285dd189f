"""Which road leads to Ollama, from what is here and what the model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.use import ollama_road
from engine.use.ollama_road import directory_note
from engine.use.ollama_road import ollama_road as road


@pytest.fixture
def result(make_run: Any) -> Any:
    pytest.importorskip("torch")
    from engine.use.finished import open_result

    return open_result(make_run("lora").path)


@pytest.fixture
def no_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_road, "find_converter", lambda given="": None)
    monkeypatch.setattr("engine.use.gguf_tools.find_converter", lambda given="": None)


def known_to_ollama(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    from engine.models.gguf_support import GgufSupport

    fields = {"architecture": "LlamaForCausalLM", "pre": "llama-bpe", "ollama_reads_directory": True, "problems": ()}
    monkeypatch.setattr(ollama_road, "support_of_result", lambda result: GgufSupport(**{**fields, **changes}))


def test_gguf_where_the_converter_is(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_road, "find_converter", lambda given="": Path("/llama.cpp"))
    known_to_ollama(monkeypatch)
    assert road(result, {}) == "gguf"
    assert road(result, {"road": "directory"}) == "directory"


def test_a_directory_only_where_ollama_reads_the_model(
    result: Any, monkeypatch: pytest.MonkeyPatch, no_converter: None
) -> None:
    known_to_ollama(monkeypatch)
    assert road(result, {}) == "directory"
    assert road(result, {"fetch_converter": True}) == "gguf"
    known_to_ollama(monkeypatch, ollama_reads_directory=False)
    with pytest.raises(UserError, match="converter is needed") as caught:
        road(result, {})
    assert "--fetch-converter" in caught.value.fix


def test_a_model_that_nothing_converts_is_refused(
    result: Any, monkeypatch: pytest.MonkeyPatch, no_converter: None
) -> None:
    known_to_ollama(monkeypatch, ollama_reads_directory=False, problems=("No such architecture.",))
    with pytest.raises(UserError, match="No such architecture"):
        road(result, {})
    with pytest.raises(UserError, match="no road"):
        road(result, {"road": "sea"})


def test_an_unknown_tokenizer_is_not_left_to_ollamas_converter(result: Any, no_converter: None) -> None:
    assert "gibberish" in directory_note(result)  # the tiny tokenizer splits as GPT-2, which Ollama takes as "default"
    with pytest.raises(UserError, match="converter is needed"):
        road(result, {})
    file = result.tokenizer / "tokenizer.json"
    document = json.loads(file.read_text())
    document["model"]["byte_fallback"] = True  # as a SentencePiece vocabulary has it, which both converters read
    file.write_text(json.dumps(document))
    assert road(result, {}) == "directory"
    assert "--fetch-converter" in directory_note(result)
