"""Talking to real models: sides, streaming, sampling, stopping, several adapters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from engine.use import chat_job  # noqa: E402
from engine.use.agreement import compare, logits_of, probe_ids  # noqa: E402
from engine.use.chat import Chat, ask  # noqa: E402
from engine.use.finished import open_result  # noqa: E402
from engine.use.load import Pair  # noqa: E402
from engine.use.prompts import Prompts  # noqa: E402
from tests.conftest import PROJECT  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


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
    chat = Chat(run.path, device="cpu")
    reply = ask(chat, {"prompt": "a small cat", "max_tokens": 8}, lambda side, text: None)
    assert reply["base"] != reply["tuned"]
    assert not chat.describe()["one_model"]


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
    ended = chat_job.job({"run": str(run.path)}, said.append, requests())
    kinds = [next(iter(message)) for message in said]
    replies = [message["reply"] for message in said if "reply" in message]
    assert ended == {"answered": 2}
    assert kinds[:2] == ["progress", "ready"]
    assert replies[0]["id"] == 1 and set(replies[0]["finish"].values()) == {"stopped"}
    assert replies[0]["tokens"]["base"] < 400
    assert list(replies[1]["finish"]) == ["tuned"]
    assert [message["error"]["where"] for message in said if "error" in message] == ["which"]


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
    chat_job.job({"run": str(run.path)}, said.append, iter([*lines, {"prompt": "a", "which": "b", "max_tokens": 2}]))
    kinds = [next(iter(message)) for message in said]
    assert kinds[2:4] == ["adapters", "error"]
    assert said[2]["adapters"] == ["base", "tuned", "b"]


def test_the_chat_job_hands_over_the_rows_that_were_held_out(make_run: Any, tmp_path: Path) -> None:
    from engine.data.dataset import load_dataset
    from engine.data.prepare import load_examples
    from engine.data.split import split_examples

    # one row does not fit the length and is left out, so a split that does not know of it holds out other rows
    rows = [{"input": f"the {number} cat", "output": str(number)} for number in range(120)]
    rows[3]["input"] *= 60
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = make_run("lora", data__source=str(tmp_path / "rows.jsonl"), training__sequence_length=64)
    result = open_result(run.path)
    prepared = load_examples(result.recipe, result.tokenizer, template_text=Prompts.of(result).template_text)
    prepared.renderer.close()
    said: list[dict[str, Any]] = []
    chat_job.job({"run": str(run.path)}, said.append, iter([{"held_out": True}, {"prompt": "a", "max_tokens": 2}]))
    (found,) = [message["held_out"] for message in said if "held_out" in message]
    assert [row["row"] for row in found] == [example.row for example in prepared.held_out_examples]
    assert all(row["turns"][-1][1] == f"the {row['expected']} cat" for row in found)
    examples = load_dataset(result.recipe.data.source).examples
    naive = split_examples(examples, 6, result.recipe.training.seed)[1]
    assert [examples[index].row for index in naive] != [row["row"] for row in found]
    assert any("reply" in message for message in said)  # the chat goes on


def test_everybody_may_have_a_conversation_of_their_own(make_run: Any) -> None:
    chat = Chat(make_run("lora").path, device="cpu")

    def unheard(side: str, text: str) -> None:
        """Nobody watches it grow."""

    alone = ask(chat, {"prompt": "a dog", "max_tokens": 6, "which": "tuned"}, unheard)
    turns = {"tuned": [{"role": "user", "content": "a dog"}], "base": [{"role": "user", "content": "two rivers"}]}
    both = ask(chat, {"prompt": "a house", "side_turns": turns, "max_tokens": 6}, unheard)
    other = ask(chat, {"prompt": "two rivers", "max_tokens": 6, "which": "base"}, unheard)
    assert (both["tuned"], both["base"]) == (alone["tuned"], other["base"])


@pytest.mark.parametrize("name", ["finish", "tokens", "both", "tuned", "-x", ""])
def test_a_word_of_the_reply_is_no_name_for_an_adapter(make_run: Any, name: str) -> None:
    run = make_run("lora")
    pair = Pair(open_result(run.path), "cpu")
    with pytest.raises(UserError, match="cannot be the name"):
        pair.add(name, open_result(run.path))


def test_what_could_be_exported_is_answered_without_loading_a_model(make_run: Any) -> None:
    run = make_run("qlora")
    (run.exports_dir / "merged").mkdir(parents=True)
    script = f"""
import json, sys
from engine.use.leaving import job
print(json.dumps(job({{"run": {str(run.path)!r}}}, print, iter(()))))
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["method"], found["adapter"], found["exports"]) == ("qlora", True, ["merged"])
    assert found["gguf_problems"] == [] and found["converter_bytes"] > 1e6
