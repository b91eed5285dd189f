"""Measuring real models, and taking a run away as a script."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from engine.use import export as export_module  # noqa: E402
from engine.use.chat import Chat, ask  # noqa: E402
from engine.use.evaluate import evaluate_run  # noqa: E402
from engine.use.export import export_run  # noqa: E402
from engine.use.finished import open_result  # noqa: E402
from engine.use.held_out import held_out_losses  # noqa: E402
from engine.use.load import load_model  # noqa: E402
from tests.conftest import PROJECT  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def test_evaluation_of_json_answers_is_stored_with_the_run(make_run: Any) -> None:
    run = make_run("lora")
    said: list[dict[str, Any]] = []
    document = evaluate_run(run.path, said.append)
    assert json.loads((run.path / "evaluation.json").read_text()) == document
    assert (document["task"], document["rows"], document["answered_rows"]) == ("json", 6, 6)
    base, tuned = document["sides"]["base"], document["sides"]["tuned"]
    assert base["loss"] != tuned["loss"] and base["perplexity"] == pytest.approx(2.718281828 ** base["loss"], rel=1e-6)
    assert tuned["valid"]["count"] == 6 and len(tuned["examples"]) == 6
    assert any(message["progress"].get("done") == 6 for message in said)
    assert document["answers_as_before"] == ""
    assert document["differences"]["loss"]["value"] == pytest.approx(tuned["loss"] - base["loss"], rel=1e-4)
    assert len(document["sentences"]) == 3


def test_evaluation_without_held_out_rows_says_why_not(make_run: Any) -> None:
    with pytest.raises(UserError, match="No rows were held out"):
        evaluate_run(make_run("lora", evaluation__held_out_rows=0).path, quiet)


def test_batched_greedy_answers_equal_single_ones(make_run: Any) -> None:
    from engine.use.generate import answer_greedily

    chat = Chat(make_run("lora").path, device="cpu")
    texts = ["a", "a small red cat", "two three", "a large blue house and a dog"]
    ids = [chat.prompts.ids([("user", text)]) for text in texts]
    with chat.pair.switched("tuned") as model:
        batched = dict(answer_greedily(model, ids, chat.prompts.stop_ids, chat.prompts.pad_id, 12))
    for index, text in enumerate(texts):
        alone = ask(chat, {"prompt": text, "which": "tuned", "max_tokens": 12}, lambda side, text: None)["tuned"]
        assert chat.prompts.decode(batched[index]) == alone


def test_held_out_loss_counts_every_token_once(make_run: Any) -> None:
    from types import SimpleNamespace

    model = load_model(open_result(make_run("lora").path).base, "cpu")
    rows = [SimpleNamespace(input_ids=list(range(5, 5 + n)), labels=[-100, *range(6, 5 + n)]) for n in (3, 9, 30)]
    together = held_out_losses(model, rows, 0)
    single = [held_out_losses(model, [row], 0) for row in rows]
    assert together.tokens == (2, 8, 29)
    assert together.sums == pytest.approx([alone.sums[0] for alone in single], rel=1e-4)
    assert together.mean == pytest.approx(sum(together.sums) / 39)


def test_a_run_that_learned_nothing_is_recognised(make_run: Any) -> None:
    run = make_run("lora")
    path = run.result_dir / "adapter" / "adapter_model.safetensors"
    weights = {name: tensor * ("lora_A" in name) for name, tensor in load_file(path).items()}
    save_file(weights, path)
    document = evaluate_run(run.path, quiet)
    assert "still zero" in document["answers_as_before"]
    assert document["differences"]["loss"]["value"] == 0 and not document["differences"]["loss"]["sure"]


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_the_script_has_the_same_rows_and_no_value_becomes_code(make_run: Any, method: str) -> None:
    run = make_run(method, model__revision='x"); import os; ("', training__packing=method == "full")
    reply = export_run(run.path, "script", None, quiet)
    out = Path(reply["out"])
    text = (out / "train.py").read_text()
    assigned = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    assert assigned["REVISION"] == 'x"); import os; ("' and assigned["METHOD"] == method
    assert (reply["rows"], reply["held_out"], reply["rows_as_ids"]) == (14, 6, 0)
    first = json.loads((out / "rows.jsonl").read_text().splitlines()[0])
    ((start, end),) = first["learned"]
    learned = first["text"][start:end]
    assert learned.startswith('{"size"') and learned.rstrip().endswith("<|im_end|>")
    assert "torch==" in (out / "requirements.txt").read_text()
    assert "hold your data" in reply["notes"][0]


@pytest.mark.long
@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_the_script_gives_the_same_losses(make_run: Any, method: str) -> None:
    run = make_run(method, training__max_steps=4, training__gradient_accumulation_steps=2, training__epochs=9.0)
    shutil.rmtree(run.result_dir)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    subprocess.run([sys.executable, "-m", "engine", "train", str(run.path)], env=environment, check=True, cwd=PROJECT)
    out = Path(export_run(run.path, "script", None, quiet)["out"])
    del environment["PYTHONPATH"]
    subprocess.run([sys.executable, str(out / "train.py")], env=environment, check=True, cwd=out, capture_output=True)
    events = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    ours = [event["loss"] for event in events if event["type"] == "step"]
    theirs = [entry["loss"] for entry in json.loads((out / "output" / "losses.json").read_text()) if "loss" in entry]
    # the same rows in every step, but added up in another order: training sorts a step's rows by length
    assert len(ours) == 4 and theirs == pytest.approx(ours, rel=1e-5)


def test_support_is_said_before_training(tiny_model: Path) -> None:
    reply = export_module.job({"to": "support", "model": str(tiny_model)}, quiet, iter(()))
    assert (reply["architecture"], reply["gguf"], reply["ollama_reads_directory"]) == ("LlamaForCausalLM", True, False)
    with pytest.raises(UserError, match="no export called"):
        export_module.job({"to": "zip"}, quiet, iter(()))
