"""From flags to a started run: the recipe, the checks before anything is created, what is said. No engine starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.recipe import Recipe
from engine.runs.store import Run
from tui import cli


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose engine would have been started."""
    found: list[Run] = []
    monkeypatch.setattr("tui.verbs.train.launch", lambda run, **_: found.append(run) or 4242)
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ())
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def flags(demo_model: Path, demo_data: Path, root: Path) -> list[str]:
    return ["--model", str(demo_model), "--data", str(demo_data), "--runs", str(root)]


def test_a_run_is_made_and_started_and_named(
    launched: list[Run], flags: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *flags, "--name", "first", "--method", "lora", "--set", "training.epochs=2",
                     "--set", "method.target_modules=q_proj,v_proj"]) == 0  # fmt: skip
    assert [run.path for run in launched] == [root / "first"]
    recipe = launched[0].recipe()
    assert recipe.method.name == "lora" and recipe.training.epochs == 2.0
    assert recipe.method.target_modules == ["q_proj", "v_proj"]
    assert recipe.answers["training.epochs"].source == "you"
    assert recipe.answers["training.learning_rate"].source == "recommended"
    out = capsys.readouterr().out
    assert "first is training" in out and f"tunewright attach {root / 'first'}" in out


def test_rehearse_only_starts_the_rehearsal_and_nothing_else(
    launched: list[Run], flags: list[str], root: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rehearsed: list[Run] = []
    monkeypatch.setattr("tui.verbs.train.launch_rehearsal", lambda run: rehearsed.append(run) or 4242)
    assert cli.main(["train", *flags, "--name", "first", "--rehearse-only"]) == 0
    assert [run.path for run in rehearsed] == [root / "first"] and launched == []
    assert "first is rehearsing" in capsys.readouterr().out


def test_json_is_one_document(launched: list[Run], flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *flags, "--json", "--no-input"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"name": launched[0].name, "path": str(launched[0].path), "pid": 4242}


def test_a_recipe_file_runs_as_it_is_written_but_for_the_flags(
    launched: list[Run], flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.toml"
    assert cli.main(["new", *flags, "--method", "qlora", "--set", "training.seed=7", "--out", str(path)]) == 0
    assert not launched
    written = Recipe.load(path)
    assert cli.main(["train", str(path), "--name", "again", "--set", "training.epochs=1"]) == 0
    recipe = launched[0].recipe()
    assert recipe.training.seed == 7 and recipe.method.name == "qlora"
    assert recipe.training.epochs == 1.0 and written.training.epochs != 1.0
    same = [key for key in written.answers if key not in ("training.epochs", "run.name", "run.directory")]
    assert {key: recipe.answers[key] for key in same} == {key: written.answers[key] for key in same}


def test_new_writes_over_nothing_without_force(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("mine")
    assert cli.main(["new", *flags, "--out", str(path)]) == 2
    assert path.read_text() == "mine" and "exists already" in capsys.readouterr().err
    assert cli.main(["new", *flags, "--out", str(path), "--force", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["answers"]["model.source"]["source"] == "you"
    assert Recipe.load(path).model.source == flags[1]
    assert cli.main(["new", *flags, "--out", str(tmp_path), "--force"]) == 2
    assert "cannot be written: Is a directory" in capsys.readouterr().err
    assert not list(tmp_path.parent.glob(".*.tmp")), "nothing is left beside it"


def test_new_prints_the_recipe_that_it_would_write(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", *flags, "--out", "-"]) == 0
    (tmp_path / "printed.toml").write_text(capsys.readouterr().out)
    assert Recipe.load(tmp_path / "printed.toml").model.source == flags[1]
    assert cli.main(["new", *flags, "--out", "-", "--json"]) == 0
    assert "model.source" in json.loads(capsys.readouterr().out)["answers"]
    assert not (tmp_path / "-").exists()


def test_the_goal_is_told_from_the_data(flags: list[str], tmp_path: Path) -> None:
    from tui.verbs.making import answers_of, look_up

    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"text {n}", "label": "ab"[n % 2]}) + "\n" for n in range(30)))
    words = ["plan", "--model", flags[1], "--data", str(rows)]
    arguments = cli.build_parser().parse_args(words)
    answers = answers_of(arguments)
    look_up(answers)
    assert answers.values["goal"].value == "classification" and answers.values["goal"].source == "detected"


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["plan", "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_plan_is_the_documented_document(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    document = plan(capsys, *flags)
    assert {"machine", "model", "recommended", "reason", "methods"} <= document.keys()
    assert document["model"]["parameters"] > 1_000_000
    assert {method["name"] for method in document["methods"]} == {"full", "lora", "qlora"}
    for method in document["methods"]:
        wanted = {"name", "fits", "reason", "settings", "memory", "host_memory_bytes", "disk_bytes", "seconds"}
        assert wanted <= method.keys()
        memory = method["memory"]
        assert memory["kind"] in {"estimate", "simulation", "rehearsal"}
        assert sum(memory["parts"].values()) == pytest.approx(memory["total_bytes"])


def test_plan_for_another_machine(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    here, there = plan(capsys, *flags, "--vram", "0"), plan(capsys, *flags, "--vram", "24", "--ram", "64")
    assert here["machine"]["gpus"] == []
    assert there["machine"]["gpus"][0]["total_bytes"] == 24 * 1024**3
    assert there["machine"]["host"]["ram_total_bytes"] == 64 * 1024**3


def test_plan_as_text_gives_the_reasons(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", *flags, "--method", "qlora", "--set", "training.epochs=9"]) == 0
    out = capsys.readouterr().out
    assert "Recommended: QLoRA" in out or "QLoRA" in out
    line = next(line for line in out.splitlines() if line.strip().startswith("training.epochs"))
    assert line.split()[1:] == ["9", "you:", "given", "as", "--set"]


def test_set_of_the_same_key_twice_takes_the_last(
    launched: list[Run], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *flags, "--set", "training.seed=1", "--set", "training.seed=2"]) == 0
    assert launched[0].recipe().training.seed == 2


def bad(tmp_path: Path, demo_model: Path, demo_data: Path) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """Bad input -> (words, what must be said: the thing, the place, the remedy)."""
    rows = tmp_path / "broken.jsonl"
    sound = "".join(json.dumps({"prompt": f"q{n}", "completion": "a"}) + "\n" for n in range(36))
    rows.write_text(sound + '{"prompt": "x", \n')
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((demo_model / name).read_bytes())
    odd = odd_rows(tmp_path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[model]\nsource = "m"\n[training]\nlearning_rat = 1e-4\n')
    model, data = ["--model", str(demo_model)], ["--data", str(demo_data)]
    return {
        "missing data": ([*model, "--data", str(tmp_path / "absent.jsonl")], ("absent.jsonl",)),
        "missing model": (["--model", str(tmp_path / "absent"), *data], ("absent",)),
        "missing recipe": ([str(tmp_path / "absent.toml")], ("absent.toml", "tunewright new")),
        "broken row": ([*model, "--data", str(rows)], ("broken.jsonl:37",)),
        "no tokenizer": (["--model", str(bare), *data], ("tokenizer", "bare")),
        "unknown key in a recipe": ([str(recipe)], ("learning_rat", "recipe.toml:4", "training.learning_rate")),
        "unknown key in --set": ([*model, *data, "--set", "training.learning_rat=1"], ("training.learning_rate",)),
        "wrong value in --set": ([*model, *data, "--set", "training.epochs=many"], ("training.epochs", "number")),
        "--set without a value": ([*model, *data, "--set", "training.epochs"], ("key=value",)),
        "bad name": ([*model, *data, "--name", "../up"], ("../up", "small letters")),
        "unusable columns": ([*model, "--data", str(odd)], ("No known format", "--set data.map.prompt=")),
        "text that is not there": ([*model, *data, "--set", "evaluation.general=absent.txt"], ("absent.txt",)),
        "GPUs of no size": ([*model, *data, "--gpus", "2"], ("--gpus", "--vram 24 --gpus 2")),
        "a place to meet alone": ([*model, *data, "--rendezvous", "a:1"], ("--rendezvous", "--nodes 2")),
        "a file as model": (["--model", str(rows), *data], ("This is a file", "Hugging Face Hub")),
        "an empty model": (["--model", "", *data], ("No model is given", "--model", "Type a folder or a Hub name.")),
        "no model": ([*data], ("--model",)),
        "nothing": ([], ("--model", "--data")),
    }


CASES = ("unusable columns", "text that is not there", "GPUs of no size", "a place to meet alone",
         "a file as model", "an empty model",
         "missing data", "missing model", "missing recipe", "broken row", "no tokenizer", "unknown key in a recipe",
         "unknown key in --set", "wrong value in --set", "--set without a value", "bad name", "no model",
         "nothing")  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_says_what_where_and_how_to_mend_it(
    case: str, tmp_path: Path, demo_model: Path, demo_data: Path, root: Path, launched: list[Run],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words, expected = bad(tmp_path, demo_model, demo_data)[case]
    assert cli.main(["train", *words, "--runs", str(root), "--no-input"]) == 2
    caught = capsys.readouterr()
    assert caught.out == "" and "Traceback" not in caught.err
    what, *more = caught.err.splitlines()
    assert "." in what and any(line.startswith("  where: ") for line in more)
    assert any(line.startswith("  mend:  ") and len(line) > 12 for line in more)
    assert all(text in caught.err for text in expected), caught.err
    assert not launched and not root.exists(), "nothing is created before everything is checked"


def test_a_full_disk_is_said_before_anything_is_created(
    flags: list[str], root: Path, launched: list[Run], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real = os.statvfs

    def small(path: Any) -> os.statvfs_result:
        found = list(real(path))
        found[2], found[3], found[4] = 1_000_000, 100, 100  # blocks, free blocks, free for users
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", small)
    assert cli.main(["train", *flags, "--no-input"]) == 2
    said = capsys.readouterr().err
    assert "not enough room" in said and str(root) in said and "--runs" in said
    assert not launched and not root.exists()


def test_a_name_that_is_taken_is_refused(
    launched: list[Run], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *flags, "--name", "one"]) == 0
    assert cli.main(["train", *flags, "--name", "one"]) == 2
    assert "already a run called one" in capsys.readouterr().err
    assert len(launched) == 1


def test_a_plan_needs_no_more_than_a_config(
    demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_bytes((demo_model / "config.json").read_bytes())
    assert cli.main(["plan", "--model", str(tmp_path), "--vram", "24", "--json"]) == 0
    caught = capsys.readouterr()
    assert json.loads(caught.out)["model"]["parameters"] > 1_000_000
    assert "training needs the rest" in caught.err


@pytest.mark.parametrize("changes, words", [
    ({"quantization_config": {"quant_method": "fp8"}}, "quantized"),
    ({"architectures": ["BertModel"], "model_type": "bert"}, "not a model that writes text"),
])  # fmt: skip
def test_a_config_that_cannot_be_trained_is_not_planned(
    changes: dict[str, Any], words: str, demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {**json.loads((demo_model / "config.json").read_text()), **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert cli.main(["plan", "--model", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_data_shows_rows_as_the_model_sees_them(
    demo_model: Path, demo_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", str(demo_data), "--model", str(demo_model), "--rows", "1"]) == 0
    out = capsys.readouterr().out
    rows = len(demo_data.read_text().splitlines())
    assert out.count("--- row") == 1 and '"customer": ' in out and out.startswith(f"{rows} rows")
    assert cli.main(["data", str(demo_data), "--rows", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == rows and len(document["previews"]) == 2


def test_data_that_cannot_be_trained_on_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", str(odd_rows(tmp_path))]) == 1
    out = capsys.readouterr().out
    assert "!! " in out and "odd.jsonl" in out and "--set data.map.prompt=" in out


def odd_rows(folder: Path) -> Path:
    """Rows of which nobody can tell what is asked and what is answered."""
    path = folder / "odd.jsonl"
    rows = ({"alpha": f"word {n}", "The beta": f"other {n}", "gamma": n} for n in range(20))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_are_named_one_by_one(
    launched: list[Run], tmp_path: Path, demo_model: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--set", "data.map.prompt=alpha", "--set", "data.map.completion=The beta"]
    assert cli.main(["data", str(odd_rows(tmp_path)), *columns, "--rows", "1"]) == 0
    assert "user: word 0\nassistant: other 0" in capsys.readouterr().out
    assert cli.main(["train", "--model", str(demo_model), "--data", str(tmp_path / "odd.jsonl"), *columns,
                     "--runs", str(root)]) == 0  # fmt: skip
    assert launched[0].recipe().data.map == {"prompt": "alpha", "completion": "The beta"}


def test_a_plan_for_unusable_data_says_so(tmp_path: Path, demo_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--model", str(demo_model), "--data", str(odd_rows(tmp_path))]) == 0
    caught = capsys.readouterr()
    assert "Recommended" in caught.out and "cannot be trained on as it is. No known format" in caught.err
