"""What a question offers, and what may be wrong with an answer. Imported by the first page, so it imports little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.errors import UserError
    from engine.recipe_keys import Value


@dataclass(frozen=True)
class Option:
    """One thing that can be chosen, with what follows from it in one line."""

    value: str
    title: str
    consequence: str = ""
    mark: str = ""
    """A word or two at the right: "fits", "needs 9 GB more"."""
    good: bool | None = None
    """Whether `mark` is good news; None is neither."""
    recommended: bool = False


@dataclass(frozen=True)
class Remedy:
    """One change that would mend a problem: set `key` to `value`."""

    label: str
    key: str
    value: Value


@dataclass(frozen=True)
class Problem:
    """What is wrong with a step, in the shape of a UserError. Only a blocking one keeps a run from starting."""

    what: str
    where: str = ""
    fix: str = ""
    blocking: bool = True
    remedy: Remedy | None = None
    waiting: bool = False
    """Whether it is only not known yet; a person may go on meanwhile."""

    @classmethod
    def of(cls, error: UserError, remedy: Remedy | None = None) -> Problem:
        return cls(error.what, error.where, error.fix, remedy=remedy)
