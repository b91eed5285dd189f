"""Prompts that the model was not trained on, with the answer that the data gives. Reads data; call it in a thread."""

from __future__ import annotations

from dataclasses import dataclass

from engine.data.dataset import load_dataset
from engine.data.prepare import options_of, split_examples
from engine.recipe import Recipe

LONGEST_LETTERS = 4_000
"""Longer prompts are no help to a person who wants to see at a glance what changed."""


@dataclass(frozen=True)
class HeldOut:
    """One held-out row: the conversation up to where the assistant answers, and the expected answer."""

    turns: tuple[tuple[str, str], ...]
    expected: str
    row: int

    @property
    def question(self) -> str:
        """The last thing that was said before the answer."""
        return self.turns[-1][1]


def held_out_prompts(recipe: Recipe) -> list[HeldOut]:
    """The held-out rows of a run that can be asked, in file order. Raises UserError when the data cannot be read.

    The same split as in training, as long as no row was left out because it did not fit the sequence length.
    """
    if not recipe.evaluation.held_out_rows:
        return []
    data = recipe.data
    dataset = load_dataset(data.source, data.format, dict(data.map), options=options_of(recipe))
    _, held_out = split_examples(dataset.examples, recipe.evaluation.held_out_rows, recipe.training.seed)
    found = []
    for index in held_out:
        example = dataset.examples[index]
        turns = tuple((turn.role, turn.content) for turn in example.prompt_turns)
        if turns and sum(len(content) for _, content in turns) <= LONGEST_LETTERS:
            found.append(HeldOut(turns, example.expected, example.row))
    return found
