"""GGUF without llama.cpp: what can leave, finding and fetching the converter, running it as a child."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.gguf_support import gguf_support
from engine.use.gguf_run import run_converter
from engine.use.gguf_tools import SCRIPT, converter, fetched_folder, find_converter, unpack_converter

SCRIPT_TEXT = """
import json, sys
from pathlib import Path
from conversion.base import TextModel

class Model(TextModel):
    dir_model = Path(sys.argv[1])

print("INFO:hf-to-gguf:Exporting", file=sys.stderr)
print("Writing:  50%", end="\\r", file=sys.stderr)
try:
    Model()._create_vocab_sentencepiece()
except FileNotFoundError:
    pre = Model().get_vocab_base_pre(None)
if "fail" in sys.argv:
    sys.exit("boom")
Path(sys.argv[sys.argv.index("--outfile") + 1]).write_text(json.dumps({"pre": pre, "argv": sys.argv[1:]}))
"""
BASE_TEXT = """
class TextModel:
    def get_vocab_base_pre(self, tokenizer):
        raise NotImplementedError("BPE pre-tokenizer was not recognized")

    def _create_vocab_sentencepiece(self):
        from sentencepiece import SentencePieceProcessor
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A converter with the shape of llama.cpp's."""
    folder = tmp_path / "llama.cpp"
    (folder / "conversion").mkdir(parents=True)
    (folder / "conversion" / "__init__.py").write_text("")
    (folder / "conversion" / "base.py").write_text(BASE_TEXT)
    (folder / SCRIPT).write_text(SCRIPT_TEXT)
    return folder


def test_the_converter_runs_as_a_child_and_learns_unknown_tokenizers(tools: Path, tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    out = tmp_path / "x.gguf"
    run_converter(tools, SCRIPT, [str(tmp_path), "--outfile", str(out)], "qwen2", said.append)
    assert json.loads(out.read_text())["pre"] == "qwen2"
    assert [message["progress"]["detail"] for message in said] == ["INFO:hf-to-gguf:Exporting", "Writing:  50%"]


@pytest.mark.parametrize(("pre", "extra", "what"), [("", [], "how this tokenizer splits"), ("gpt-2", ["fail"], "boom")])
def test_a_converter_that_fails_says_its_last_words(
    tools: Path, tmp_path: Path, pre: str, extra: list[str], what: str
) -> None:
    with pytest.raises(UserError, match=what):
        run_converter(tools, SCRIPT, [str(tmp_path), "--outfile", "x", *extra], pre, lambda message: None)


def test_a_model_that_needs_sentencepiece_says_so(tools: Path, tmp_path: Path) -> None:
    if __import__("importlib.util").util.find_spec("sentencepiece"):
        pytest.skip("sentencepiece is installed here")
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(UserError, match="Install sentencepiece"):
        run_converter(tools, SCRIPT, [str(tmp_path), "--outfile", "x"], "", lambda message: None)


def test_finding_the_converter(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_CPP_DIR", raising=False)
    assert find_converter() is None
    with pytest.raises(UserError, match="is not on this machine") as caught:
        converter("", False, lambda message: None)
    assert "--fetch-converter (77 MB" in caught.value.fix
    with pytest.raises(UserError, match="holds no convert_hf"):
        find_converter(str(tmp_path))
    assert find_converter(str(tools)) == tools
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tools))
    assert find_converter() == tools


def _package(tmp_path: Path, tools: Path) -> Path:
    archive = tmp_path / "package.tar.gz"
    with tarfile.open(archive, "w:gz") as package:
        package.add(tools / SCRIPT, f"pkg-1/vendor/llama.cpp/{SCRIPT}")
        package.add(tools / "conversion" / "base.py", "pkg-1/vendor/llama.cpp/conversion/base.py")
        package.add(tools / SCRIPT, "pkg-1/setup.py")
        package.add(tools / SCRIPT, "pkg-1/vendor/llama.cpp/conversion/../../../../evil.py")
    return archive


def test_only_the_converter_is_unpacked_and_only_with_the_right_hash(tools: Path, tmp_path: Path) -> None:
    archive = _package(tmp_path, tools)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(UserError, match="not the one this program knows"):
        unpack_converter(archive, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack_converter(archive, tmp_path / "b", digest)
    assert not (tmp_path / "evil.py").exists()


def test_a_fetched_converter_is_found(tools: Path) -> None:
    fetched_folder().parent.mkdir(parents=True)
    tools.rename(fetched_folder())
    assert converter("", False, lambda message: None) == fetched_folder()


def _model(folder: Path, architecture: str, tokenizer: dict[str, Any] | None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "pre", "problem"),
    [
        ("LlamaForCausalLM", {"model": {"type": "BPE"}, "pre_tokenizer": BYTE_LEVEL}, "gpt-2", ""),
        ("LlamaForCausalLM", {"model": {"type": "BPE", "byte_fallback": True}, "pre_tokenizer": None}, "", ""),
        ("LlamaForCausalLM", {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}}, "", ""),
        ("MadeUpForCausalLM", {"model": {"type": "BPE"}, "pre_tokenizer": BYTE_LEVEL}, "gpt-2", "MadeUpForCausalLM"),
        ("LlamaForCausalLM", None, "", "no tokenizer.json"),
        ("LlamaForCausalLM", {"model": {"type": "WordPiece"}}, "", "WordPiece"),
        ("LlamaForCausalLM", {"model": {"type": "Unigram"}}, "", "tokenizer.model"),
    ],
)
def test_support_is_read_from_files(tmp_path: Path, architecture: str, tokenizer: Any, pre: str, problem: str) -> None:
    support = gguf_support(_model(tmp_path / "m", architecture, tokenizer))
    assert support.pre == pre
    assert support.ok is (problem == "")
    assert problem in " ".join(support.problems)


@pytest.mark.parametrize(
    ("name", "pre"),
    [("Qwen--Qwen2.5", "qwen2"), ("meta-llama--Llama-3.2", "llama-bpe"), ("openai-community--gpt2", "gpt-2")],
)
def test_real_tokenizers_get_their_names(shared: Path, tmp_path: Path, name: str, pre: str) -> None:
    tokenizer = json.loads((shared / "models" / "tokenizers" / name / "tokenizer.json").read_text())
    assert gguf_support(_model(tmp_path / "m", "LlamaForCausalLM", tokenizer)).pre == pre
