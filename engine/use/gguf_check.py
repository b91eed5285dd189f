"""Does the GGUF file say what the merged model says? Asked of llama.cpp itself, where llama-cpp-python is installed.

A child loads the file (`gguf_probe.py`) and answers with token ids, logits and a greedy continuation; here the same
comes from transformers, and both are compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.use.prompts import Prompts

QUESTIONS = (
    "Hello",
    "What is 2 + 2?",
    "Grüße, 世界 \U0001f600",
    '{"a": [1, 2]}',
    "Write a short sentence about a river.",
)
GREEDY_TOKENS = 16


def compare_with_python(file: Path, merged: Path, prompts: Prompts) -> dict[str, Any]:
    """Token ids, last logits and greedy answers of the GGUF file against the merged model.

    Returns {"checked": False, "reason"} where llama-cpp-python is not installed, else {"checked": True,
    "same_tokens", "largest_difference", "largest_logit", "same_answers", "questions"} (counts and logits).
    """
    python = python_with_llama_cpp()
    if python is None:
        return {"checked": False, "reason": "llama-cpp-python is not installed, so the file was not loaded."}
    texts = [prompts.text([("user", question)]) for question in QUESTIONS]
    found = ask_file(python, file, texts, prompts.stop_ids)
    if "error" in found:
        return {"checked": False, "reason": f"llama.cpp could not load the file: {found['error']}"}
    return _compare(found["probes"], merged, texts, prompts)


def _compare(probes: list[dict[str, Any]], merged: Path, texts: list[str], prompts: Prompts) -> dict[str, Any]:
    import torch

    from engine.use.generate import all_logits, answer_greedily
    from engine.use.load import load_model

    model = load_model(merged, "cpu").float()
    ids = [list(prompts.renderer.encode(text)) for text in texts]
    answers = dict(answer_greedily(model, ids, prompts.stop_ids, prompts.pad_id, GREEDY_TOKENS, batch_size=1))
    logits = [all_logits(model, row)[-1] for row in ids]
    same = [row == probe["ids"] for row, probe in zip(ids, probes, strict=True)]
    pairs = [(a, torch.tensor(b["logits"])) for a, b, good in zip(logits, probes, same, strict=True) if good]
    return {
        "checked": True,
        "questions": len(texts),
        "same_tokens": sum(same),
        "same_answers": sum(answers[number] == probe["answer"] for number, probe in enumerate(probes)),
        "largest_difference": max((float((a - b[: len(a)]).abs().max()) for a, b in pairs), default=None),
        "largest_logit": max((float(a.abs().max()) for a, _ in pairs), default=None),
    }


def python_with_llama_cpp() -> str | None:
    """An interpreter that can import llama_cpp: this one, or the one named by $TUNEWRIGHT_LLAMA_CPP_PYTHON."""
    other = os.environ.get("TUNEWRIGHT_LLAMA_CPP_PYTHON", "")
    if other:
        return other
    return sys.executable if importlib.util.find_spec("llama_cpp") else None


def ask_file(
    python: str, file: Path, texts: list[str], stop_ids: list[int], tokens: int = GREEDY_TOKENS, special: bool = False
) -> dict[str, Any]:
    """What llama.cpp makes of `texts`: {"probes": [{"ids", "logits" after the last token, "answer" (greedy ids)}]},
    or {"error"}. `python` is an interpreter that has llama-cpp-python; `special` adds the vocabulary's first token."""
    script = Path(__file__).with_name("gguf_probe.py")
    fields = {"file": str(file), "texts": texts, "stop_ids": stop_ids, "tokens": tokens, "add_special": special}
    request = json.dumps(fields)
    done = subprocess.run([python, "-P", str(script)], input=request.encode(), capture_output=True, check=False)
    try:
        answer = json.loads(done.stdout.decode("utf-8").splitlines()[-1])
    except (ValueError, IndexError):
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        return {"error": lines[-1][:300]}
    return answer if isinstance(answer, dict) else {"error": "no answer"}
