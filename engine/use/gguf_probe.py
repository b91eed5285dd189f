"""Run as a program by an interpreter that has llama-cpp-python: loads a GGUF file and says what it computes.

One JSON request on stdin: {"file", "texts", "stop_ids", "tokens", "add_special" (let the file's vocabulary put its
first token before each text, as a server does)}; one JSON line on stdout:
{"probes": [{"ids", "logits" (after the last token), "answer" (greedy token ids, without the stop)}]} or {"error"}.
Imports nothing of this program.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Answer the request on stdin."""
    request = json.loads(sys.stdin.read())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp prints what it likes
    try:
        result: dict[str, Any] = {"probes": _probes(request)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller wants the sentence
        result = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(result) + "\n")
    answers.flush()


def _probes(request: dict[str, Any]) -> list[dict[str, Any]]:
    from llama_cpp import Llama  # type: ignore[import-not-found]

    model = Llama(request["file"], n_ctx=512, n_threads=1, verbose=False, logits_all=True, seed=0)
    return [_probe(model, text, request) for text in request["texts"]]


def _probe(model: Any, text: str, request: dict[str, Any]) -> dict[str, Any]:
    stop_ids, tokens = request["stop_ids"], request["tokens"]
    ids = list(model.tokenize(text.encode("utf-8"), add_bos=bool(request.get("add_special")), special=True))
    model.reset()
    model.eval(ids)
    first = [float(value) for value in model.scores[len(ids) - 1]]
    answer: list[int] = []
    logits = first
    while len(answer) < tokens:
        token = max(range(len(logits)), key=logits.__getitem__)
        if token in stop_ids:
            break
        answer.append(token)
        model.eval([token])
        logits = [float(value) for value in model.scores[len(ids) + len(answer) - 1]]
    return {"ids": ids, "logits": first, "answer": answer}


if __name__ == "__main__":
    main()
