"""Step 4: what the model learns from, and how each row will be read and rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.recipe_keys import KEYS
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.data_files import PACKED, SUFFIXES, ending, is_hub_name, nearby_files, nearby_hint, size_words
from tui.steps.data_words import FORMAT_TITLES, title_of
from tui.steps.facts import Facts
from tui.steps.goal import mismatches
from tui.steps.option import Option, Problem, Remedy
from tui.steps.words import plural, shown

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
