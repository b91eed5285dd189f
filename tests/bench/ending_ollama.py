"""The ending without Ollama itself: a server on loopback that does what Ollama does with what we hand it.

    python -m tests.bench.ending_ollama RUN_DIRECTORY [GGUF_TYPE]

The run is exported by `--to ollama --create`. The server takes the GGUF file and the create request by the documented
API, renders the request's TEMPLATE with Go's text/template, lets llama.cpp answer from the uploaded bytes (greedy, the
first token by the file's own vocabulary) and cuts at the stop texts. Prints how many answers agree: to the questions
of the export, and on the held-out rows.
Needs go, llama.cpp's converter and llama-cpp-python ($TUNEWRIGHT_LLAMA_CPP_PYTHON).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.use.export import export_run
from engine.use.finished import open_result
from engine.use.gguf_check import ask_file, python_with_llama_cpp
from engine.use.held_rows import HeldRows
from engine.use.load import Pair
from engine.use.ollama_api import Ollama
from engine.use.prompts import Prompts
from tests.bench.ending import answers
from tests.engine.use.fake_ollama import FakeOllama, fake_ollama

TOKENS = 256


class Answering:
    """Answers a chat like Ollama: Go template, llama.cpp, stop texts."""

    def __init__(self, fake: FakeOllama, prompts: Prompts, folder: Path) -> None:
        self.fake, self.prompts, self.folder = fake, prompts, folder
        self.renderer = folder / "render"
        source = Path(__file__).parents[1] / "engine" / "use" / "render.go"
        subprocess.run(
            ["go", "build", "-o", self.renderer, source], check=True, env={**os.environ, "GO111MODULE": "off"}
        )

    def __call__(self, model: dict[str, Any], messages: list[dict[str, str]]) -> str:
        system = [{"Role": "system", "Content": model["system"]}] if model.get("system") else []
        turns = [*system, *({"Role": m["role"], "Content": m["content"]} for m in messages)]
        request = json.dumps([{"template": model["template"], "messages": turns}])
        done = subprocess.run([self.renderer], input=request.encode(), capture_output=True, check=True)
        file = self.folder / "uploaded.gguf"
        if not file.exists():
            file.write_bytes(self.fake.blobs[next(iter(model["files"].values()))])
        limit = self.fake.chats[-1].get("options", {}).get("num_predict", TOKENS)
        python = python_with_llama_cpp()
        assert python, "llama-cpp-python is not here: set TUNEWRIGHT_LLAMA_CPP_PYTHON"
        found = ask_file(python, file, json.loads(done.stdout), self.prompts.stop_ids, limit, special=True)
        text = self.prompts.decode(found["probes"][0]["answer"])
        for stop in model.get("parameters", {}).get("stop", []):
            text = text.split(stop)[0]
        return text


def main() -> None:
    run, kind = Path(sys.argv[1]), (sys.argv[2:] or ["bf16"])[0]
    result = open_result(run)
    prompts = Prompts.of(result)
    held = HeldRows(result, prompts)
    with tempfile.TemporaryDirectory() as folder, fake_ollama() as (fake, address):
        os.environ["OLLAMA_HOST"] = address
        fake.answer = Answering(fake, prompts, Path(folder))
        reply = export_run(run, "ollama", Path(folder) / "out", lambda message: None, create=True, type=kind)
        print(
            f"{reply['road']}: {reply['ollama']['same']} of {reply['ollama']['compared']} greedy answers are the same"
        )
        name = next(iter(fake.models))
        turns = [[(turn.role, turn.content) for turn in example.prompt_turns] for example in held.examples]
        there = [Ollama(address, timeout_seconds=120).ask(name, conversation, TOKENS) for conversation in turns]
    with Pair(result, "cpu").switched("tuned") as model:
        here = answers(model, prompts, held.examples)
    same = sum(a.strip() == b.strip() for a, b in zip(here, there, strict=True))
    right = sum(b.strip() == e.expected.strip() for b, e in zip(there, held.examples, strict=True))
    print(f"held-out rows: {same} of {len(here)} answers equal ours; {right} of {len(here)} equal the expected text")


if __name__ == "__main__":
    main()
