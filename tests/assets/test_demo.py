"""The embedded demo: its files are small, consistent, and what its scripts make."""

from __future__ import annotations

import json
import struct
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import pytest
from tokenizers import Tokenizer

from assets import demo
from assets.demo import orders
from assets.demo.grammar import documents
from assets.demo.vocabulary import CHAT_TEMPLATE, train_tokenizer

DEMO = Path(demo.__file__).parent
MODEL, DATA = DEMO / "model", DEMO / "data"
LIMIT_BYTES = 8_000_000


class Generation(jinja2.ext.Extension):
    """Puts [[ ]] around what stands between the generation marks."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Any) -> str:
        return f"[[{caller()}]]"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return read_json("tokenizer_config.json") | read_json("config.json")


def read_json(name: str) -> dict[str, Any]:
    return dict(json.loads((MODEL / name).read_text(encoding="utf-8")))


def read_rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def tensor_shapes() -> dict[str, dict[str, Any]]:
    """The header of model.safetensors: name -> dtype and shape."""
    with (MODEL / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def render(messages: list[dict[str, str]], prompt: bool = False) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation])
    template = environment.from_string((MODEL / "chat_template.jinja").read_text(encoding="utf-8"))
    return template.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=prompt)


def test_the_demo_is_at_most_eight_megabytes() -> None:
    sizes = [f.stat().st_size for f in DEMO.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert sum(sizes) <= LIMIT_BYTES


def test_the_model_directory_holds_what_transformers_saves() -> None:
    names = {f.name for f in MODEL.iterdir()}
    assert names == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja",
    }  # fmt: skip


def test_the_rows_are_what_the_script_makes_now() -> None:
    train, test = orders.make_rows()
    assert (DATA / "orders.jsonl").read_text(encoding="utf-8") == orders.dump_rows(train)
    assert (DATA / "orders_test.jsonl").read_text(encoding="utf-8") == orders.dump_rows(test)


def test_the_tokenizer_is_what_the_script_makes_now() -> None:
    made, kept = json.loads(train_tokenizer().to_str()), read_json("tokenizer.json")
    for part in ("model", "pre_tokenizer", "decoder", "added_tokens"):
        assert made[part] == kept[part], part
    assert (MODEL / "chat_template.jinja").read_text(encoding="utf-8") == CHAT_TEMPLATE


def test_training_and_test_messages_are_disjoint() -> None:
    train = [row["input"] for row in read_rows("orders.jsonl")]
    test = [row["input"] for row in read_rows("orders_test.jsonl")]
    assert len(train) == orders.TRAIN_ROWS
    assert len(test) == orders.TEST_ROWS
    assert len(set(train) | set(test)) == len(train) + len(test)


@pytest.mark.parametrize("name", ["orders.jsonl", "orders_test.jsonl"])
def test_every_output_is_json_with_the_same_keys_and_comes_from_its_message(name: str) -> None:
    for row in read_rows(name):
        order = json.loads(row["output"])
        assert list(order) == ["customer", "city", "day", "gift", "items"]
        assert order["customer"] in row["input"]
        assert order["city"] in row["input"]
        assert order["day"] is None or order["day"] in row["input"]
        assert all(list(item) == ["quantity", "product", "color"] for item in order["items"])
        assert all(item["color"] in row["input"] for item in order["items"])
        assert json.dumps(order) == row["output"]


def test_pretraining_text_never_holds_an_order() -> None:
    for document in islice(documents(), 3000):
        text = "".join(content for _, content in document)
        assert '"customer":' not in text
        assert '"items":' not in text
        assert '"quantity":' not in text


def test_the_tokenizer_gives_back_every_text(tokenizer: Tokenizer) -> None:
    texts = [row[key] for row in read_rows("orders_test.jsonl") for key in ("input", "output")]
    for text in [*texts, "Grüße, naïve 日本 🙂\n\ttab  two spaces", ""]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_special_tokens_are_distinct_and_agree_everywhere(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    names = ["bos_token", "eos_token", "pad_token"]
    ids = [tokenizer.token_to_id(settings[name]) for name in names]
    assert None not in ids
    assert len(set(ids)) == 3
    assert ids == [settings[f"{name}_id"] for name in names]
    generation = read_json("generation_config.json")
    assert ids == [generation[f"{name}_id"] for name in names]
    for role in ("<|system|>", "<|user|>", "<|assistant|>"):
        assert len(tokenizer.encode(role, add_special_tokens=False).ids) == 1


def test_the_chat_template_marks_the_answer_with_its_end_token() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]
    assert render(turns) == "<s><|user|>\nHi\n<|assistant|>\n[[Yes</s>]]"
    prompt = render(turns[:1], prompt=True)
    assert prompt == "<s><|user|>\nHi\n<|assistant|>\n"
    assert render(turns).startswith(prompt)
    assert render([{"role": "system", "content": "Be kind"}, *turns]).startswith("<s><|system|>\nBe kind\n<|user|>\n")


def test_the_model_is_small_and_fits_every_quantizer(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    shapes = tensor_shapes()
    parameters = 0
    for entry in shapes.values():
        count = 1
        for size in entry["shape"]:
            count *= size
        parameters += count
    assert 1_000_000 <= parameters <= 4_000_000
    assert settings["architectures"] == ["LlamaForCausalLM"]
    assert settings["hidden_size"] % 256 == 0
    assert settings["intermediate_size"] % 256 == 0
    assert settings["vocab_size"] == tokenizer.get_vocab_size() == shapes["model.embed_tokens.weight"]["shape"][0]


def test_every_row_fits_the_context(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    rows = read_rows("orders.jsonl") + read_rows("orders_test.jsonl")
    lengths = [len(tokenizer.encode(row["input"] + row["output"]).ids) for row in rows]
    assert max(lengths) + 16 < settings["max_position_embeddings"]
