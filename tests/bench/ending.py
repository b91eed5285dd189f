"""What a result is worth before, after, and after it was merged: greedy answers on the rows that the run held out.

    python -m tests.bench.ending RUN_DIRECTORY [bf16|fp16|fp32] [GGUF_TYPE ...]

The merged model is written to a temporary folder by the same export that a person uses, read again from its files and
asked the same questions. Each GGUF type named (f32, bf16, q8_0 ...) is exported too and asked through llama.cpp, which
needs its converter and llama-cpp-python ($TUNEWRIGHT_LLAMA_CPP_PYTHON). Answers are compared one by one as well,
since two models may be right equally often.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.use.answer_kinds import task_of
from engine.use.export import export_run
from engine.use.finished import open_result
from engine.use.generate import answer_greedily
from engine.use.gguf_check import ask_file, python_with_llama_cpp
from engine.use.held_rows import HeldRows
from engine.use.load import Pair, load_model
from engine.use.prompts import Prompts
from engine.use.scores import score_answers

ANSWER_TOKENS = 256


def answers(model: Any, prompts: Prompts, asked: Sequence[Any]) -> list[str]:
    """Greedy answers in the order of the rows."""
    ids = [prompts.ids([(turn.role, turn.content) for turn in example.prompt_turns]) for example in asked]
    made = dict(answer_greedily(model, ids, prompts.stop_ids, prompts.pad_id, ANSWER_TOKENS))
    return [prompts.decode(made[number]) for number in range(len(ids))]


def gguf_answers(run: Path, kind: str, folder: Path, prompts: Prompts, asked: Sequence[Any]) -> list[str]:
    """Greedy answers of llama.cpp to the same prompts; prints how many of them it splits into the same tokens."""
    reply = export_run(run, "gguf", folder / kind, lambda message: None, type=kind)
    texts = [prompts.text([(turn.role, turn.content) for turn in example.prompt_turns]) for example in asked]
    python = python_with_llama_cpp()
    assert python, "llama-cpp-python is not here: set TUNEWRIGHT_LLAMA_CPP_PYTHON"
    probes = ask_file(python, Path(reply["file"]), texts, prompts.stop_ids, ANSWER_TOKENS)["probes"]
    same = sum(probe["ids"] == list(prompts.renderer.encode(text)) for probe, text in zip(probes, texts, strict=True))
    print(f"gguf {kind}: same tokens on {same} of {len(texts)} prompts, {Path(reply['file']).stat().st_size:,} bytes")
    return [prompts.decode(probe["answer"]) for probe in probes]


def main() -> None:
    run, dtype = Path(sys.argv[1]), (sys.argv[2:] or ["bf16"])[0]
    result = open_result(run)
    prompts = Prompts.of(result)
    held = HeldRows(result, prompts)
    expected = [example.expected for example in held.examples]
    task, pair = task_of(expected, held.format), Pair(result, "cpu")
    told: dict[str, list[str]] = {}
    for side in ("base", "tuned"):
        with pair.switched(side) as model:
            told[side] = answers(model, prompts, held.examples)
    with tempfile.TemporaryDirectory() as folder:
        reply = export_run(run, "merged", Path(folder) / "merged", lambda message: None, dtype=dtype)
        told[f"merged {dtype}"] = answers(load_model(Path(reply["out"]), "cpu"), prompts, held.examples)
        for kind in sys.argv[3:]:
            told[f"gguf {kind}"] = gguf_answers(run, kind, Path(folder), prompts, held.examples)
    figure = "accuracy" if task == "classification" else "exact_match"
    for side, given in told.items():
        share = score_answers(task, given, expected).figures[figure]
        same = sum(a == b for a, b in zip(given, told["tuned"], strict=True))
        print(f"{side}: {figure} {share['value']:.1%} ({share['hits']} of {share['count']}), "
              f"{same} answers equal the tuned model's")  # fmt: skip
    print(reply["agreement"])


if __name__ == "__main__":
    main()
