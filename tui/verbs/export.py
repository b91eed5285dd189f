"""`tunewright export`: hand the result to other programs."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.exchange.writing import WRITERS, write_foreign
from engine.machine.packages import require_training_packages
from tui.jobs import run_job
from tui.steps.words import gigabytes
from tui.verbs.output import fields, print_json, say, warn
from tui.verbs.places import run_of

OPTIONS = ("create", "type", "llama_cpp", "fetch_converter", "adapter_only", "ollama_base", "dtype", "into",
           "checkpoint", "what", "repo", "public", "road", "system", "greedy", "context_tokens")  # fmt: skip
"""What goes into the request as it was given; what was not given is left to the engine."""


def run(arguments: Namespace) -> int:
    """Export and say where it is and how to use it."""
    if arguments.to in WRITERS:
        return _recipe(arguments)
    require_training_packages()
    request: dict[str, Any] = {"run": str(run_of(arguments).path), "to": arguments.to}
    if arguments.out:
        request["out"] = str(Path(arguments.out).expanduser().absolute())
    for option in OPTIONS:
        if getattr(arguments, option):
            request[option] = getattr(arguments, option)
    if arguments.ollama_name:
        request["name"] = arguments.ollama_name
    if arguments.create_from:
        request["create_from"] = str(Path(arguments.create_from).expanduser().absolute())
    result = run_job("export", request, _progress)
    if arguments.json:
        print_json(result)
    else:
        say(*_lines(result))
    return 0


def _recipe(arguments: Namespace) -> int:
    """The recipe of a run in the form of another program."""
    run = run_of(arguments)
    files, left = write_foreign(run.recipe(), arguments.to)
    folder = Path(arguments.out).expanduser().absolute() if arguments.out else run.exports_dir / arguments.to
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if arguments.json:
        print_json({"to": arguments.to, "out": str(folder), "files": list(files), "left": left})
        return 0
    say(*fields({"out": str(folder), "files": ", ".join(files)}))
    for key, why in left.items():
        say(f"Note: {key} could not be carried: {why}")
    return 0


def _progress(progress: Any) -> None:
    words = progress if isinstance(progress, Mapping) else {"phase": progress}
    warn(": ".join(str(words[key]) for key in ("phase", "detail") if words.get(key)))


def _lines(result: Mapping[str, Any]) -> list[str]:
    """Where it is, what to know about it, and the commands that come next, quoted for a shell."""
    size = {"size": gigabytes(result["bytes"])} if isinstance(result.get("bytes"), int) else {}
    plain = {
        key: str(result[key])
        for key in ("out", "dtype", "file", "script", "url", "requirements", "modelfile")
        if result.get(key)
    }
    lines = [*fields({**plain, **size}), *(f"Note: {note}" for note in result.get("notes", ()))]
    commands = [f"  {shlex.join(command)}" for command in result.get("commands", ())]
    if result.get("created"):
        lines += ["Ollama has the model. Talk to it:", *commands[1:]]
    elif commands and result.get("installed"):
        lines += ["Hand it to Ollama, or export again with --create:", *commands]
    elif commands and result.get("to") != "ollama":
        lines += ["To use it:", *commands]
    elif commands:
        lines += ["Ollama is not installed here (ollama.com). Where it is:", *commands]
    return lines
