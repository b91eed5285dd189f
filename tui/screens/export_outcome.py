"""What came of an export, in lines for a person: where it lies, how it was checked, the commands that come next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tui.steps.words import gigabytes
from tui.text import clean

Told = list[tuple[str, str]]
"""Pieces of text with their style."""


def can_create(result: Mapping[str, Any]) -> bool:
    """Whether the first command makes a model in an Ollama that is installed here."""
    commands = result.get("commands") or [[]]
    creates = [str(word) for word in commands[0][:2]] == ["ollama", "create"]
    return creates and bool(result.get("installed")) and not result.get("created")


def can_publish(result: Mapping[str, Any], repository: str) -> bool:
    """Whether a folder for the Hub was made, and not sent yet."""
    return result.get("to") == "hub" and bool(repository) and not result.get("url")


def outcome(result: Mapping[str, Any]) -> Told:
    """Everything about one finished export, the most important first."""
    told: Told = []
    for label, key in (("address", "url"), ("folder", "out"), ("file", "file"), ("script", "script"),
                       ("needs", "requirements"), ("Modelfile", "modelfile")):  # fmt: skip
        if result.get(key):
            told += [(f"{label:<12}", "$text-muted"), (f"{clean(str(result[key]))}\n", "")]
    if isinstance(result.get("bytes"), int | float):
        told += [(f"{'size':<12}", "$text-muted"), (f"{gigabytes(result['bytes'])}\n", "")]
    for line in checks(result):
        told += [(f"{'checked':<12}", "$text-muted"), (f"{line}\n", "")]
    told += _commands(result)
    for note in result.get("notes") or []:
        told.append((f"\n{clean(str(note))}\n", "$text-warning"))
    return told + _card(result)


def checks(result: Mapping[str, Any]) -> list[str]:
    """How it was compared with what was trained, one sentence for each comparison."""
    lines = []
    agreement = result.get("agreement") or {}
    if isinstance(agreement.get("same_choice"), int | float):
        text = f"the same choice as the trained model at {agreement['same_choice']:.1%} of places"
        if isinstance(agreement.get("largest_difference"), int | float):
            text += f"; largest logit difference {agreement['largest_difference']:.2g}"
        lines.append(text)
    file = result.get("llama_cpp") or {}
    if file.get("checked"):
        lines.append(f"llama.cpp: {file.get('same_tokens')} of {file.get('questions')} prompts have the same tokens, "
                     f"{file.get('same_answers')} the same answer")  # fmt: skip
    elif file.get("reason"):
        lines.append(clean(str(file["reason"])))
    ollama = result.get("ollama") or {}
    if ollama:
        same, compared = ollama.get("same"), ollama.get("compared")
        lines.append(f"Ollama {ollama.get('version')}: {same} of {compared} greedy answers are the same")
    return lines


def _commands(result: Mapping[str, Any]) -> Told:
    commands = [shlex.join(map(str, command)) for command in result.get("commands") or []]
    if not commands:
        return []
    told: Told = [(f"\n{_commands_title(result)}:\n", "")]
    return told + [(f"  {clean(command)}\n", "bold $text-accent") for command in commands]


def _commands_title(result: Mapping[str, Any]) -> str:
    if result.get("created"):
        return "Ollama has the model. Talk to it by the second one"
    if can_create(result):
        return "Press c to create it in Ollama now and compare its answers"
    if result.get("to") == "ollama":
        return "Ollama is not here; run these where it is"
    if result.get("to") == "script":
        return "To repeat the run"
    return "To serve it, for example"


def _card(result: Mapping[str, Any]) -> Told:
    """The files that are published, what is left out, and the card as it will be read."""
    if not result.get("card"):
        return []
    told: Told = [("\nFiles: ", "$text-muted"), (f"{clean(', '.join(map(str, result.get('files') or [])))}\n", "")]
    if result.get("left_out"):
        told += [("Left out: ", "$text-muted"), (f"{clean('; '.join(map(str, result['left_out'])))}\n", "")]
    return [*told, ("\nThe card\n", "bold"), (f"{clean(str(result['card']))}\n", "")]


def failure(what: str, where: str, fix: str) -> Told:
    """What happened, where, and how to mend it."""
    lines = [("what", what), ("where", where), ("to mend it", fix)]
    return [(f"{label:<12}{clean(text)}\n", "") for label, text in lines if text]
