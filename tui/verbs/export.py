"""`tunewright export`: hand the result to other programs."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.exchange.writing import WRITERS, write_foreign
from engine.machine.packages import require_training_packages
from engine.recipe import Recipe
from engine.recipe_keys import Value
from engine.runs.files import write_atomic
from tui.answers import Answers
from tui.jobs import run_job
from tui.steps.facts import Facts
from tui.steps.looking import data_request
from tui.steps.words import gigabytes
from tui.verbs.guard import FAILED
from tui.verbs.output import fields, print_json, say, warn
from tui.verbs.places import check_checkpoint, run_of

OPTIONS = ("create", "type", "llama_cpp", "fetch_converter", "adapter_only", "ollama_base", "dtype", "into",
           "checkpoint", "what", "repo", "public", "road", "system", "greedy", "context_tokens")  # fmt: skip
"""What goes into the request as it was given; what was not given is left to the engine."""

_OLLAMA = ("ollama", "gguf")
ONLY_WITH = {
    "create": _OLLAMA, "create_from": ("ollama",), "road": ("ollama",), "ollama_name": _OLLAMA, "system": _OLLAMA,
    "context_tokens": _OLLAMA, "greedy": _OLLAMA, "type": _OLLAMA, "llama_cpp": _OLLAMA, "fetch_converter": _OLLAMA,
    "adapter_only": _OLLAMA, "ollama_base": _OLLAMA, "what": ("hub",), "repo": ("hub",), "public": ("hub",),
}  # fmt: skip
"""Flag -> the kinds of export that look at it."""


def run(arguments: Namespace) -> int:
    """Export and say where it is and how to use it."""
    _check_flags(arguments)
    exported = run_of(arguments)
    if arguments.to in WRITERS:
        return _recipe(arguments)
    check_checkpoint(exported, arguments.checkpoint)
    require_training_packages()
    request: dict[str, Any] = {"run": str(exported.path), "to": arguments.to}
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


def _check_flags(arguments: Namespace) -> None:
    """UserError for a flag that this kind of export would not look at."""
    for option, kinds in ONLY_WITH.items():
        if getattr(arguments, option) and arguments.to not in kinds:
            flag = f"--{option.replace('_', '-')}"
            what = f"{flag} changes nothing in an export to {arguments.to}."
            raise UserError(what, flag, f"It goes with --to {' or '.join(kinds)}; else leave it out.")


def _recipe(arguments: Namespace) -> int:
    """The recipe of a run in the form of another program."""
    run = run_of(arguments)
    files, left = write_foreign(_with_format(run.recipe()), arguments.to)
    folder = Path(arguments.out).expanduser().absolute() if arguments.out else run.exports_dir / arguments.to
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomic(folder / name, text)
    except OSError as error:
        fix = "Make room, or choose another folder with --out."
        raise UserError(f"The recipe cannot be written: {error.strerror}.", str(folder), fix, FAILED) from error
    if arguments.json:
        print_json({"to": arguments.to, "out": str(folder), "files": list(files), "left": left})
        return 0
    say(*fields({"out": str(folder), "files": ", ".join(files)}))
    for key, why in left.items():
        say(f"Note: {key} could not be carried: {why}")
    return 0


def _with_format(recipe: Recipe) -> Recipe:
    """The recipe with the format that its rows have, where it leaves that to be found; as it is when they are gone."""
    if recipe.data.format != "auto":
        return recipe
    try:
        found = run_job("data", {**data_request(Answers(values=dict(recipe.answers)), Facts()), "previews": 0})
    except UserError:
        return recipe
    changes: dict[str, Value] = {"data.format": found["format"]} if found.get("format") else {}
    if any(role != column for role, column in found["map"].items()):
        changes["data.map"] = found["map"]
    return recipe.changed(changes, "detected", "found in the rows")


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
