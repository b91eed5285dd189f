"""Creating models in Ollama through its API, against a fake one on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.use.modelfile import Modelfile
from engine.use.ollama import api_settings
from engine.use.ollama_api import Ollama, version_notes
from tests.engine.use.fake_ollama import FakeOllama, fake_ollama


@pytest.fixture
def server() -> Iterator[tuple[FakeOllama, Ollama]]:
    with fake_ollama() as (fake, address):
        yield fake, Ollama(address, timeout_seconds=10)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "orders-bf16.gguf"
    path.write_bytes(b"GGUF" + bytes(3_000_000))
    return path


def test_a_model_is_created_from_a_file_and_answers(server: Any, weights: Path) -> None:
    fake, ollama = server
    said: list[dict[str, Any]] = []
    settings = api_settings(Modelfile("./x", "{{ .System }}", 'say """hi"""', ["<|end|>"], 512, True))
    ollama.create("orders", [weights], settings, said.append)
    request = fake.models["orders"]
    assert request["template"] == "{{ .System }}" and request["system"] == 'say """hi"""'
    assert request["parameters"] == {"stop": ["<|end|>"], "num_ctx": 512, "temperature": 0}
    assert fake.blobs[request["files"]["orders-bf16.gguf"]] == weights.read_bytes()
    details = [message["progress"]["detail"] for message in said]
    assert details == ["sending orders-bf16.gguf", "parsing GGUF", "success"]
    assert ollama.ask("orders", [("user", "a")], 8) == "fake"
    assert fake.chats[-1]["options"] == {"temperature": 0, "seed": 0, "num_predict": 8}


def test_what_the_server_has_is_not_sent_again(server: Any, weights: Path) -> None:
    fake, ollama = server
    for name in ("one", "two"):
        ollama.create(name, [weights], {}, lambda message: None)
    assert len(fake.sent) == 1


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([{"status": "parsing GGUF"}, {"error": "unsupported architecture"}], "unsupported architecture"),
        ([{"status": "parsing GGUF"}], "stopped before"),
        ([], "stopped before"),
    ],
)
def test_a_failed_creation_is_said(server: Any, weights: Path, lines: list[dict[str, str]], what: str) -> None:
    fake, ollama = server
    fake.create_lines = lines
    with pytest.raises(UserError, match=what):
        ollama.create("orders", [weights], {}, lambda message: None)


def test_a_lost_connection_and_a_full_server(server: Any, weights: Path) -> None:
    fake, ollama = server
    fake.blob_status = 507
    with pytest.raises(UserError, match="status 507"):
        ollama.create("orders", [weights], {}, lambda message: None)
    fake.cut_after_create_lines = True
    with pytest.raises(UserError, match="stopped before|connection to Ollama broke"):
        fake.create_lines = [{"status": "parsing GGUF"}]
        ollama.create("orders", [weights], {}, lambda message: None)


def test_no_server_is_no_version_and_a_model_that_is_not_there_is_said(server: Any) -> None:
    _, ollama = server
    assert ollama.version() == "0.33.0"
    assert Ollama("127.0.0.1:1").version() is None
    with pytest.raises(UserError, match="model 'none' not found"):
        ollama.ask("none", [("user", "a")], 8)


@pytest.mark.parametrize(
    ("text", "host", "port", "secure"),
    [
        ("", "127.0.0.1", 11434, False),
        ("0.0.0.0", "127.0.0.1", 11434, False),
        ("0.0.0.0:8080", "127.0.0.1", 8080, False),
        ("https://ollama.example", "ollama.example", 443, True),
        ("[::1]:77", "::1", 77, False),
    ],
)
def test_the_address_is_read_like_ollama_does(text: str, host: str, port: int, secure: bool, monkeypatch: Any) -> None:
    monkeypatch.setenv("OLLAMA_HOST", text)
    ollama = Ollama()
    assert (ollama.host, ollama.port, ollama.secure) == (host, port, secure)


@pytest.mark.parametrize(("version", "dangers"), [("0.1.30", 3), ("0.14.3", 1), ("0.17.0", 1), ("0.17.1", 0), ("x", 0)])
def test_dangerous_versions_are_named(version: str, dangers: int) -> None:
    assert len(version_notes(version)) == dangers
    assert any("0.30" in note for note in version_notes("0.17.1", needs_jinja=True))
    assert version_notes("0.33.0-rc2", needs_jinja=True) == []
