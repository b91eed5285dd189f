"""Step 4: what the model learns from, and how each row will be read and rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps import lengths
from tui.steps.base import Question, Step
from tui.steps.data_files import PACKED, SUFFIXES, ending, is_hub_name, nearby_files, nearby_hint, size_words
from tui.steps.facts import Facts
from tui.steps.goal import mismatches
from tui.steps.option import Option, Problem, Remedy
from tui.steps.words import count, plural, shown

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
HELP = """\
Give a file with your examples: .jsonl, .json, .csv, .tsv, .parquet, .txt or .md, each also packed as .gz, .zst or \
.bz2; a folder of such files; or owner/name of a dataset on the Hugging Face Hub. The program looks at the rows and \
says how it reads them. Nothing leaves this machine.

`m` shows one row at a time, whole, and which of its tokens are learned; `d` shows all findings and the lengths.

The preview shows rows as the model will see them. Bright text is learned; dim text is context that the model reads \
and does not learn to write. A mark shows where a long row is cut.

A few hundred good rows are enough to learn a form or a style. For wide knowledge thousands are needed. Rows that \
contradict each other cost more than missing rows."""


def options(answers: Answers, facts: Facts) -> list[Option]:
    """Files that lie nearby."""
    return [Option(str(path), str(path), size_words(path)) for path in nearby_files()]


def format_options(answers: Answers, facts: Facts) -> list[Option]:
    """How rows can be read."""
    detected = str((facts.data.value or {}).get("format", ""))
    return [
        Option(name, FORMAT_TITLES[name][0], FORMAT_TITLES[name][1], "detected" if name == detected else "")
        for name in KEYS["data.format"].choices
        if name in FORMAT_TITLES
    ]


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """Store the path of the data. Raises UserError when nothing can be read there."""
    source = text.strip()
    if not source:
        raise UserError("No data is given yet.", "Data", "Type the path of a file with your examples.")
    path = Path(source).expanduser()
    if not path.exists() and not is_hub_name(source):
        raise UserError("This file does not exist.", str(path), nearby_hint(path))
    if path.is_file() and ending(path) not in SUFFIXES:
        raise UserError(f"A {path.suffix or 'file without an ending'} is not understood.", str(path),
                        f"Use one of: {', '.join(SUFFIXES)}, also packed as {', '.join(PACKED)}.")  # fmt: skip
    if source == answers.text("data.source"):
        return
    for key in ("data.format", "data.map", "data.encoding", "data.skip_bad_rows"):
        answers.drop(key)  # they described the other file
    answers.put("data.source", source, "you", "your choice")


def apply_format(answers: Answers, facts: Facts, text: str) -> None:
    """Store how rows are read; "auto" leaves it to the program."""
    if text == "auto":
        answers.drop("data.format")
        return
    answers.put("data.format", KEYS["data.format"].check(text, "Data"), "you", "your choice")


_ENCODING = re.compile(r'If "(?P<words>.*)" is right, set data.encoding to (?P<codec>[\w-]+)')


def offered_encoding(facts: Facts) -> tuple[str, str]:
    """The codec in which a file that is not UTF-8 would be text, and words of it to judge by; empty when none is
    offered. It is asked, never taken by itself."""
    problem = facts.data.problem
    found = _ENCODING.search(problem.fix) if problem is not None else None
    return (found["codec"], found["words"]) if found else ("", "")


def findings(facts: Facts) -> list[Problem]:
    """What the inspection has to say about the rows, the gravest first."""
    return [_finding(entry) for entry in (facts.data.value or {}).get("findings", ())]


def all_findings(answers: Answers, facts: Facts) -> list[Problem]:
    """The same, behind what does not suit the use case."""
    return [*mismatches(answers, facts.data.value), *findings(facts)]


def _finding(entry: Mapping[str, Any]) -> Problem:
    remedy = None
    for key, value in (entry.get("remedy") or {}).items():
        if key in KEYS:
            remedy = Remedy(f"Set {KEYS[key].title.lower()} to {shown(value)}", key, value)
    blocking = entry.get("severity") == "block"
    where = Path(str(entry.get("where", ""))).name  # file:line; the folder stands above already
    return Problem(str(entry.get("what", "")), where, str(entry.get("fix", "")), blocking, remedy)


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


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """Data is needed; what the inspection found is passed on."""
    if not answers.text("data.source"):
        return [Problem("No data is chosen yet.", "Data", "Type the path of a file with your examples.")]
    if facts.data.problem is not None:
        return [Problem.of(facts.data.problem)]
    if facts.data.busy and facts.data.value is None:
        fix = "Wait a moment, or go on meanwhile."
        return [Problem("The data is still being read.", "Data", fix, waiting=True)]
    return all_findings(answers, facts)


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review."""
    source = answers.text("data.source")
    if not source:
        return "not chosen yet"
    result = facts.data.value
    if not result:
        return source
    return f"{source} ({plural(int(result.get('rows', 0)), 'row')}, {title_of(result)})"


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


STEP = Step(
    name="data",
    title="Data",
    question="What should the model learn from?",
    help=HELP,
    questions=(Question("data.source", "What should the model learn from?", options, apply,
                        free="A file with examples (.jsonl .json .csv .tsv .parquet .txt .md), or a Hub dataset"),),
    validate=validate,
    summary=summary,
    later=("method", "settings"),
    keys=("data.source", "data.format", "data.split", "data.map", "data.template", "data.encoding",
          "data.skip_bad_rows"),
)  # fmt: skip
