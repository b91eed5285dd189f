"""The rows that a run held out, exactly as it held them out: the same reading, split and cutting as in training."""

from __future__ import annotations

from typing import Any

from engine.data.prepare import load_examples
from engine.data.prepared import good_examples
from engine.errors import UserError
from engine.use.finished import Result
from engine.use.prompts import Prompts

LONGEST_LETTERS = 4_000
"""Longer prompts are no help to a person who wants to see at a glance what changed."""


class HeldRows:
    """`rendered` rows with token ids and labels, and `examples` with the turns they came from; UserError for none."""

    def __init__(self, result: Result, prompts: Prompts) -> None:
        prepared = load_examples(result.recipe, result.tokenizer, template_text=prompts.template_text)
        prepared.renderer.close()
        # answers that the data calls bad are nothing to compare with
        self.rendered = [row for row in prepared.held_out if row.good]
        self.examples = good_examples(prepared)
        self.format = prepared.format
        if not self.rendered:
            fix = "Train again with --set evaluation.held_out_rows=50 (or more)."
            raise UserError("No rows were held out of this run, so there is nothing honest to measure on.",
                            result.run.name, fix)  # fmt: skip

    def questions(self) -> list[dict[str, Any]]:
        """The rows that can be asked, for a person: {"turns": [[role, content]], "expected", "row"} each."""
        found = []
        for example in self.examples:
            turns = [[turn.role, turn.content] for turn in example.prompt_turns]
            if turns and sum(len(content) for _, content in turns) <= LONGEST_LETTERS:
                found.append({"turns": turns, "expected": example.expected, "row": example.row})
        return found
