"""A recipe in the form of another program, read back by our own reading of that form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engine.answer import Answer
from engine.errors import UserError
from engine.exchange.reading import read_foreign
from engine.exchange.writing import WRITERS, write_foreign
from engine.recipe import Recipe
from engine.recipe_keys import Value

GIVEN: dict[str, Value] = {
    "model.source": "owner/base", "data.source": "owner/rows", "data.format": "instruction", "method.name": "qlora",
    "method.rank": 8, "method.alpha": 24, "training.learning_rate": 1e-4, "training.epochs": 2.0,
    "training.micro_batch_size": 2, "training.gradient_accumulation_steps": 4, "training.sequence_length": 512,
    "training.scheduler": "constant", "training.optimizer": "adamw_8bit", "training.weight_decay": 0.1,
    "training.warmup_ratio": 0.1, "evaluation.held_out_rows": 40, "checkpoints.every_steps": 50,
    "training.precision": "bf16",
}  # fmt: skip


def recipe(**changes: Value) -> Recipe:
    given = {**GIVEN, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Recipe.from_answers({key: Answer(value, "you", "") for key, value in given.items()})


@pytest.mark.parametrize("program", list(WRITERS))
@pytest.mark.parametrize("method", ["qlora", "lora", "full"])
def test_what_was_written_is_read_back_the_same(tmp_path: Path, program: str, method: str) -> None:
    files, _ = write_foreign(recipe(method__name=method), program)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    carried = read_foreign(tmp_path / f"{program}.yaml")
    found = {key: answer.value for key, answer in carried.answers.items()}
    expected = {**GIVEN, "method.name": method}
    if method == "full":
        expected = {key: value for key, value in expected.items() if key not in ("method.rank", "method.alpha")}
    if program == "llamafactory":
        expected.pop("data.format")  # which rows those are stands in dataset_info.json
    assert {key: found.get(key) for key in expected} == expected
    assert carried.whole, carried.left


def test_what_the_other_program_cannot_be_told_is_named_in_the_file() -> None:
    changed = {"method__train_embeddings": True, "training__activation_offloading": True, "data__format": "kto"}
    files, left = write_foreign(recipe(**changed), "axolotl")
    assert set(left) == {"data.format", "method.train_embeddings", "training.activation_offloading"}
    assert all(f"# {key} could not be carried" in files["axolotl.yaml"] for key in left)
    assert yaml.safe_load(files["axolotl.yaml"])["base_model"] == "owner/base"


def test_llamafactory_gets_its_dataset_info() -> None:
    files, left = write_foreign(recipe(data__source="/data/rows.jsonl"), "llamafactory")
    info = json.loads(files["dataset_info.json"])["tunewright"]
    assert info == {"file_name": "/data/rows.jsonl", "formatting": "alpaca"}
    assert "data.template" in left


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(UserError, match="no way"):
        write_foreign(recipe(), "other")


@pytest.mark.parametrize("name, kind", [("rows.csv", "csv"), ("rows.parquet", "parquet"), ("rows.jsonl.gz", "json")])
def test_axolotl_is_told_what_kind_of_file_it_is(name: str, kind: str) -> None:
    files, _ = write_foreign(recipe(data__source=f"/data/{name}"), "axolotl")
    assert yaml.safe_load(files["axolotl.yaml"])["datasets"][0]["ds_type"] == kind


def test_rows_that_nobody_looked_at_are_no_conversations() -> None:
    _, left = write_foreign(recipe(data__format="auto"), "axolotl")
    assert "nobody said" in left["data.format"]


def test_columns_have_the_names_of_dataset_info(tmp_path: Path) -> None:
    columns: dict[str, Value] = {"data__source": "/data/rows.csv", "data__format": "prompt_completion"}
    for mapped, expected in (
        ({}, {"prompt": "prompt", "response": "completion"}),
        ({"prompt": "Q", "completion": "A"}, {"prompt": "Q", "response": "A"}),
    ):
        files, left = write_foreign(recipe(**columns, data__map=mapped), "llamafactory")
        info = json.loads(files["dataset_info.json"])["tunewright"]
        assert info["columns"] == expected and not {"data.map", "data.format"} & set(left)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert read_foreign(tmp_path / "llamafactory.yaml").answers["data.map"].value == {"prompt": "Q", "completion": "A"}
