"""Rows that say which answer is better: how a pair or a judged answer is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from engine.data.examples import Example, RowProblem
from engine.data.render import Renderer
from engine.data.rendered import Rendered


def render_objective(
    renderer: Renderer, examples: Sequence[Example], limit: int | None, objective: str
) -> list[Rendered | RowProblem]:
    """The rows as this objective learns them, in order: pairs for dpo and orpo, judged answers for kto."""
    if objective == "kto":
        return _render_judged(renderer, examples, limit)
    if objective in ("dpo", "orpo"):
        return _render_pairs(renderer, examples, limit)
    return renderer.render_many(examples, limit)


def rejected_example(example: Example) -> Example:
    """The same question with the rejected answer in the place of the chosen one."""
    asked = takewhile(lambda turn: not turn.trained, example.turns)
    return replace(example, turns=(*asked, *example.rejected), rejected=())


def judged_example(example: Example) -> Example:
    """The row up to its last answer, of which only that one is judged."""
    asked = example.prompt_turns
    answer = example.turns[len(asked)]
    return replace(example, turns=(*(replace(turn, trained=False) for turn in asked), answer))


def _render_pairs(renderer: Renderer, examples: Sequence[Example], limit: int | None) -> list[Rendered | RowProblem]:
    chosen = renderer.render_many(examples, limit)
    rejected = renderer.render_many([rejected_example(example) for example in examples], limit)
    return [_pair(one, other) for one, other in zip(chosen, rejected, strict=True)]


def _pair(chosen: Rendered | RowProblem, rejected: Rendered | RowProblem) -> Rendered | RowProblem:
    if isinstance(chosen, RowProblem) or isinstance(rejected, RowProblem):
        return chosen if isinstance(chosen, RowProblem) else rejected
    if not (chosen.trained_tokens and rejected.trained_tokens):
        return RowProblem("nothing to learn", "An answer begins behind the sequence length.")
    if chosen.input_ids == rejected.input_ids:
        return RowProblem("no difference", "Up to the sequence length both answers are the same.")
    return replace(
        chosen, rejected=rejected, truncated=chosen.truncated or rejected.truncated,
        answer_truncated=chosen.answer_truncated or rejected.answer_truncated,
    )  # fmt: skip


def _render_judged(renderer: Renderer, examples: Sequence[Example], limit: int | None) -> list[Rendered | RowProblem]:
    rows = renderer.render_many([judged_example(example) for example in examples], limit)
    return [
        row if isinstance(row, RowProblem) else replace(row, good=example.label != "false")
        for row, example in zip(rows, examples, strict=True)
    ]
