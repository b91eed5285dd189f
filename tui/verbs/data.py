"""`tunewright data`: how training data is read, what the model will see of it, and what is wrong with it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from engine.answer import Answer
from tui.answers import Answers
from tui.jobs import run_job
from tui.steps import lengths, looking
from tui.steps.data_words import facts_lines
from tui.steps.facts import Facts
from tui.steps.mask import BRACKETS
from tui.steps.words import shown
from tui.verbs.making import columns_example, put_settings
from tui.verbs.output import paragraph, print_json, say
from tui.widgets.marks import mark

MARKS = {"block": "!!", "warn": "! ", "note": "  "}
BLOCKED = 1
"""The data can be read, and what was found keeps a run from starting; data that cannot be read is bad input, 2."""


def run(arguments: Namespace) -> int:
    """Look at the data and say it; exit code 1 when it cannot be trained on as it is."""
    answers = Answers(values={"data.source": Answer(arguments.data, "you", "given")})
    put_settings(answers, arguments.overrides)
    facts = Facts()
    if arguments.model:
        answers.put("model.source", arguments.model)
        facts.model.ask(looking.model_question(answers))
        facts.model.settle(facts.model.asked, looking.look_at_model(answers))
    result = run_job("data", {**looking.data_request(answers, facts), "previews": arguments.rows})
    facts.data.value = result
    if arguments.json:
        print_json(result)
    else:
        _show(answers, facts, result)
    return BLOCKED if result.get("worst") == "block" else 0


def _show(answers: Answers, facts: Facts, result: Mapping[str, Any]) -> None:
    for line in (*facts_lines(facts), *lengths.label_lines(result)):
        paragraph(line)
    say(*lengths.histogram_lines(result, 72, mark("bar")))
    for line in lengths.advice_lines(answers, facts):
        paragraph(line)
    for finding in result.get("findings", ()):
        where = f" ({finding['where']})" if finding.get("where") else ""
        words = f"{MARKS.get(finding['severity'], '')} {finding['what']}{where} {finding.get('fix', '')}".rstrip()
        changes = [f"--set {key}={shown(value)}" for key, value in (finding.get("remedy") or {}).items()]
        paragraph(f"{words} ({' '.join(changes)})" if changes else words)
    if result.get("worst") == "block" and (example := columns_example(result)):
        paragraph(example)
    previews = result.get("previews") or []
    if previews:
        rendered = any("pieces" in preview for preview in previews)
        say("", "Rows as the model sees them, [[learned]] and {{cut}}:" if rendered else "Rows as they are read:")
    for preview in previews:
        say(f"--- row {preview.get('row')}", _preview(preview))
        if preview.get("rejected"):
            say("The rejected answer:", str(preview["rejected"]))


def _preview(preview: Mapping[str, Any]) -> str:
    if "problem" in preview:
        return f"! {preview['problem']}"
    if "pieces" in preview:
        return "".join(piece["text"].join(BRACKETS.get(piece["kind"], ("", ""))) for piece in preview["pieces"])
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in preview.get("turns", ()))
