"""Shapes that a file does not name: lines that begin with a class, and columns whose kind of value changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import load_dataset
from engine.data.inspect import inspect_data
from engine.data.labelled_lines import labels_of, split_label
from engine.data.rows import ReadOptions
from engine.errors import UserError

Make = Callable[..., Path]


def findings(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [finding for finding in document["findings"] if finding["kind"] == kind]


@pytest.mark.parametrize("style", ["{} the text {}", "__label__{} text {}", "{}:fine text {}", "{}\ttext {}"])
def test_lines_that_begin_with_a_class_are_pointed_out_and_not_assumed(make_file: Make, style: str) -> None:
    lines = [style.format("spam" if n % 3 else "ham", n) for n in range(120)]
    path = str(make_file("a.txt", "\n".join(lines)))
    document = inspect_data({"source": path})
    (finding,) = findings(document, "labelled lines")
    assert document["format"] == "text" and finding["severity"] == "warn"
    assert finding["remedy"] == {"data.format": "classification"}
    mended = inspect_data({"source": path, "format": "classification"})
    assert mended["format"] == "classification" and sorted(mended["labels"].values()) == [40, 80]
    question, answer = mended["previews"][1]["turns"]
    assert answer["content"] + lines[1][len(answer["content"])] + question["content"] == lines[1], "nothing is lost"


def test_running_text_and_tables_are_not_taken_for_classes(shared: Path) -> None:
    for name in ("rawtext/wiki_demo.txt", "nasty/csvkit/event-notification-rpt.txt"):
        assert not findings(inspect_data({"source": str(shared / "data/datasets" / name)}), "labelled lines")
    words = [f"{first} word {n}" for n in range(10) for first in ("The", "A", "In", "On", "It", "He", "We", "So")]
    assert labels_of(words[:40]) == {} and labels_of(["one"] * 50) == {} and labels_of([]) == {}
    assert split_label(" a b") == split_label("word") == split_label("x" * 31 + " y") == ("", "")


def test_real_labelled_files(shared: Path) -> None:
    folder = shared / "data/datasets/classification"
    for name, encoding, labels in (("trec_train.txt", "latin-1", 50), ("movie_reviews_MR.txt", "cp1252", 2)):
        source = str(folder / name)
        document = inspect_data({"source": source, "encoding": encoding})
        (finding,) = findings(document, "labelled lines")
        assert finding["count"] == document["rows"]
        read = load_dataset(source, "classification", options=ReadOptions(encoding=encoding))
        assert len(read.labels) == labels and read.usable == document["rows"] and not read.skipped


def test_plain_lines_cannot_be_read_as_classes(make_file: Make) -> None:
    path = make_file("a.txt", "\n".join(f"word{n} and more" for n in range(60)))
    with pytest.raises(UserError, match="needs a column for label"):
        inspect_data({"source": str(path), "format": "classification"})


@pytest.mark.parametrize(
    ("late", "kind"),
    [({"a": 1}, "objects"), (["a"], "lists"), (7, "numbers"), (1.5, "numbers"), (True, "true or false")],
)
def test_a_column_that_changes_late_is_a_finding_of_its_own(make_file: Make, late: object, kind: str) -> None:
    rows: list[Any] = [{"prompt": f"q{n}", "completion": f"a{n}", "id": n} for n in range(3000)]
    for place in (2500, 2600):
        rows[place]["completion"] = late
    rows[2700]["completion"] = None
    rows[2800]["id"] = "x"
    document = inspect_data({"source": str(make_file("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))})
    used, unused = findings(document, "type changes")
    assert (used["severity"], used["count"], used["where"].rsplit(":", 1)[1]) == ("warn", 2, "2501")
    assert f'"completion" begins with text and holds {kind} from here on' in used["what"]
    assert (unused["severity"], unused["where"].rsplit(":", 1)[1]) == ("note", "2801")


def test_steady_columns_are_no_finding(make_rows: Make) -> None:
    rows = [{"prompt": f"q{n}", "completion": {"n": n} if n % 2 else None} for n in range(200)]
    assert not findings(inspect_data({"source": str(make_rows(rows))}), "type changes")
