"""The recipe: the one document that defines a run.

A recipe is a TOML file. Every value carries where it came from and why, as a comment behind it, so that a person
who opens the file a year later sees the reasons and not only the numbers.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from engine.answer import Answer, Source
from engine.errors import UserError
from engine.recipe_keys import KEYS, SECTIONS, Value, find_key
from engine.recipe_parts import (
    CheckpointsPart,
    DataPart,
    EvaluationPart,
    Method,
    MethodPart,
    ModelPart,
    Objective,
    RunPart,
    TrackingPart,
    TrainingPart,
)

if TYPE_CHECKING:
    import tomlkit  # imported where it is used: it takes a tenth of the time to the first painted page

__all__ = ["Answer", "Method", "Objective", "Recipe", "Source"]

SIZE_LIMIT_BYTES = 1_000_000
"""No honest recipe is larger; a larger file is somebody's data."""


_PARTS: dict[str, type] = {
    "model": ModelPart,
    "data": DataPart,
    "method": MethodPart,
    "training": TrainingPart,
    "evaluation": EvaluationPart,
    "checkpoints": CheckpointsPart,
    "tracking": TrackingPart,
    "run": RunPart,
}


@dataclass(frozen=True)
class Recipe:
    """What a run will do. Build it with `from_answers` or `load`; both check every value."""

    model: ModelPart
    data: DataPart
    method: MethodPart
    training: TrainingPart
    evaluation: EvaluationPart
    checkpoints: CheckpointsPart
    tracking: TrackingPart
    run: RunPart
    answers: Mapping[str, Answer] = field(compare=False)

    @classmethod
    def from_answers(cls, answers: Mapping[str, Answer], where: str = "") -> Recipe:
        """Check every answer and fill what is missing with defaults.

        Raises UserError for an unknown key, a value of the wrong type or range, or a recipe without model or data.
        """
        full: dict[str, Answer] = {}
        for name, answer in answers.items():
            place = f"{where}: {name}" if where else name
            checked = find_key(name, place).check(answer.value, place)
            full[name] = dataclasses.replace(answer, value=checked)
        for name in ("model.source", "data.source"):
            if not full.get(name) or not full[name].value:
                raise UserError(f"The recipe does not say {name}.", where, f"Give {KEYS[name].title.lower()}.")
        for name, key in KEYS.items():
            full.setdefault(name, Answer(key.default, "recommended", "the usual value"))
        values = {name: full[name].value for name in KEYS}
        parts = {section: _part(section, values) for section in SECTIONS}
        return cls(**parts, answers={name: full[name] for name in KEYS})

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe file. Raises UserError that names file and line."""
        import tomlkit
        from tomlkit.exceptions import ParseError, TOMLKitError

        text = _read_text(path)
        try:
            document = tomlkit.parse(text)
        except ParseError as error:
            place = f"{path}:{error.line}"
            raise UserError(f"The recipe is not valid TOML: {error}.", place, "Mend the line.") from error
        except TOMLKitError as error:
            raise UserError(f"The recipe is not valid TOML: {error}.", str(path), "Mend the file.") from error
        return cls.from_answers(_answers_of(document.unwrap(), _read_notes(document), text, path), str(path))

    def dumps(self) -> str:
        """The recipe as TOML, each value with `# source: reason` behind it."""
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment("A Tunewright recipe. Run it with: tunewright train <this file>"))
        for section in SECTIONS:
            table = tomlkit.table()
            for name in KEYS:
                if name.startswith(f"{section}."):
                    answer = self.answers[name]
                    table.add(name.split(".")[1], tomlkit.item(_inline(answer.value)).comment(_note(answer)))
            document.add(section, table)
        return tomlkit.dumps(document)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all. Raises OSError; then nothing is left beside `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(self.dumps(), encoding="utf-8")
            temporary.replace(path)
        except OSError:  # a full disk, or a folder of that name
            temporary.unlink(missing_ok=True)
            raise

    def changed(self, values: Mapping[str, Value], source: Source, reason: str) -> Recipe:
        """The same recipe with some values replaced."""
        new = {name: Answer(value, source, reason) for name, value in values.items()}
        return Recipe.from_answers({**self.answers, **new})

    def fingerprint(self) -> str:
        """sha256 (hex) of every value that shapes the result; reasons, name and folder do not count."""
        values = {name: answer.value for name, answer in self.answers.items() if not name.startswith("run.")}
        import hashlib

        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _part(section: str, values: Mapping[str, Value]) -> Any:
    own = {name.split(".")[1]: value for name, value in values.items() if name.startswith(f"{section}.")}
    return _PARTS[section](**own)


def _read_text(path: Path) -> str:
    if not path.exists():
        raise UserError("The recipe file does not exist.", str(path), "Check the path, or make one: tunewright new.")
    if not path.is_file():
        raise UserError("The recipe is not a regular file.", str(path), "Give the path of a .toml file.")
    if path.stat().st_size > SIZE_LIMIT_BYTES:
        raise UserError("The recipe is larger than 1 MB, so it is something else.", str(path), "Give a recipe file.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("The recipe is not UTF-8 text.", str(path), "Save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"The recipe cannot be read: {error.strerror}.", str(path), "Check its permissions.") from error


def _answers_of(document: dict[str, Any], notes: Mapping[str, tuple[Source, str]], text: str,
                path: Path) -> dict[str, Answer]:  # fmt: skip
    answers: dict[str, Answer] = {}
    for section, table in document.items():
        line = _line_of(text, section)
        if not isinstance(table, dict) or section not in SECTIONS:
            fix = f"A recipe has the sections {', '.join(SECTIONS)}."
            raise UserError(f"A recipe has no section or top-level key {section!r}.", f"{path}:{line}", fix)
        for name, value in table.items():
            dotted = f"{section}.{name}"
            place = f"{path}:{_line_of(text, section, name)}"
            checked = find_key(dotted, place).check(value, place)
            source, reason = notes.get(dotted, ("you", "from the recipe file"))
            answers[dotted] = Answer(checked, source, reason)
    return answers


def _line_of(text: str, section: str, name: str | None = None) -> int:
    """1-based line of a section header, or of a key inside it; the first line when it is written otherwise."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        is_header = stripped.startswith("[")
        if is_header:
            inside = stripped.strip("[] ").split(".")[0] == section
        wanted = section if name is None else name
        found = re.match(rf"[\[\"']*{re.escape(wanted)}\b", stripped)
        if found and (name is None or (inside and not is_header)):
            return number
    return 1


def _read_notes(document: tomlkit.TOMLDocument) -> dict[str, tuple[Source, str]]:
    """The `# source: reason` comments that `dumps` wrote, by dotted key."""
    from tomlkit.items import Table

    notes: dict[str, tuple[Source, str]] = {}
    for section, table in document.items():
        for key, item in table.value.body if isinstance(table, Table) else ():
            if key is None:  # a blank line or a comment of its own
                continue
            source, colon, reason = item.trivia.comment.lstrip("# ").partition(": ")
            if colon and source in get_args(Source):
                notes[f"{section}.{key.key}"] = (cast(Source, source), reason)
    return notes


def _note(answer: Answer) -> str:
    """One line that TOML allows in a comment: no line breaks, no control characters."""
    words = " ".join(answer.reason.split())
    return f"{answer.source}: " + "".join(letter if letter.isprintable() else "?" for letter in words)


def _inline(value: Value) -> Any:
    """Tables are written on one line, so that every key of a recipe is one line."""
    if isinstance(value, dict):
        import tomlkit

        table = tomlkit.inline_table()
        table.update(value)
        return table
    return value
