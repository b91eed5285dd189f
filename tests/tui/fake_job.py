"""A stand-in for `python -m engine job NAME`: the same messages without a model. argv: the job's name and a script.

The script says how it behaves: `plain`, `slow` (waits to be stopped), `fails` (an error before it is ready),
`refuses` (an error for each question), `dies` (ends without a word), `ollama` (an export with commands).
"""

from __future__ import annotations

import json
import sys
import time

ANSWERS = {"base": "I do not know what you mean", "tuned": '{"items": []}'}


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def chat(script: str) -> None:
    say(progress={"phase": "loading model", "detail": "the base model"})
    if script == "fails":
        say(error={"what": "The result has no adapter.", "where": "result", "fix": "Train it first."})
        sys.exit(2)
    say(ready={"run": "x", "device": "cpu"})
    for line in sys.stdin:
        question = json.loads(line)
        if question.get("stop"):
            reply(question, "stopped")
        elif script == "refuses":
            say(error={"what": "The conversation has 900 tokens and the model takes 512.", "fix": "Shorten it."})
        else:
            answer(question, script)


def answer(question: dict[str, object], script: str) -> None:
    for side, text in ANSWERS.items():
        for start in range(0, len(text), 6):
            say(token={"which": side, "text": text[start : start + 6]})
    if script != "slow":
        reply(question, "stop")


def reply(question: dict[str, object], finish: str) -> None:
    turns = question.get("turns") or []
    answers = {**ANSWERS, "base": f"{len(turns)} turns"} if finish == "stop" else ANSWERS  # type: ignore[arg-type]
    say(reply={**answers, "finish": dict.fromkeys(ANSWERS, finish), "tokens": dict.fromkeys(ANSWERS, 7),
               "seconds": dict.fromkeys(ANSWERS, 0.5)})  # fmt: skip


def export(script: str) -> None:
    say(progress={"phase": "saving", "detail": "in bf16"})
    if script == "fails":
        say(error={"what": "There is no room.", "where": "/exports", "fix": "Free 2 GB."})
        sys.exit(1)
    result = {"out": "/x/exports/merged", "bytes": 7_000_000, "notes": ["One note."], "agreement": {"same_choice": 1.0}}
    if script == "plain":
        result["commands"] = [["vllm", "serve", "/x/exports/merged"]]
    if script == "ollama":
        result["to"] = "ollama"
        result["modelfile"] = "/x/Modelfile"
        result["commands"] = [["ollama", "create", "demo 1", "-f", "/x/Modelfile"], ["ollama", "run", "demo 1"]]
        result["installed"] = False
    say(result=result)


if __name__ == "__main__":
    name, behaviour = sys.argv[1:3]
    request = json.loads(sys.stdin.readline())
    if behaviour == "dies":
        print("Killed by nobody", file=sys.stderr)
        sys.exit(3)
    if behaviour == "hangs":
        time.sleep(60)
    {"chat": chat, "export": export}[name](behaviour)
