"""What came of another program's settings: carried into recipe keys, needless here, or left behind with a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.answer import Answer
from engine.errors import UserError
from engine.recipe_keys import KEYS, Value

NO_SUCH_SETTING = "Tunewright has no such setting."


@dataclass
class Carried:
    """`answers` by recipe key; `needless` and `left` by the other program's key, with the reason.

    Nothing is lost in silence: every key that says something is in one of the three.
    """

    program: str
    answers: dict[str, Answer] = field(default_factory=dict)
    needless: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every key was carried or is needless here."""
        return not self.left

    def as_dict(self) -> dict[str, Any]:
        values = {key: {"value": answer.value, "reason": answer.reason} for key, answer in self.answers.items()}
        return {"program": self.program, "carried": values, "needless": self.needless, "left": self.left}


class Sheet:
    """The settings of another program, taken away one by one; what nobody takes is left behind by name."""

    def __init__(self, program: str, document: Mapping[str, Any]) -> None:
        self._open = dict(document)
        self.carried = Carried(program)

    def take(self, key: str) -> Any:
        """The value of `key`, which then counts as dealt with; None when it is not there."""
        return self._open.pop(key, None)

    def peek(self, key: str) -> Any:
        """The value of `key`, which stays."""
        return self._open.get(key)

    def put(self, recipe_key: str, value: Any, key: str, why: str = "") -> bool:
        """Answer `recipe_key` because of `key`; what does not fit the recipe is left behind. Whether it did."""
        try:
            checked = KEYS[recipe_key].check(_as(KEYS[recipe_key].kind, value), key)
        except (UserError, ValueError, TypeError, OverflowError) as error:
            what = error.what if isinstance(error, UserError) else f"It is {str(value)[:40]}, which is no number."
            self.leave(key, f"{what} The recipe's key is {recipe_key}.")
            return False
        self.carried.answers[recipe_key] = Answer(checked, "you", why or f"{self.carried.program}: {key}")
        return True

    def default(self, recipe_key: str, value: Any) -> None:
        """Where the other program has a default of its own and its settings say nothing."""
        if recipe_key not in self.carried.answers:
            self.put(recipe_key, value, recipe_key, f"the default of {self.carried.program}")

    def same(self, table: Mapping[str, str]) -> None:
        """Carry every key of `table` as it is into its recipe key."""
        for key, recipe_key in table.items():
            if (value := self.take(key)) not in (None, "", [], {}):
                self.put(recipe_key, value, key)

    def number(self, key: str) -> float | None:
        """The value of `key` as a number, which then counts as dealt with; None where it says nothing or is none."""
        value = self.take(key)
        if not says_something(value):
            return None
        try:
            found = float(value)
        except (ValueError, TypeError, OverflowError):
            found = math.nan
        if math.isfinite(found):
            return found
        self.leave(key, f"It is {str(value)[:40]}, which is no number.")
        return None

    def change(self, key: str, act: Callable[[Any], object]) -> None:
        """Hand the value of `key` to `act`, when it says something."""
        value = self.take(key)
        if says_something(value):
            act(value)

    def leave(self, key: str, why: str) -> None:
        """Say why `key` could not be carried."""
        self.carried.left[key] = why

    def needless(self, key: str, why: str) -> None:
        """Say why `key` is not needed here."""
        self.carried.needless[key] = why

    def needless_all(self, table: Mapping[str, str]) -> None:
        """The keys of `table` are not needed here, for its reasons."""
        for key, why in table.items():
            self.change(key, lambda value, key=key, why=why: self.needless(key, why))  # type: ignore[misc]

    def finish(self) -> Carried:
        """Whatever is still open and says something is left behind."""
        for key, value in self._open.items():
            if says_something(value):
                self.carried.left.setdefault(key, f"{NO_SUCH_SETTING} It was {str(value)[:60]}.")
        return self.carried


def says_something(value: Any) -> bool:
    """False for what is empty or switched off."""
    return value is not None and value is not False and value != "" and value != [] and value != {}


def _as(kind: str, value: Any) -> Value:
    """`value` in the type of a recipe key: YAML reads 2e-5 as text, and command lines read everything so."""
    if kind == "int":
        number = float(value)
        if not number.is_integer():
            raise ValueError
        return int(number)
    if kind == "float" and not isinstance(value, bool):
        return float(value)
    if kind == "bool" and isinstance(value, str):
        return value.strip().lower() in {"true", "yes", "1", "on"}
    if kind == "list" and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if kind in {"text", "choice"} and not isinstance(value, str):
        return str(value)
    return value  # type: ignore[no-any-return]
