"""`tunewright new`: write a recipe file without training."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from engine.errors import UserError
from engine.recipe import Recipe
from tui.verbs.making import doubts, recipe_of
from tui.verbs.output import print_json, say, warn

STDOUT = "-"
"""As a path: the recipe is printed."""


def run(arguments: Namespace) -> int:
    """Make the recipe and write it."""
    path = Path(arguments.out).expanduser()
    if arguments.out != STDOUT and path.exists() and not arguments.force:
        raise UserError("The recipe file exists already.", str(path), "Give another --out, or --force to replace it.")
    recipe, answers, facts = recipe_of(arguments)
    for doubt in doubts(answers, facts):
        warn(doubt)
    if arguments.out == STDOUT and not arguments.json:
        print(recipe.dumps(), end="")
        return 0
    if arguments.out != STDOUT:
        _write(recipe, path)
    if arguments.json:
        values = {key: {"value": answer.value, "source": answer.source, "reason": answer.reason}
                  for key, answer in recipe.answers.items()}  # fmt: skip
        print_json({"path": str(path), "answers": values})
    else:
        say(f"The recipe is in {path}. Start it: tunewright train {path}")
    return 0


def _write(recipe: Recipe, path: Path) -> None:
    try:
        recipe.save(path)
    except OSError as error:
        fix = "Give a path in --out that can be written."
        raise UserError(f"The recipe cannot be written: {error.strerror}.", str(path), fix) from error


def describe_keys() -> str:
    """Every key that `--set` takes, with its words; the end of this verb's help."""
    from engine.recipe_keys import KEYS

    width = max(map(len, KEYS))
    lines = [f"  {name.ljust(width)}  {key.help}{_allowed(key.choices)}" for name, key in KEYS.items()]
    return "\n".join(["keys of a recipe, for --set:", *lines])


def _allowed(choices: tuple[str, ...]) -> str:
    return f" One of: {', '.join(choices)}." if choices else ""
