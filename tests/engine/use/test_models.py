"""Real models: talking, merging and exporting. One module, so that torch is imported once."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from tests.engine.use.fake_ollama import fake_ollama

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from engine.use import chat as chat_module  # noqa: E402
from engine.use import export as export_module  # noqa: E402
from engine.use.chat import Chat, ask, chat_once  # noqa: E402
from engine.use.evaluate import evaluate_run  # noqa: E402
from engine.use.export import export_run  # noqa: E402
from engine.use.finished import open_result  # noqa: E402
from engine.use.held_out import held_out_losses  # noqa: E402
from engine.use.load import Pair, load_model  # noqa: E402
from engine.use.merge import _refuse_unmergeable, compare, logits_of, probe_ids  # noqa: E402
from engine.use.ollama_template import render_as_ollama  # noqa: E402
from engine.use.prompts import Prompts  # noqa: E402
from engine.use.staging import MARK  # noqa: E402
from tests.conftest import PROJECT  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def trained_logits(run: Any, side: str = "tuned") -> tuple[list[Any], list[list[int]]]:
    result = open_result(run.path)
    ids = probe_ids(Prompts.of(result))
    with Pair(result, "cpu").switched(side) as model:
        return logits_of(model, ids), ids


def test_base_and_tuned_share_one_model_and_differ(make_run: Any) -> None:
    chat = Chat(make_run("lora").path, device="cpu")
    pieces: list[tuple[str, str]] = []
    reply = ask(chat, {"prompt": "a small red cat", "max_tokens": 12}, lambda side, text: pieces.append((side, text)))
    assert chat.describe()["one_model"]
    assert reply["base"] != reply["tuned"]
    for side in ("base", "tuned"):
        assert "".join(text for which, text in pieces if which == side) == reply[side]
        assert reply["tokens"][side] <= 12
    assert reply["finish"] == {"base": "length", "tuned": "length"}


def test_streamed_answers_equal_transformers_generate(make_run: Any) -> None:
    chat = Chat(make_run("lora").path, device="cpu")
    ids = torch.tensor([chat.prompts.ids([("user", "a large blue dog")])])
    reply = ask(chat, {"prompt": "a large blue dog", "max_tokens": 20}, lambda side, text: None)
    for side in ("base", "tuned"):
        with chat.pair.switched(side) as model:
            made = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
            )
        assert chat.prompts.decode(made[0, ids.shape[1] :].tolist()) == reply[side]


def test_sampling_follows_the_seed_and_top_p(make_run: Any) -> None:
    chat = Chat(make_run("lora").path, device="cpu")
    settings = {"prompt": "a cat", "which": "tuned", "max_tokens": 16, "temperature": 1.5}
    texts = [ask(chat, {**settings, "seed": seed}, lambda side, text: None)["tuned"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    greedy = ask(chat, {**settings, "temperature": 0}, lambda side, text: None)["tuned"]
    assert ask(chat, {**settings, "top_p": 0.0, "seed": 5}, lambda side, text: None)["tuned"] == greedy


def test_full_fine_tuning_loads_two_models(make_run: Any) -> None:
    run = make_run("full")
    replies = chat_once(run.path, ["a small cat"], max_tokens=8)
    assert replies[0]["base"] != replies[0]["tuned"]
    assert not Chat(run.path, device="cpu").describe()["one_model"]


def test_qlora_answers_from_a_base_in_four_bits(make_run: Any) -> None:
    chat = Chat(make_run("qlora").path, device="cpu")
    kinds = {type(module).__name__ for module in chat.pair.model("tuned").modules()}
    assert "Linear4bit" in kinds
    reply = ask(chat, {"prompt": "a small cat", "max_tokens": 8}, lambda side, text: None)
    assert reply["base"] != reply["tuned"]


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ({}, "nothing to answer"),
        ({"turns": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "nothing to answer"),
        ({"turns": [{"role": "user"}]}, "role and a content"),
        ({"prompt": "a", "which": "left"}, "which is"),
        ({"prompt": "a", "temperature": -1}, "temperature is"),
        ({"prompt": "a", "top_p": "high"}, "top_p is"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens is"),
        ({"prompt": "a " * 600}, "model takes 512"),
    ],
)
def test_questions_that_cannot_be_answered(make_run: Any, request_: dict[str, Any], what: str) -> None:
    chat = Chat(make_run("lora").path, device="cpu")
    with pytest.raises(UserError, match=what):
        ask(chat, request_, lambda side, text: None)


def test_the_chat_job_streams_stops_and_goes_on(make_run: Any) -> None:
    said: list[dict[str, Any]] = []
    lines: list[Any] = [
        {"prompt": "a cat", "max_tokens": 10_000, "id": 1},
        {"prompt": "a", "which": "none"},
        {"prompt": "a dog", "max_tokens": 3, "which": "tuned"},
    ]

    def requests() -> Iterator[dict[str, Any]]:
        yield lines[0]
        while not any("token" in message for message in said):
            time.sleep(0.005)
        yield {"stop": True}
        while not any("reply" in message for message in said):
            time.sleep(0.005)
        yield from lines[1:]
        while sum("reply" in message for message in said) < 2:
            time.sleep(0.005)

    run = make_run("lora", training__sequence_length=512)
    ended = chat_module.job({"run": str(run.path)}, said.append, requests())
    kinds = [next(iter(message)) for message in said]
    replies = [message["reply"] for message in said if "reply" in message]
    assert ended == {"answered": 2}
    assert kinds[:2] == ["progress", "ready"]
    assert replies[0]["id"] == 1 and set(replies[0]["finish"].values()) == {"stopped"}
    assert replies[0]["tokens"]["base"] < 400
    assert list(replies[1]["finish"]) == ["tuned"]
    assert [message["error"]["where"] for message in said if "error" in message] == ["which"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_merged_lora_equals_its_adapter(make_run: Any, dtype: str) -> None:
    run = make_run("lora")
    reply = export_run(run.path, "merged", None, quiet, dtype=dtype)
    trained, ids = trained_logits(run)
    merged = load_model(Path(reply["out"]), "cpu")
    difference = compare(trained, logits_of(merged, ids)).largest_difference
    assert merged.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    assert difference == pytest.approx(reply["agreement"]["largest_difference"], rel=0.2, abs=1e-6)
    assert difference < {"fp32": 1e-4, "bf16": 0.2}[dtype]
    assert difference * 10 < compare(trained, trained_logits(run, "base")[0]).largest_difference


def test_a_merged_qlora_goes_into_the_base_it_was_trained_on(make_run: Any) -> None:
    run = make_run("qlora")
    into = {
        kind: export_run(run.path, "merged", run.path / kind, quiet, into=kind, dtype="fp32")
        for kind in ("trained", "original")
    }
    differences = {kind: reply["agreement"]["largest_difference"] for kind, reply in into.items()}
    assert differences["trained"] * 15 < differences["original"]
    config = json.loads((run.path / "trained" / "config.json").read_text())
    assert "quantization_config" not in config


def test_full_is_copied(make_run: Any) -> None:
    reply = export_run(make_run("full").path, "merged", None, quiet, dtype="fp32")
    assert reply["agreement"]["largest_difference"] == 0


def test_the_merged_directory_is_complete_for_other_programs(make_run: Any) -> None:
    from transformers import AutoTokenizer

    out = Path(export_run(make_run("lora").path, "merged", None, quiet)["out"])
    config = json.loads((out / "config.json").read_text())
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (500000.0, "bfloat16")
    assert "_name_or_path" not in config
    assert settings["chat_template"] == (out / "chat_template.jinja").read_text()
    assert (
        AutoTokenizer.from_pretrained(out)
        .apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
        .startswith("<|im_start|>user")
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o644}
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


def test_ollama_files(make_run: Any) -> None:
    run = make_run("lora")
    reply = export_module.job({"run": str(run.path), "to": "ollama", "system": "Answer in JSON."}, quiet, iter(()))
    text = (Path(reply["out"]) / "Modelfile").read_text()
    lines = text.splitlines()
    assert "FROM ." in lines and "PARAMETER num_ctx 512" in lines
    assert 'PARAMETER stop "<|im_end|>"' in lines and 'SYSTEM """Answer in JSON."""' in lines
    assert reply["commands"][0] == ["ollama", "create", "lora", "-f", reply["modelfile"]]
    assert reply["created"] is False


def test_text_that_would_break_the_modelfile_is_refused_and_leaves_nothing(make_run: Any) -> None:
    run = make_run("lora")
    with pytest.raises(UserError, match="quotation marks"):
        export_run(run.path, "ollama", None, quiet, system='a """ b')
    assert list(run.exports_dir.iterdir()) == []


def test_an_architecture_that_ollama_does_not_convert_is_named(make_run: Any) -> None:
    from engine.use.ollama import converter_note

    out = Path(export_run(make_run("lora").path, "merged", None, quiet)["out"])
    assert converter_note(out) == ""
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "architectures": ["Qwen3ForCausalLM"]}))
    assert "Qwen3ForCausalLM" in converter_note(out)


def test_an_interrupted_merge_leaves_nothing_that_looks_whole(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.use.merge as merge

    run = make_run("lora")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merge, "finish_model_directory", die)
    with pytest.raises(KeyboardInterrupt):
        export_run(run.path, "merged", None, quiet)
    assert list(run.exports_dir.iterdir()) == []
    monkeypatch.undo()
    assert Path(export_run(run.path, "merged", None, quiet)["out"]).is_dir()


def test_an_adapter_on_shared_embeddings_is_not_merged(make_run: Any) -> None:
    run = make_run("lora")
    path = run.result_dir / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "target_modules": ["lm_head"]}))
    result = open_result(run.path)
    tied = run.path / "tied"
    tied.mkdir()
    (tied / "config.json").write_text(json.dumps({"tie_word_embeddings": True}))
    with pytest.raises(UserError, match="shares between input and output"):
        _refuse_unmergeable(dataclasses.replace(result, base=tied))


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


def test_a_model_is_created_in_ollama_and_asked_the_same_questions(make_run: Any, monkeypatch: Any) -> None:
    run = make_run("lora")
    chat = Chat(run.path, device="cpu")

    def answer(model: dict[str, Any], messages: list[dict[str, str]]) -> str:
        """What a faithful Ollama would say: its template, the same weights."""
        conversation = [(message["role"], message["content"]) for message in messages]
        assert render_as_ollama(model["template"], conversation) == chat.prompts.text(conversation)
        turns = [{"role": role, "content": content} for role, content in conversation]
        return str(ask(chat, {"turns": turns, "which": "tuned", "max_tokens": 48}, lambda side, text: None)["tuned"])

    with fake_ollama() as (fake, address):
        monkeypatch.setenv("OLLAMA_HOST", address)
        fake.answer = answer
        reply = export_run(run.path, "ollama", None, quiet, create=True, system='Say """hi""".', name="My Orders!")
        assert reply["created"] and reply["ollama"]["same"] == reply["ollama"]["compared"] == 5
        assert "There is no Modelfile" in " ".join(reply["notes"])
        assert not (Path(reply["out"]) / "Modelfile").exists()
        assert set(fake.models["my-orders"]["files"]) >= {"config.json", "tokenizer.json", "model.safetensors"}
        assert MARK not in fake.models["my-orders"]["files"]
        fake.answer = lambda model, messages: "something else"
        assert export_run(run.path, "ollama", None, quiet, create=True)["ollama"]["same"] == 0


def test_without_ollama_the_export_is_kept(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("lora")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(UserError, match="No Ollama answers"):
        export_run(run.path, "ollama", None, quiet, create=True)
    assert (run.exports_dir / "ollama" / "Modelfile").is_file()


def test_adapters_are_added_switched_and_combined(make_run: Any) -> None:
    first, second = make_run("lora"), make_run("lora")
    path = second.result_dir / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor * 0.5 for name, tensor in load_file(path).items()}, path)
    chat = Chat(first.path, device="cpu")
    ids = probe_ids(chat.prompts)

    def logits(side: str) -> list[Any]:
        with chat.pair.switched(side) as model:
            return logits_of(model, ids)

    alone = {side: logits(side) for side in ("base", "tuned")}
    chat.pair.add("half", open_result(second.path))
    chat.pair.combine("same", {"tuned": 1.0, "half": 0.0})
    assert chat.pair.sides == ["base", "tuned", "half", "same"]
    assert compare(alone["base"], logits("base")).largest_difference == 0
    assert compare(alone["tuned"], logits("tuned")).largest_difference == 0
    assert compare(alone["tuned"], logits("half")).largest_difference > 0.1
    assert compare(alone["tuned"], logits("same")).largest_difference < 1e-4
    reply = ask(chat, {"prompt": "a cat", "which": ["half", "base"], "max_tokens": 4}, lambda side, text: None)
    assert set(reply["finish"]) == {"half", "base"}
    for name in ("tuned", "half", "both", "a b", ""):
        with pytest.raises(UserError, match="cannot be the name"):
            chat.pair.add(name, open_result(second.path))
    with pytest.raises(UserError, match="cannot be combined"):
        chat.pair.combine("mix", {"tuned": 1.0, "nobody": 1.0})
    with pytest.raises(UserError, match="not trained on the same base"):
        chat.pair.add("q", open_result(make_run("qlora").path))


def test_the_chat_job_adds_adapters(make_run: Any) -> None:
    run, other = make_run("lora"), make_run("lora")
    said: list[dict[str, Any]] = []
    lines = [{"add": {"name": "b", "run": str(other.path)}}, {"combine": {"name": "c", "weights": {"b": "x"}}}]
    chat_module.job({"run": str(run.path)}, said.append, iter([*lines, {"prompt": "a", "which": "b", "max_tokens": 2}]))
    kinds = [next(iter(message)) for message in said]
    assert kinds[2:4] == ["adapters", "error"]
    assert said[2]["adapters"] == ["base", "tuned", "b"]


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
    (start, end), = first["learned"]
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
    assert len(ours) == 4 and theirs == ours


def test_support_is_said_before_training(tiny_model: Path) -> None:
    reply = export_module.job({"to": "support", "model": str(tiny_model)}, quiet, iter(()))
    assert (reply["architecture"], reply["gguf"], reply["ollama_reads_directory"]) == ("LlamaForCausalLM", True, True)
    with pytest.raises(UserError, match="no export called"):
        export_module.job({"to": "zip"}, quiet, iter(()))
