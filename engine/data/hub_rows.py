"""Rows of a dataset on the Hub, and what it means when it cannot be read."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from engine.data.parquet_rows import plain_value
from engine.data.rows import ReadOptions, ReadReport, Row, snippet
from engine.errors import UserError
from engine.machine.packages import install_command


def hub_rows(name: str, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Rows of a Hub dataset through the datasets library, streamed. No code of the dataset is run.

    Raises UserError: it is not there, asks for an agreement, has no such split, config or revision, is made by code, or
    the Hub cannot be reached.
    """
    datasets = _library(name)
    split = options.split or "train"
    report.note(
        f"The rows are the split {snippet(split, 40)} of the Hub dataset {snippet(name, 80)}, in the types it declares."
    )
    report.encoding = "hub"
    number = 0
    try:
        rows = datasets.load_dataset(
            name, options.config or None, split=split, revision=options.revision or None, streaming=True
        )
        for fields in rows:
            number += 1
            yield Row(number, {str(key): plain_value(value) for key, value in fields.items()}, 0, name)
    except UserError:
        raise
    except Exception as error:  # the library raises of every kind
        raise _Fault(name, options, error).told() from None
    if number == 0:
        raise UserError(f"The split {split} of {name} has no rows.", name, "Choose another split.")


def _library(name: str) -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise UserError(
            f"{name} is a dataset on the Hub, and the package that reads it is not installed.", name,
            f"Install it with: {install_command('datasets')}, or give a file.",
        ) from None  # fmt: skip


_UNREACHABLE = {"ConnectionError", "ConnectError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectTimeout"}
_ABSENT = {"DatasetNotFoundError", "RepositoryNotFoundError", "FileNotFoundError"}
_ONE_OF = re.compile(r"(?:configs|Available(?: splits)?): (\[[^\]]*\])")


class _Fault:
    """What the library raised, and what lies behind it: `kinds` are the names of the exceptions, outermost first."""

    def __init__(self, name: str, options: ReadOptions, error: BaseException) -> None:
        self.name, self.options = name, options
        self.split = snippet(options.split or "train", 40)
        chain: list[BaseException] = []
        at: BaseException | None = error
        while at is not None and at not in chain:
            chain.append(at)
            at = at.__cause__ or at.__context__
        self.kinds = [type(one).__name__ for one in chain]
        self.text = str(error)
        statuses = (getattr(getattr(one, "response", None), "status_code", 0) for one in chain)
        self.status = next((int(status) for status in statuses if status), 0)
        listed = _ONE_OF.search(self.text)
        self.offered = snippet(listed[1].strip("[]").replace("'", ""), 200) if listed else ""

    def told(self) -> UserError:
        """The fault in words: the first rule that holds."""
        for holds, words in _RULES:
            if holds(self):
                what, fix = words(self)
                return UserError(what, self.name, fix)
        first = snippet(self.text.splitlines()[0] if self.text else "", 200)
        what = f"{self.name} could not be read: {self.kinds[0]}: {first}"
        return UserError(what, self.name, "Download one of its files and give that.")

    def among(self, *kinds: str) -> bool:
        """Whether one of these exceptions lies behind it."""
        return bool(set(kinds) & set(self.kinds))


_Words = Callable[[_Fault], tuple[str, str]]
_RULES: tuple[tuple[Callable[[_Fault], bool], _Words], ...] = (
    (lambda it: it.among("GatedRepoError") or "gated" in it.text.lower(),
     lambda it: (f"{it.name} asks for an agreement before it may be read.",
                 f"Accept it at https://huggingface.co/datasets/{it.name}, then run `hf auth login`.")),
    (lambda it: "scripts are no longer supported" in it.text,
     lambda it: (f"{it.name} is made by a program of its own, and no code of a dataset is run.",
                 "Most such datasets have a copy in Parquet: set data.revision to refs/convert/parquet.")),
    (lambda it: it.among("EmptyDatasetError", "DataFilesNotFoundError"),
     lambda it: (f"{it.name} holds no files of rows.", "Choose another dataset, or give a file.")),
    (lambda it: it.among("RevisionNotFoundError"),
     lambda it: (f"{it.name} has no revision {snippet(it.options.revision, 40)}.",
                 "Set data.revision to one of its branches, tags or commits.")),
    (lambda it: "Config name is missing" in it.text,
     lambda it: (f"{it.name} has several configurations: {it.offered}.", "Set data.config to one of them.")),
    (lambda it: "BuilderConfig" in it.text,
     lambda it: (f"{it.name} has no configuration {snippet(it.options.config, 40)}; it has: {it.offered}.",
                 "Set data.config to one of them.")),
    (lambda it: "split" in it.text.lower(),
     lambda it: (f"{it.name} has no split {it.split}; it has: {it.offered or 'others'}.",
                 "Set data.split to one of them.")),
    (lambda it: it.status >= 500,
     lambda it: (f"The Hub answered with a fault of its own ({it.status}), so {it.name} cannot be read.",
                 "Try again later, or give a file.")),
    (lambda it: it.among(*_UNREACHABLE) and it.status == 0,
     lambda it: (f"The Hub cannot be reached, so {it.name} cannot be read.",
                 "Check the connection, or give a file.")),
    (lambda it: it.among(*_ABSENT),
     lambda it: (f"There is no dataset {it.name} on the Hub, and no such file here.",
                 "Check the name; a private one needs `hf auth login`. Or give the path of a file.")),
)  # fmt: skip
