"""Creating the model in a running Ollama, and asking both sides the same questions before saying that it is done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.runs.files import read_json
from engine.use.finished import Result
from engine.use.generate import answer_greedily
from engine.use.gguf_check import QUESTIONS
from engine.use.load import Pair
from engine.use.modelfile import Modelfile
from engine.use.ollama import OllamaOptions, OllamaPlan, api_settings, plan_ollama
from engine.use.ollama_api import Ollama, version_notes
from engine.use.prompts import Prompts
from engine.use.staging import MARK

COMPARED_TOKENS = 48
MODEL_FILES = ("*.gguf", "model*.safetensors", "config.json", "generation_config.json", "tokenizer*.json",
               "special_tokens_map.json", "tokenizer.model")  # fmt: skip


def hand_over(
    result: Result, prompts: Prompts, plan: OllamaPlan, modelfile: Modelfile, out: Path, emit: Emit
) -> dict[str, Any]:
    """The Ollama part of an export's reply; creates the model when the plan says so. Raises UserError.

    Returns {"modelfile", "commands", "installed", "created", "ollama": None or {"version", "compared", "same",
    "answers": [{"prompt", "python", "ollama"}]}, "ollama_notes"}.
    """
    reply: dict[str, Any] = {
        "modelfile": str(out / "Modelfile"),
        "commands": plan.commands(out),
        "installed": shutil.which("ollama") is not None,
        "created": False,
        "ollama": None,
        "ollama_notes": [],
    }
    if not plan.options.create:
        return reply
    server = Ollama()
    version = server.version()
    if version is None:
        fix = "Start it with: ollama serve. Or set OLLAMA_HOST to where it runs. The export itself is done."
        raise UserError("No Ollama answers.", f"{server.host}:{server.port}", fix, exit_code=1)
    files = sorted({path for pattern in MODEL_FILES for path in out.glob(pattern)})
    server.create(plan.options.name, files, api_settings(modelfile), emit)
    answers = _ask_both(result, prompts, server, plan.options, emit)
    same = sum(answer["python"] == answer["ollama"] for answer in answers)
    facts = {"version": version, "compared": len(answers), "same": same, "answers": answers}
    notes = version_notes(version, needs_jinja=plan.template is None)
    return {**reply, "created": True, "ollama": facts, "ollama_notes": notes}


def create_exported(result: Result, folder: Path, emit: Emit, options: dict[str, Any]) -> dict[str, Any]:
    """Create the model from an export that lies in `folder`, and compare the answers. Raises UserError.

    Options are those of the export, without which the model is named after the run.
    """
    facts = read_json(folder / MARK)
    file = str(facts.get("file") or "")
    if facts.get("kind") not in {"gguf", "merged"} or not (folder / (file or "config.json")).is_file():
        raise UserError("This folder holds no export for Ollama.", str(folder), "Export again: --to ollama.")
    prompts = Prompts.of(result)
    chosen = OllamaOptions.of({**options, "create": True}, result.run.name)
    plan = plan_ollama(prompts, chosen, weights_hold_template=bool(file))
    config_folder = folder if not file else result.base if result.is_adapter else result.weights
    modelfile = plan.modelfile(f"./{file}" if file else ".", config_folder)
    handed = hand_over(result, prompts, plan, modelfile, folder, emit)
    return {"to": "ollama", "out": str(folder), **handed, "notes": [*plan.notes, *handed.pop("ollama_notes")]}


def _ask_both(result: Result, prompts: Prompts, server: Ollama, options: Any, emit: Emit) -> list[dict[str, str]]:
    system = [("system", options.system)] if options.system else []
    conversations = [[*system, ("user", question)] for question in QUESTIONS]
    emit({"progress": {"phase": "comparing", "detail": "the same questions here and in Ollama"}})
    here = _answers_here(result, prompts, conversations)
    there = [server.ask(options.name, conversation, COMPARED_TOKENS) for conversation in conversations]
    return [
        {"prompt": question, "python": a.strip(), "ollama": b.strip()}
        for question, a, b in zip(QUESTIONS, here, there, strict=True)
    ]


def _answers_here(result: Result, prompts: Prompts, conversations: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    pair = Pair(result)
    ids = [prompts.ids(conversation) for conversation in conversations]
    with pair.switched("tuned") as model:
        made = dict(answer_greedily(model, ids, prompts.stop_ids, prompts.pad_id, COMPARED_TOKENS))
    return [prompts.decode(made[number]) for number in range(len(ids))]
