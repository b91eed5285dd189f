"""`tunewright import`: a recipe from the settings of another program."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from engine.errors import UserError
from engine.exchange.reading import read_foreign
from engine.exchange.sheet import Carried
from engine.recipe import Recipe
from tui.verbs.output import print_json, say


def run(arguments: Namespace) -> int:
    """Read the file, say what was carried and what was not, and write the recipe."""
    carried = read_foreign(Path(arguments.file).expanduser())
    out = Path(arguments.out).expanduser() if arguments.out else None
    if "data.source" not in carried.answers or "model.source" not in carried.answers:
        say(*_told(carried))
        fix = "Name it in a copy of the file, or begin with `tunewright new --model M --data D`."
        raise UserError("The file does not say what a recipe needs: a model and data.", arguments.file, fix)
    recipe = Recipe.from_answers(carried.answers)
    if out is not None:
        _save(recipe, out, arguments.force)
    if arguments.json:
        print_json({**carried.as_dict(), "whole": carried.whole, "path": str(out or "")})
        return 0
    say(*_told(carried), "")
    if out is None:
        say(recipe.dumps())
        say("Nothing was written. Write it: --out recipe.toml")
    else:
        say(f"The recipe is in {out}. Look at it, then start it: tunewright train {out}")
    return 0


def _told(carried: Carried) -> list[str]:
    """What was carried, in counts, and every key that was not, with the reason."""
    lines = [f"{carried.program}: {len(carried.answers)} values carried, {len(carried.needless)} keys are not needed "
             f"here, {len(carried.left)} could not be carried."]  # fmt: skip
    for title, keys in (("Could not be carried:", carried.left), ("Not needed here:", carried.needless)):
        if keys:
            lines += ["", title, *(f"  {key}: {why}" for key, why in keys.items())]
    return lines


def _save(recipe: Recipe, path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise UserError("The recipe file exists already.", str(path), "Give another --out, or --force to replace it.")
    try:
        recipe.save(path)
    except OSError as error:
        fix = "Give a path in --out that can be written."
        raise UserError(f"The recipe cannot be written: {error.strerror}.", str(path), fix) from error
