"""`tunewright demo`: the whole way with a tiny model that comes with the program, with three answers given."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.machine.packages import require_training_packages
from engine.runs.store import fresh_name
from tui.answers import Answers
from tui.jobs import Job
from tui.screens.demo import REASON, demo_answers, demo_directory
from tui.verbs.places import root_of, word_for

INTRODUCTION = (
    "A tiny language model learns to turn customer messages into JSON orders, from a few hundred examples. It takes "
    "a minute or two on a processor. With a model and data of your own it goes the same way: tunewright, or "
    "tunewright train --help."
)


def run(arguments: Namespace) -> int:
    """Open the wizard with three answers given, or go the same way without asking."""
    require_training_packages()
    answers = _answers(arguments)
    if arguments.no_input:
        return _headless(answers)
    from tui.verbs.screens import open_wizard

    return open_wizard(answers, mouse=not arguments.no_mouse)


def _answers(arguments: Namespace) -> Answers:
    """The demo's three answers, with a name and a place for its run. Everything else is recommended as always."""
    root = root_of(arguments)
    answers = demo_answers()
    answers.put("run.name", fresh_name(root, "demo"), "recommended", REASON)
    if arguments.runs:
        answers.put("run.directory", str(root), "you", "given as --runs")
    return answers


def _headless(answers: Answers) -> int:
    from tui.screens.evaluation_text import comparison
    from tui.steps import review
    from tui.verbs.evaluate import evaluate
    from tui.verbs.follow import follow
    from tui.verbs.making import look_up
    from tui.verbs.output import paragraph, say
    from tui.verbs.plan import show
    from tui.verbs.train import begin

    paragraph(INTRODUCTION)
    say("", "1. The plan", "")
    facts = look_up(answers)
    assert facts.plan.value is not None, "the demo gives a model"
    show(facts.plan.value)
    say("", "2. The training", "")
    started, pid = begin(review.recipe(answers, facts), answers, facts)
    say(f"{started.name} trains in the background (process {pid}). Its folder: {started.path}")
    code = follow(started)
    if code != 0:
        return code
    say("", "3. The measurement, on messages that were not trained on", "")
    say(*comparison(evaluate(started)), "", "4. A message that is in no file of the training, answered by both", "")
    _show_one(started.path)
    say(f"Go on: tunewright chat {word_for(started)}, tunewright export {word_for(started)} --to ollama.")
    return 0


def _show_one(run_directory: Path) -> None:
    """One unseen message, answered by base and tuned, with the answer that was wanted."""
    from tui.verbs.chat import Conversation, show_reply
    from tui.verbs.output import say

    unseen = demo_directory() / "data" / "orders_test.jsonl"
    row: dict[str, Any] = json.loads(unseen.read_text(encoding="utf-8").splitlines()[0])
    with Job("chat", {"run": str(run_directory)}) as job:
        conversation = Conversation(job)
        conversation.wait_until_ready()
        show_reply(row["input"], conversation.ask(row["input"]), conversation.sides)
    say(f"wanted: {row['output']}", "")
