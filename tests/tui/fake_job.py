"""A stand-in for `python -m engine job NAME`: the same messages without a model. argv: the job's name and a script.

The script says how it behaves: `plain`, `slow` (waits to be stopped), `fails` (an error before it is ready),
`refuses` (an error for each question), `dies` (ends without a word), `ollama` (an export with commands).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ANSWERS = {"base": "I do not know what you mean", "tuned": '{"items": []}'}


SHARE = {"value": 0.75, "low": 0.301, "high": 0.954, "hits": 3, "count": 4}
EVALUATION = {
    "v": 1, "run": "done", "task": "classification", "rows": 4, "answered_rows": 4, "made": "2026-01-02T03:04:05+00:00",
    "sentences": ["Loss per token: 3.000 before, 1.000 after; better (95 % interval -2.100 to -1.900)."],
    "answers_as_before": "",
    "sides": {
        "base": {"loss": 3.0, "perplexity": 20.1, "accuracy": {**SHARE, "value": 0.0, "hits": 0, "low": 0.0},
                 "examples": [{"prompt": "Is it?", "expected": "yes", "answer": "once upon"}]},
        "tuned": {"loss": 1.0, "perplexity": 2.7, "accuracy": SHARE, "confusion": {"yes": {"yes": 3}, "no": {"yes": 1}},
                  "examples": [{"prompt": "Is it?", "expected": "yes", "answer": "yes"}]},
    },
}  # fmt: skip


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def chat(script: str) -> None:
    say(progress={"phase": "loading model", "detail": "the base model"})
    if script == "fails":
        say(error={"what": "The result has no adapter.", "where": "result", "fix": "Train it first."})
        sys.exit(2)
    say(
        ready={
            "run": "x",
            "device": "cpu",
            "one_model": True,
            "notes": ["The GPU is busy."] if script == "busy" else [],
        }
    )
    names = ["base", "tuned"]
    for line in sys.stdin:
        question = json.loads(line)
        if question.get("held_out") and script == "refuses":
            say(error={"what": "The data file is gone.", "fix": "Put it back."})
        elif question.get("held_out"):
            row = {"turns": [["system", "s"], ["user", "Order one"]], "expected": '{"items": []}', "row": 3}
            say(held_out=[row])
        elif "add" in question or "combine" in question:
            names.append((question.get("add") or question.get("combine"))["name"])
            say(adapters=names)
        elif question.get("stop"):
            reply(question, "stopped")
        elif script == "refuses":
            say(error={"what": "The conversation has 900 tokens and the model takes 512.", "fix": "Shorten it."})
        else:
            answer(question, script)


def answer(question: dict[str, object], script: str) -> None:
    for side in question["which"]:  # type: ignore[attr-defined]
        text = ANSWERS.get(side, f"I am {side}")
        for start in range(0, len(text), 6):
            say(token={"which": side, "text": text[start : start + 6]})
    if script != "slow":
        reply(question, "stop")


def reply(question: dict[str, object], finish: str) -> None:
    turns = question.get("turns") or []
    sides = question.get("which") or list(ANSWERS)
    answers = {side: ANSWERS.get(side, f"I am {side}") for side in sides}  # type: ignore[attr-defined]
    if finish == "stop" and "base" in answers:
        answers["base"] = f"{len(turns)} turns"  # type: ignore[arg-type]
    say(reply={**answers, "finish": dict.fromkeys(answers, finish), "tokens": dict.fromkeys(answers, 7),
               "seconds": dict.fromkeys(answers, 0.5)})  # fmt: skip


def export(script: str) -> None:
    say(progress={"phase": "saving", "detail": "in bf16"})
    if script == "fails":
        say(error={"what": "There is no room.", "where": "/exports", "fix": "Free 2 GB."})
        sys.exit(1)
    result = {"out": "/x/exports/merged", "bytes": 7_000_000, "notes": ["One note."], "agreement": {"same_choice": 1.0}}
    if script == "plain":
        result["commands"] = [["vllm", "serve", "/x/exports/merged"]]
    if request.get("create_from") == "/x/exports/merged":
        say(result={"to": "ollama", "created": True, "notes": [], "ollama": {"version": "1", "same": 5, "compared": 5}})
        return
    if script.startswith("ollama"):
        result["to"] = "ollama"
        result["modelfile"] = "/x/Modelfile"
        result["commands"] = [["ollama", "create", "demo 1", "-f", "/x/Modelfile"], ["ollama", "run", "demo 1"]]
        result["installed"] = script == "ollama here"
    if script == "hub":
        say(result=hub(request))
    else:
        say(result=result)


def hub(request: dict[str, object]) -> dict[str, object]:
    """The folder first; an address only for a request that names a repository."""
    sent = {"url": "https://hub/me/demo/commit/1"} if request.get("repo") else {}
    return {"to": "hub", "out": "/x/exports/hub", "files": ["README.md"], "card": "# A card", "private": True,
            "left_out": ["rows of your data"], **sent}  # fmt: skip


def evaluate(script: str) -> None:
    """Stores the figures as the engine does, and answers with them."""
    say(progress={"phase": "evaluating", "detail": "tuned: answers", "done": 1, "total": 4})
    if script == "fails":
        say(error={"what": "No rows were held out.", "where": "done", "fix": "Train again."})
        sys.exit(2)
    (Path(request["run"]) / "evaluation.json").write_text(json.dumps(EVALUATION))
    say(result=EVALUATION)


def leaving(script: str) -> None:
    """What can be done: everything but k-quants and fetching."""
    say(result={"run": "done", "method": "lora", "adapter": True, "base": "owner/base", "gguf_problems": [],
                "converter": "", "converter_source": "package 1", "converter_bytes": 77_000_000, "quantizer": False,
                "ollama": False, "exports": ["merged"], "checkpoints": ["step-00000100"]})  # fmt: skip


def adapter(name: str, base: str, loss: float | None = 0.25) -> dict[str, object]:
    """One adapter as the job describes it."""
    return {"run": name, "run_directory": f"/runs/{name}", "directory": f"/runs/{name}/result/adapter", "base": base,
            "base_directory": base, "method": "lora", "objective": "dpo", "data": "/data/rows.json", "rank": 16,
            "alpha": 32, "targets": ["q_proj"], "bytes": 7_340_032, "steps": 9, "held_out_loss": loss, "measured": {},
            "uncombinable": "", "commands": [["vllm", "serve", "/models/my base", "--enable-lora"],
                                             ["llama-server", "-m", "BASE.gguf", "--lora", "a.gguf"]]}  # fmt: skip


def adapters(script: str) -> None:
    """Three adapters, the last of another base; a combination adds the ranks up."""
    if script == "fails":
        say(error={"what": "The disk is full.", "where": "/adapters", "fix": "Free 2 GB."})
        sys.exit(1)
    if "combine" in request:
        say(progress={"phase": "combining", "detail": "2 adapters"})
        parts = {Path(run).name: weight for run, weight in request["combine"].items()}
        say(result={"out": request["out"], "combined": parts, "base": "/base", "rank": 24, "bytes": 9_000_000,
                    "commands": [["vllm", "serve", "/base", "--enable-lora"]]})  # fmt: skip
        return
    say(result={"adapters": [adapter("one", "/base"), adapter("two", "/base", None), adapter("three", "/other")]})


if __name__ == "__main__":
    name, behaviour = sys.argv[1:3]
    request = json.loads(sys.stdin.readline())
    if behaviour == "dies":
        print("Killed by nobody", file=sys.stderr)
        sys.exit(3)
    if behaviour == "hangs":
        time.sleep(60)
    {"chat": chat, "export": export, "leaving": leaving, "evaluate": evaluate, "adapters": adapters}[name](behaviour)
