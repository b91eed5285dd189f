"""Recipes from recipes: one for each combination of values that a sweep names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from engine.errors import UserError
from engine.recipe import Answer, Recipe
from engine.recipe_keys import Value, parse_value

MOST_RUNS = 200
"""More in one sweep is a mistake in a list."""

Sweep = tuple[str, list[Value]]


def parse_sweep(text: str) -> Sweep:
    """Read `key=a,b,c`. Raises UserError for an unknown key, a wrong value or a list of one."""
    key, mark, values = text.partition("=")
    if not mark or not values.strip():
        raise UserError(f"{text!r} is no sweep.", f"--sweep {text}", "Write it as key=first,second.")
    found = [parse_value(key.strip(), part.strip()) for part in values.split(",") if part.strip()]
    if len(found) < 2:
        fix = "Give several values, or write the one into the recipe."
        raise UserError(f"A sweep over one value changes nothing: {text}.", f"--sweep {text}", fix)
    if any(value in found[:place] for place, value in enumerate(found)):
        raise UserError(f"A value stands twice in the sweep: {text}.", f"--sweep {text}", "Leave one of them out.")
    return key.strip(), found


def expand(recipe: Recipe, sweeps: Sequence[Sweep]) -> Iterator[tuple[Recipe, dict[str, str]]]:
    """Each combination as a recipe, with what was changed. Raises UserError where they are too many."""
    count = 1
    for _, values in sweeps:
        count *= len(values)
    if count > MOST_RUNS:
        raise UserError(f"This sweep makes {count} runs.", "--sweep", f"Take fewer values: at most {MOST_RUNS} runs.")
    for chosen in itertools.product(*(values for _, values in sweeps)):
        changed = {key: value for (key, _), value in zip(sweeps, chosen, strict=True)}
        answers = {**recipe.answers, **{key: Answer(value, "you", "swept") for key, value in changed.items()}}
        yield Recipe.from_answers(answers), {key: str(value) for key, value in changed.items()}


def name_of(stem: str, changed: dict[str, str]) -> str:
    """A name for a run that says what was changed: `orders-learning_rate-1e-4`."""
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in changed.items()]
    text = "-".join([stem, *parts]).lower()
    return re.sub(r"[^a-z0-9._-]+", "-", text)[:60].strip("-._") or "run"
