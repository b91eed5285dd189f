"""Local paths in the recipe of a run: absolute when it is made, since its engine works in the run's own folder, and
looked for again before it is resumed."""

from __future__ import annotations

import os
from pathlib import Path

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe import Recipe

PATH_KEYS = ("model.source", "data.source", "data.validation", "evaluation.general")
NEEDED = {"model.source": "base model", "data.source": "data"}
"""What a run cannot go on without, in words."""


def absolute_paths(recipe: Recipe) -> dict[str, Answer]:
    """The recipe's answers with every path that exists here made absolute; names on the Hub stay as they are.

    Raises UserError for a text of `evaluation.general` or an entry of `data.more` that cannot be meant.
    """
    check_file(recipe.evaluation.general)  # nothing else looks at this text before the model is loaded
    answers = dict(recipe.answers)
    for key in PATH_KEYS:
        before = answers[key]
        answers[key] = Answer(_absolute(str(before.value)), before.source, before.reason)
    more = answers["data.more"]
    entries = [_absolute_entry(text) for text in recipe.data.more]
    answers["data.more"] = Answer(entries, more.source, more.reason)
    return answers


def check_sources(recipe: Recipe, name: str) -> None:
    """UserError when the model or the data of the run `name` was a path and is no longer there."""
    for key, word in NEEDED.items():
        source = str(recipe.answers[key].value)
        if Path(source).is_absolute() and not os.path.lexists(source):
            fix = f"Put it back, or make a link there to where it is now: ln -s NEW {source}"
            raise UserError(f"The {word} of run {name} is no longer where it was.", source, fix)


def check_file(source: str) -> None:
    """UserError when a source of rows is a file that is not there or may not be read; folders and Hub names pass."""
    from engine.data.source import check_path  # at every start of the program there is no run to be made yet
    from engine.data.sources import is_hub_name

    if source and not is_hub_name(source) and not Path(source).expanduser().is_dir():
        check_path(Path(source).expanduser())


def _absolute(source: str) -> str:
    local = Path(source).expanduser()
    return str(local.absolute()) if source and local.exists() else source


def _absolute_entry(text: str) -> str:
    """`FILE * WEIGHT` with an absolute file. Raises UserError for what is no such entry."""
    from engine.data.mixing import parse_more

    source = parse_more([text])[0].source
    return _absolute(source) + text.strip()[len(source) :]
