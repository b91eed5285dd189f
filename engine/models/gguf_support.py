"""Whether a model can leave for GGUF and Ollama, found from its files before anybody trains it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.models.architectures import LLAMA_CPP_CONVERTS, OLLAMA_CONVERTS
from engine.models.find import ModelFiles, find_model

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + _REST
_LLAMA3 = _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + _REST
_QWEN35 = _CONTRACTIONS + (
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PRE_BY_RULE = {
    (_QWEN2, False): "qwen2",
    (_LLAMA3, True): "llama-bpe",
    (_LLAMA3, False): "smaug-bpe",
    (_QWEN35, False): "qwen35",
}
"""llama.cpp's name for (regular expression, ignore_merges); from src/llama-vocab.cpp, where each name has its rule."""
OLLAMA_SPLITS = frozenset({"llama-bpe", "qwen2", "qwen35"})
"""Rules for splitting text that Ollama's own converter recognises (convert/tokenizer.go); others become "default"."""


@dataclass(frozen=True)
class GgufSupport:
    """What is known without converting. `pre` is llama.cpp's name for how the tokenizer splits text, or "".

    `problems` are whole sentences; empty means that a GGUF file can be made.
    """

    architecture: str
    pre: str
    ollama_reads_directory: bool
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "gguf": self.ok,
            "ollama_reads_directory": self.ollama_reads_directory,
            "problems": list(self.problems),
        }


def gguf_support(folder: Path, tokenizer_folder: Path | None = None) -> GgufSupport:
    """What llama.cpp's converter and Ollama make of the model in `folder` (config.json and tokenizer.json are read).

    `tokenizer_folder` holds the tokenizer where that is another folder.
    """
    config = _read(folder / "config.json")
    architecture = str((config.get("architectures") or ["unknown"])[0])
    problems = []
    if architecture not in LLAMA_CPP_CONVERTS:
        problems.append(f"llama.cpp's converter does not know the architecture {architecture}.")
    pre, problem = _tokenizer(tokenizer_folder or folder)
    problems += [problem] if problem else []
    reads = architecture in OLLAMA_CONVERTS and _ollama_splits(tokenizer_folder or folder, pre)
    return GgufSupport(architecture, pre, reads, tuple(problems))


def support_of(source: str, revision: str = "") -> dict[str, Any]:
    """The same for a model as a recipe names it. Raises UserError when its files are not here."""
    return found_support(find_model(source, revision)).as_dict()


def found_support(files: ModelFiles) -> GgufSupport:
    """The same for a model that was found. Without its directory, what its configuration and its tokenizer.json say."""
    architecture = files.spec.architecture
    known = architecture in LLAMA_CPP_CONVERTS
    problems = [] if known else [f"llama.cpp's converter does not know the architecture {architecture}."]
    here = files.tokenizer_path is not None and files.tokenizer_path.is_file()
    pre, problem = _tokenizer(files.tokenizer_path.parent) if here and files.tokenizer_path else ("", "")
    problems += [problem] if problem else []
    reads = architecture in OLLAMA_CONVERTS
    if here and files.tokenizer_path:
        reads = reads and _ollama_splits(files.tokenizer_path.parent, pre)
    return GgufSupport(architecture, pre, reads, tuple(problems))


def _ollama_splits(folder: Path, pre: str) -> bool:
    """Whether Ollama's converter splits text as this tokenizer does: by a rule it knows, or by SentencePiece's."""
    return pre in OLLAMA_SPLITS or bool((_read(folder / "tokenizer.json").get("model") or {}).get("byte_fallback"))


def support_line(files: ModelFiles) -> str:
    """One sentence for a person who chooses a model: whether the trained model can go to llama.cpp and Ollama."""
    support = found_support(files)
    if support.ok:
        return "The result can leave as GGUF for Ollama and llama.cpp."
    return f"The result cannot leave for Ollama or llama.cpp: {support.problems[0]}"


def _tokenizer(folder: Path) -> tuple[str, str]:
    """(pre-tokenizer name or "", problem or "")."""
    file = folder / "tokenizer.json"
    return _read_tokenizer(folder, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=32)
def _read_tokenizer(folder: Path, changed_ns: int) -> tuple[str, str]:
    """Kept, since a page asks at every painting and a tokenizer.json has several megabytes."""
    document = _read(folder / "tokenizer.json")
    model = document.get("model") or {}
    if not document:
        return "", "There is no tokenizer.json, which both converters read."
    if model.get("type") == "Unigram":
        has_file = (folder / "tokenizer.model").is_file()
        return "", "" if has_file else "A Unigram tokenizer needs its tokenizer.model file, which is not there."
    if model.get("type") != "BPE":
        return "", f"llama.cpp reads BPE tokenizers, and this one is of the type {model.get('type')}."
    if model.get("byte_fallback"):
        return "", ""  # a SentencePiece vocabulary: no rule for splitting is needed
    pre = _pre(document.get("pre_tokenizer") or {}, bool(model.get("ignore_merges")))
    return pre, ""  # without a name the converter still knows many vocabularies by their hash


def _pre(rules: dict[str, Any], ignore_merges: bool) -> str:
    parts = rules.get("pretokenizers", [rules])
    patterns = [str((part.get("pattern") or {}).get("Regex")) for part in parts if part.get("type") == "Split"]
    others = [part for part in parts if part.get("type") != "Split"]
    if any(part.get("type") != "ByteLevel" or part.get("add_prefix_space") for part in others):
        return ""
    if not patterns and len(others) == 1 and others[0].get("use_regex", True) and not ignore_merges:
        return "gpt-2"
    if len(patterns) == 1 and len(others) == 1 and not others[0].get("use_regex", True):
        return _PRE_BY_RULE.get((patterns[0], ignore_merges), "")
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
