"""What is known of the data, in words: how the rows are read, what was found, and rows as the model sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tui.answers import Answers
from tui.steps import lengths
from tui.steps.facts import Facts
from tui.steps.words import count, plural

FORMAT_TITLES = {
    "auto": ("Detect it", "The names of the columns and the shape of the rows decide."),
    "instruction": ("Instruction", "Columns instruction, input (may be empty), output."),
    "prompt_completion": ("Prompt and completion", "Columns prompt and completion."),
    "classification": ("Text and label", "Columns text and label."),
    "input_output": ("Input and output", "Columns input and output."),
    "messages": ("Messages", "A list of turns with role and content."),
    "sharegpt": ("ShareGPT conversations", "A list of turns with from and value."),
    "preference": ("Preferences", "A prompt with a chosen and a rejected answer."),
    "kto": ("Good or bad answers", "A prompt, a completion and whether it was good."),
    "text": ("Plain text", "One text per row, or a .txt file."),
}
COMPARED = {
    "preference": "The better of two answers is learned (DPO). ORPO, or learning to write the chosen one (SFT), can be "
                  "chosen as the objective on the Settings page.",
    "kto": "Good answers are learned and bad ones avoided (KTO). Learning to write the good ones alone (SFT) can be "
           "chosen as the objective on the Settings page.",
}  # fmt: skip


def facts_lines(facts: Facts) -> list[str]:
    """What is known of the data, in words."""
    result = facts.data.value
    if not result:
        return []
    return _lines(result)


def early_lines(facts: Facts) -> list[str]:
    """What the first rows say while the rest is being read."""
    early = facts.data.early
    if not early:
        return []
    lines = [f"The first {plural(int(early.get('rows', 0)), 'row')} are here, the rest is being read."]
    if early.get("format"):
        lines.append(f"They are read as {title_of(early)}. {early.get('reason', '')}".strip())
    return [*lines, *map(str, early.get("notes", ()))]


def _lines(result: Mapping[str, Any]) -> list[str]:
    rows = plural(int(result.get("rows", 0)), "row")
    name = str(result.get("format", ""))
    lines = [f"{rows}, read as {title_of(result)}. {result.get('reason', '')}".strip() if name else f"{rows}."]
    if name in COMPARED:
        lines.append(COMPARED[name])
    known = result.get("lengths") or {}
    if known.get("longest"):
        sampled = f" (from a sample of {known.get('rows', 0):,})" if known.get("sampled_from") else ""
        text = f"Tokens per row{sampled}: half have up to {known['p50']:,}, 99 % up to {known['p99']:,}"
        learned = f"{count(known.get('trained_tokens', 0))} tokens are learned in each pass."
        lines.append(f"{text}, the longest {known['longest']:,}. {learned}")
    lines.extend(str(note) for note in result.get("notes", ()))
    for skipped in result.get("skipped", ()):
        lines.append(f"{plural(int(skipped.get('rows', 0)), 'row')} left out: {skipped.get('reason', '')}")
    return lines


def title_of(result: Mapping[str, Any]) -> str:
    """The format that was found, in words."""
    name = str(result.get("format", ""))
    return FORMAT_TITLES.get(name, (name or "unknown", ""))[0].lower()


def detail_text(answers: Answers, facts: Facts, bar: str) -> str:
    """Everything that is known of the data, for a page of its own."""
    result = facts.data.value or {}
    findings_text = [f"{_GRAVE[str(one.get('severity'))]}: {_sentence(one)}" for one in result.get("findings", ())]
    parts = [
        facts_lines(facts), lengths.label_lines(result, 200), findings_text or ["Nothing was found to be wrong."],
        lengths.length_lines(result), lengths.histogram_lines(result, 60, bar, 24),
        lengths.advice_lines(answers, facts),
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts if part)


_GRAVE = {"block": "Must be mended", "warn": "Warning", "note": "Note"}


def _sentence(entry: Mapping[str, Any]) -> str:
    where = f" ({Path(str(entry['where'])).name})" if entry.get("where") else ""
    return f"{entry.get('what', '')}{where} {entry.get('fix', '')}".rstrip()


def preview_pieces(preview: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A row as (text, kind) pieces in order; kind is "context", "trained", "cut", or "note" for a word of ours.

    `preview` is one entry of the inspection: with a model it has `pieces`, without one only its `turns`.
    """
    if "problem" in preview:
        yield str(preview["problem"]), "note"
    elif "pieces" in preview:
        for piece in preview["pieces"]:
            yield str(piece.get("text", "")), str(piece.get("kind", "context"))
    else:
        for turn in preview.get("turns", ()):
            yield f"{turn.get('role', '')}: ", "note"
            yield f"{turn.get('content', '')}\n", "trained" if turn.get("trained") else "context"
    if preview.get("rejected"):
        yield "\nThe rejected answer: ", "note"
        yield str(preview["rejected"]), "context"
