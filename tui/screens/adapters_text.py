"""What the adapters page says: one entry for each adapter, which may be combined, and how to serve one. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import UserError
from tui.steps.option import Option
from tui.steps.words import METHOD_TITLES, gigabytes, plural
from tui.text import clean, one_line

Adapter = Mapping[str, Any]

SOURCE_CELLS = 40
LARGEST_WEIGHT = 100.0
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def source_name(source: object) -> str:
    """A model or data source as it fits into a line: a path by its last part."""
    text = str(source)
    return one_line(Path(text).name or text if text.startswith(("/", "~", ".")) else text, SOURCE_CELLS)


def entry(adapter: Adapter, marked: bool) -> Option:
    """An adapter in the list: base, method, rank, size and loss, and below what it was trained with."""
    facts = [
        source_name(adapter["base"]),
        METHOD_TITLES.get(str(adapter["method"]), one_line(str(adapter["method"]))),
        f"rank {adapter['rank']}",
        gigabytes(float(adapter["bytes"])),
        loss_words(adapter),
    ]
    objective = one_line(str(adapter.get("objective") or "sft")).upper()
    learned = f"{objective} on {source_name(adapter.get('data') or '')}, {plural(int(adapter['steps']), 'step')}"
    text = f"{', '.join(facts)}\nTrained with {learned}"
    return Option(str(adapter["run"]), str(adapter["run"]), text, "marked" if marked else "", True if marked else None)


def loss_words(adapter: Adapter) -> str:
    """The best loss on held-out rows while it was trained."""
    loss = adapter.get("held_out_loss")
    return f"held-out loss {loss:.3f}" if isinstance(loss, int | float) else "no held-out loss"


def refusal(adapter: Adapter, marked: Sequence[Adapter]) -> str:
    """Why `adapter` cannot be combined with the marked ones; empty when it can. The job checks what else there is."""
    if adapter.get("uncombinable"):
        return f"{adapter['run']} stays alone. {adapter['uncombinable']}"
    for other in marked:
        if (adapter["base_directory"], adapter["method"]) != (other["base_directory"], other["method"]):
            return (f"{adapter['run']} has another base or method ({_ground(adapter)}) than {other['run']} "
                    f"({_ground(other)}): these cannot be combined.")  # fmt: skip
    return ""


def _ground(adapter: Adapter) -> str:
    return f"{source_name(adapter['base'])}, {METHOD_TITLES.get(str(adapter['method']), adapter['method'])}"


def command_text(command: Sequence[object]) -> str:
    """A command to copy: a line for each option, joined as a shell joins them."""
    lines: list[list[str]] = [[]]
    for word in map(str, command):
        if word.startswith("-") and lines[-1]:
            lines.append([])
        lines[-1].append(clean(word).replace("\n", " "))
    return " \\\n    ".join(shlex.join(line) for line in lines)


def serve_text(adapter: Adapter) -> str:
    """How to serve an adapter: the exact commands, and what the one name in them stands for."""
    commands = adapter.get("commands") or []
    vllm = [command_text(each) for each in commands if each and each[0] == "vllm"]
    llama = [command_text(each) for each in commands if each and each[0] != "vllm"]
    name = shlex.quote(one_line(str(adapter["run"]))) if adapter.get("run") else ""
    told = [f"To copy them whole, in a terminal: tunewright adapters {name}"] if name else []
    parts = [*told, "With vLLM, beside the base model:", *(vllm or ["vLLM takes no adapter of this rank."])]
    if llama:
        base = one_line(str(adapter.get("base_directory") or adapter["base"]))
        parts += ["With llama.cpp, once the adapter is a file of its own:", *llama,
                  f"BASE.gguf stands for the base model as a GGUF file; convert_hf_to_gguf.py of llama.cpp makes it "
                  f"from {base}"]  # fmt: skip
    return "\n\n".join(parts)


def combined_text(result: Mapping[str, Any]) -> str:
    """What came of a combination: its parts, where it is, and how to serve it."""
    parts = ", ".join(f"{weight:g} times {one_line(str(name))}" for name, weight in (result["combined"] or {}).items())
    facts = f"Rank {result['rank']}, {gigabytes(float(result['bytes']))}, for {one_line(str(result['base']))}."
    return f"{parts}.\n{facts}\nIt is in {one_line(str(result['out']))}\n\n{serve_text(result)}"


def read_weight(text: str, where: str) -> float:
    """The weight that was typed. Raises UserError for anything but a number from -100 to 100."""
    try:
        value = float(text.strip().replace(",", ".", 1))
    except ValueError:
        value = float("nan")
    if not -LARGEST_WEIGHT <= value <= LARGEST_WEIGHT:
        raise UserError(f"{one_line(text, 20)!r} is no weight.", where, "Type a number such as 1 or 0.5.")
    return value


def read_name(text: str, folder: Path, where: str) -> Path:
    """The folder for a combination called `text` inside `folder`. Raises UserError for a bad or taken name."""
    name = text.strip()
    if not NAME.fullmatch(name):
        raise UserError(f"{one_line(name, 20)!r} is no name.", where, "Use small letters, digits, dashes and dots.")
    if (folder / name).exists():
        raise UserError(f"There is a combination called {name} already.", where, "Type another name.")
    return folder / name
