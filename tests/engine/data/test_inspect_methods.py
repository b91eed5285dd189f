"""What the inspection counts where answers are compared and where several sources are mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.data.inspect import inspect_data


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_longer_answer_of_a_pair_decides_its_length(demo_model: Path, tmp_path: Path) -> None:
    short, long = "yes", "no, it is not at all like that " * 10
    pairs = [{"prompt": f"is {n} odd?", "chosen": short, "rejected": long} for n in range(30)]
    turned = [{"prompt": f"is {n} odd?", "chosen": long, "rejected": short} for n in range(30)]
    found = [inspect_data({"source": str(write(tmp_path / f"{name}.jsonl", rows)), "model": str(demo_model)})
             for name, rows in (("pairs", pairs), ("turned", turned))]  # fmt: skip
    assert found[0]["format"] == "preference"
    assert found[0]["summary"]["longest"] == found[1]["summary"]["longest"] > 60
    assert found[0]["summary"]["trained_tokens"] == found[1]["summary"]["trained_tokens"]


def test_bad_answers_count_where_they_are_learned_from(demo_model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": f"is {n} odd?", "completion": f"answer {n}", "label": n % 3 == 0} for n in range(60)
    ]
    source = {"source": str(write(tmp_path / "judged.jsonl", rows)), "model": str(demo_model)}
    assert inspect_data(source)["summary"]["rows"] == 60
    assert inspect_data({**source, "objective": "sft"})["summary"]["rows"] == 20


def test_more_sources_count_by_their_weights(demo_model: Path, tmp_path: Path) -> None:
    main = [{"prompt": f"is {n} odd?", "completion": "yes"} for n in range(40)]
    more = [{"prompt": f"tell of {n}", "completion": "a long story " * 30} for n in range(20)]
    other = write(tmp_path / "more.jsonl", more)
    source = {"source": str(write(tmp_path / "main.jsonl", main)), "model": str(demo_model)}
    alone = inspect_data(source)["summary"]
    mixed = inspect_data({**source, "more": [f"{other} * 2"]})
    assert (alone["rows"], mixed["summary"]["rows"]) == (40, 80)
    assert mixed["summary"]["longest"] > alone["longest"]
    assert any("used 2 times" in note for note in mixed["notes"])
