"""GGUF with llama.cpp's own converter, and with llama.cpp itself where it is built. The long tier.

Needs the converter ($LLAMA_CPP_DIR, or fetched before) and, to load the file, an interpreter that has
llama-cpp-python in $TUNEWRIGHT_LLAMA_CPP_PYTHON or this one. Both are looked up before tests get a home of their own.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.use.gguf_child import merge_scores
from engine.use.gguf_tools import find_converter

CONVERTER = find_converter()
HAS_LLAMA_CPP = bool(os.environ.get("TUNEWRIGHT_LLAMA_CPP_PYTHON") or importlib.util.find_spec("llama_cpp"))

pytestmark = pytest.mark.xdist_group("torch-use")
pytest.importorskip("torch")

from engine.use.export import export_run  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def converter() -> str:
    if CONVERTER is None:
        pytest.skip("no converter here: fetch it with an export, or set LLAMA_CPP_DIR to a checkout of llama.cpp")
    return str(CONVERTER)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "largest"), [("f32", 0.01), ("bf16", 0.05), ("q8_0", 0.5)])
def test_a_gguf_file_says_what_the_merged_model_says(make_run: Any, converter: str, kind: str, largest: float) -> None:
    reply = export_run(make_run("lora").path, "gguf", None, quiet, type=kind, llama_cpp=converter)
    file = Path(reply["file"])
    assert file.read_bytes()[:4] == b"GGUF"
    assert sorted(path.name for path in file.parent.iterdir()) == ["Modelfile", file.name, "tunewright-export.json"]
    assert f"FROM ./{file.name}" in (file.parent / "Modelfile").read_text()
    check = reply["llama_cpp"]
    if not HAS_LLAMA_CPP:
        assert not check["checked"] and "not installed" in check["reason"]
        pytest.skip("llama-cpp-python is not here, so the file was made and not loaded")
    assert check["checked"] and check["same_tokens"] == check["questions"]
    assert check["largest_difference"] < largest


@pytest.mark.long
def test_an_adapter_becomes_a_file_of_its_own(make_run: Any, converter: str) -> None:
    options = {"type": "f16", "llama_cpp": converter, "adapter_only": True}
    reply = export_run(make_run("lora").path, "gguf", None, quiet, **options)
    assert Path(reply["file"]).read_bytes()[:4] == b"GGUF"
    assert reply["commands"][0][-1] == reply["file"]
    assert "modelfile" not in reply and any("ollama_base" in note for note in reply["notes"])
    reply = export_run(make_run("lora").path, "gguf", None, quiet, **options, ollama_base="tiny:fp16")
    modelfile = Path(reply["modelfile"]).read_text()
    assert "FROM tiny:fp16\n" in modelfile and f"ADAPTER ./{Path(reply['file']).name}\n" in modelfile
    assert reply["commands"][0][:2] == ["ollama", "create"]
    with pytest.raises(UserError, match="no adapter"):
        export_run(make_run("full").path, "gguf", None, quiet, **options)


def test_a_type_that_needs_a_quantizer_says_so_before_the_work(make_run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("engine.use.gguf.python_with_llama_cpp", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="quantizer"):
        export_run(make_run("lora").path, "gguf", None, quiet, type="q4_k_m")
    with pytest.raises(UserError, match="no GGUF type"):
        export_run(make_run("lora").path, "gguf", None, quiet, type="q9")


def test_merges_become_scores_in_their_order() -> None:
    vocabulary = {"a": 0, "b": 1, "ab": 2, "c": 3, "abc": 4}
    assert merge_scores([["a", "b"], "ab c", ["a", "bc"]], vocabulary) == {2: 0.0, 4: -1.0}
