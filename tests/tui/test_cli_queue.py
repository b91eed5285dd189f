"""`tunewright queue`: sweeps, and a real one with the demo model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.answer import Answer
from engine.errors import UserError
from engine.places import runs_root
from engine.recipe import Recipe
from engine.runs.queue import make_queue, open_queue
from tui import cli
from tui.verbs.sweep import expand, name_of, parse_sweep


def recipe(model: Path | str = "m", data: Path | str = "d", **changes: object) -> Recipe:
    values = {"model.source": str(model), "data.source": str(data), "run.name": "orders",
              **{key.replace("__", "."): value for key, value in changes.items()}}  # fmt: skip
    return Recipe.from_answers({key: Answer(value, "you", "") for key, value in values.items()})  # type: ignore[arg-type]


def test_a_sweep_makes_every_combination() -> None:
    sweeps = [parse_sweep("training.learning_rate=1e-4, 2e-4"), parse_sweep("method.rank=8,16")]
    made = list(expand(recipe(), sweeps))
    assert [changed for _, changed in made][:2] == [
        {"training.learning_rate": "0.0001", "method.rank": "8"},
        {"training.learning_rate": "0.0001", "method.rank": "16"},
    ]  # fmt: skip
    assert [(one.training.learning_rate, one.method.rank) for one, _ in made][2:] == [(2e-4, 8), (2e-4, 16)]
    assert name_of("orders", made[0][1]) == "orders-learning_rate-0.0001-rank-8"


@pytest.mark.parametrize(
    "text", ["method.rank=8,8", "method.rank", "method.rank=", "method.rank=8", "no.key=1,2", "method.rank=8,x"]
)
def test_what_is_no_sweep_is_said(text: str) -> None:
    with pytest.raises(UserError):
        parse_sweep(text)


def test_too_many_runs_are_refused() -> None:
    with pytest.raises(UserError, match="makes 400 runs"):
        list(expand(recipe(), [("training.seed", list(range(20))), ("method.rank", list(range(1, 21)))]))


@pytest.mark.parametrize("words, said", [
    (["RECIPE", "--name", "taken"], "already a queue called taken"), (["RECIPE", "--name", "A b"], "name of a queue"),
    (["--sweep", "method.rank=8,16"], "--sweep needs a recipe"), (["--per-gpu"], "--per-gpu needs a recipe"),
    (["RECIPE"], "There is no file absent.jsonl"),
    (["RECIPE", "--show", "taken"], "about a queue that exists"), (["--stop", "a", "--go-on", "b"], "a queue that"),
])  # fmt: skip
def test_a_queue_that_cannot_be_made_leaves_no_runs_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.setattr("engine.machine.packages.missing_training_packages", lambda: ())
    make_queue([], [""], {}, "taken")
    path = tmp_path / "orders.toml"
    recipe(data=tmp_path / "absent.jsonl").save(path)
    assert cli.main(["queue", *(str(path) if word == "RECIPE" else word for word in words)]) == 2
    assert said in capsys.readouterr().err
    assert not runs_root().exists()


@pytest.mark.parametrize("flag, said", [("--stop", "nothing to stop"), ("--go-on", "nothing to go on with")])
def test_a_queue_that_has_ended_is_not_asked(flag: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    queue = make_queue([], [""], {}, "ended")
    assert cli.main(["queue", flag, "ended"]) == 0
    assert said in capsys.readouterr().out
    assert not queue.asked_to_stop and not queue.worked_on


def test_a_queue_is_worked_off_and_compared(
    tmp_path: Path, demo_model: Path, demo_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training packages are not installed")
    path = tmp_path / "orders.toml"
    small = {"training__max_steps": 2, "training__precision": "fp32", "evaluation__held_out_rows": 4,
             "evaluation__samples": 0, "training__sequence_length": 256}  # fmt: skip
    recipe(demo_model, demo_data, **small).save(path)
    words = ["queue", str(path), "--sweep", "training.learning_rate=1e-4,3e-3", "--name", "night", "--wait"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "orders-learning_rate-0.0001" in said and "best" in said and "0.003" in said
    assert cli.main(["queue", "--show", "night", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["queues"][0]["runs"]
    assert [row["state"] for row in rows] == ["finished", "finished"] and all(row["steps"] == 2 for row in rows)
    assert rows[0]["best_held_out_loss"] != rows[1]["best_held_out_loss"]
    assert not open_queue("night").worked_on and len(list(runs_root().iterdir())) == 2
    assert cli.main(["queue", "--stop", "none"]) == 2
