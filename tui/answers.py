"""What the wizard knows so far: every answer with its source and reason, saved after every step.

The file is small JSON, written whole or not at all, so that a person can leave at any moment and go on later.
Answers about a run use the keys of a recipe (`model.source`); the few that a recipe does not hold are in `EXTRA_KEYS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from engine.answer import Answer, Source
from engine.errors import UserError
from engine.recipe_keys import KEYS, Value

VERSION = 1
EXTRA_KEYS = ("goal", "need", "pretend.vram_gb", "pretend.ram_gb", "pretend.gpus")
"""Answers that steer the wizard and are no part of a recipe."""


@dataclass
class Answers:
    """The answers given so far. `path` None keeps them in memory only."""

    path: Path | None = None
    values: dict[str, Answer] = field(default_factory=dict)
    drafts: dict[str, str] = field(default_factory=dict)
    """Text that was typed and is no answer yet, by field; shown again when its page is."""
    done: set[str] = field(default_factory=set)
    """Names of the steps that were confirmed."""
    check: dict[str, str] = field(default_factory=dict)
    """Steps to check again, with the reason: an earlier answer changed."""
    at: str = "machine"
    """The step that was open last."""

    def text(self, key: str) -> str:
        """The value of `key` as text; empty when there is none."""
        answer = self.values.get(key)
        return "" if answer is None else str(answer.value)

    def put(self, key: str, value: Value, source: Source = "you", reason: str = "") -> bool:
        """Store an answer; True when its value differs from the one before."""
        before = self.values.get(key)
        self.values[key] = Answer(value, source, reason)
        self.drafts.pop(key, None)
        return before is None or before.value != value

    def drop(self, key: str) -> bool:
        """Forget an answer and what was typed for it; True when there was an answer."""
        self.drafts.pop(key, None)
        return self.values.pop(key, None) is not None

    def chosen(self) -> dict[str, Answer]:
        """The recipe answers that a person or an earlier run gave, which no recommendation may change."""
        fixed = ("you", "previous")
        return {key: answer for key, answer in self.values.items() if key in KEYS and answer.source in fixed}

    @property
    def started(self) -> bool:
        """Whether there is anything to continue with."""
        return bool(self.values or self.drafts)

    def save(self) -> None:
        """Write the file atomically. Does nothing for answers without a path."""
        from engine.runs.files import write_atomic

        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self.path, json.dumps(self._document(), indent=1, ensure_ascii=True))

    def snapshot(self) -> Answers:
        """A copy for another thread to read."""
        return Answers(None, dict(self.values), dict(self.drafts), set(self.done), dict(self.check), self.at)

    def discard(self) -> None:
        """Remove the file: the run was started, or the person begins anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _document(self) -> dict[str, Any]:
        values = {key: [answer.value, answer.source, answer.reason] for key, answer in self.values.items()}
        return {"v": VERSION, "at": self.at, "values": values, "drafts": self.drafts, "done": sorted(self.done),
                "check": self.check}  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Answers:
        """Read unfinished answers; none yet gives empty ones.

        A file that cannot be understood is kept beside as `answers.json.broken`, and raises UserError once.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls._from(document, path)
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            aside = path.with_name(f"{path.name}.broken")
            fix = f"It was moved to {aside.name}; the wizard starts with empty answers."
            try:
                path.replace(aside)
            except OSError:
                fix = "Check the permissions of the folder; the wizard starts with empty answers."
            raise UserError("The unfinished answers could not be read.", str(path), fix) from error

    @classmethod
    def _from(cls, document: dict[str, Any], path: Path) -> Answers:
        if document["v"] != VERSION:
            raise ValueError(f"version {document['v']}")
        values = {key: _checked(key, *entry) for key, entry in document["values"].items()}
        drafts = {str(key): str(text) for key, text in document["drafts"].items()}
        check = {str(step): str(why) for step, why in document["check"].items()}
        return cls(path, values, drafts, set(map(str, document["done"])), check, str(document["at"]))


def _checked(key: str, value: Any, source: Any, reason: Any) -> Answer:
    if source not in get_args(Source):
        raise ValueError(f"source {source!r}")
    if key not in EXTRA_KEYS:
        try:
            value = KEYS[key].check(value)
        except UserError as error:
            raise ValueError(error.what) from error
    return Answer(value, source, str(reason))


def from_recipe(answers: Mapping[str, Answer], reason: str, path: Path | None = None) -> Answers:
    """Answers to begin with when a run is cloned: every value of its recipe, as from a previous run."""
    copied = {key: Answer(answer.value, "previous", reason) for key, answer in answers.items() if key != "run.name"}
    return Answers(path, {key: answer for key, answer in copied.items() if answer.value not in ("", {})})
