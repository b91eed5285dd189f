"""Finding models: local directories, the Hub's cache, and what is refused."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.find import find_model
from engine.models.spec import spec_from_config

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32, "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}  # fmt: skip


def safetensors(size: int = 64) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


def make_model(place: Path, config: dict[str, Any] | None = None, **files: str | bytes | None) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    contents: dict[str, str | bytes | None] = {
        "config.json": json.dumps(config or CONFIG), "tokenizer.json": "{}", "model.safetensors": safetensors(),
        **files,
    }  # fmt: skip
    for name, content in contents.items():
        if isinstance(content, str):
            (place / name).write_text(content)
        elif content is not None:
            (place / name).write_bytes(content)
    return place


def refusal(source: Path | str) -> UserError:
    with pytest.raises(UserError) as caught:
        find_model(str(source))
    assert caught.value.what and caught.value.where and caught.value.fix
    return caught.value


def test_a_local_directory_is_found_quickly(tmp_path: Path) -> None:
    place = make_model(tmp_path / "model", **{"tokenizer_config.json": '{"chat_template": "{{ messages }}"}'})
    find_model(str(place))
    start = time.perf_counter()
    model = find_model(str(place))
    assert time.perf_counter() - start < 0.02
    assert model.directory == place and model.tokenizer_path == place / "tokenizer.json"
    assert model.has_chat_template and not model.is_adapter and model.download_bytes == 0
    assert model.weights_bytes == (place / "model.safetensors").stat().st_size
    assert model.spec.parameters == spec_from_config(CONFIG, "").parameters


def test_the_home_sign_is_understood(own_home: Path) -> None:
    make_model(own_home / "mine")
    assert find_model("~/mine").directory == own_home / "mine"


def test_the_shipped_demo_model_is_found(demo_model: Path) -> None:
    model = find_model(str(demo_model))
    assert model.has_chat_template and 1_000_000 < model.spec.parameters < 4_000_000


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "story-model")
    assert "config.json" in refusal(tmp_path).what
    assert "story-model" in refusal(tmp_path / "story_model").fix
    assert "is a file" in refusal(tmp_path / "story-model" / "config.json").what
    assert "No model was named" in refusal(" ").what
    assert "no model directory" in refusal("just-a-name").what
    assert "does not exist either" in refusal("./absent/place").fix


def test_a_missing_or_old_tokenizer_is_refused(tmp_path: Path) -> None:
    assert "no tokenizer" in refusal(make_model(tmp_path / "a", **{"tokenizer.json": None})).what
    old = refusal(make_model(tmp_path / "b", **{"tokenizer.json": None, "tokenizer.model": b"x"}))
    assert "old form" in old.what and "save_pretrained" in old.fix


def test_weights_that_are_missing_pickled_or_cut_off_are_refused(tmp_path: Path) -> None:
    assert "no weights" in refusal(make_model(tmp_path / "a", **{"model.safetensors": None})).what
    pickled = make_model(tmp_path / "b", **{"model.safetensors": None, "pytorch_model.bin": b"x"})
    assert "run any code" in refusal(pickled).what
    assert "shorter" in refusal(make_model(tmp_path / "c", **{"model.safetensors": safetensors()[:-1]})).what
    assert "no whole safetensors" in refusal(make_model(tmp_path / "d", **{"model.safetensors": b"\xff" * 20})).what
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    half = make_model(
        tmp_path / "e",
        **{"model.safetensors": None, "model.safetensors.index.json": index, "model-1.safetensors": safetensors()},
    )
    assert "model-2.safetensors" in refusal(half).what


def test_code_of_its_own_is_refused_unless_transformers_knows_the_type(tmp_path: Path) -> None:
    code = {"auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    own = make_model(tmp_path / "a", {**CONFIG, **code, "model_type": "homemade"})
    assert "never run" in refusal(own).what
    known = make_model(tmp_path / "b", {**CONFIG, **code})
    assert "never run" in find_model(str(known)).spec.note


def test_foreign_quantization_is_refused(tmp_path: Path) -> None:
    quantized = make_model(tmp_path / "b", {**CONFIG, "quantization_config": {"quant_method": "gptq"}})
    assert "gptq" in refusal(quantized).what
    four_bit = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    ready = make_model(tmp_path / "c", {**CONFIG, "quantization_config": four_bit})
    assert find_model(str(ready)).spec.quantization == "nf4"


def test_broken_json_names_file_and_line(tmp_path: Path) -> None:
    error = refusal(make_model(tmp_path / "a", **{"config.json": '{\n "model_type": \n}'}))
    assert error.where.endswith("config.json:3")
    assert "JSON object" in refusal(make_model(tmp_path / "b", **{"config.json": "[]"})).what
    assert "UTF-8" in refusal(make_model(tmp_path / "c", **{"config.json": b"\xff\xfe"})).what


def test_an_adapter_is_recognised_with_its_base(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    model = find_model(str(adapter))
    assert model.is_adapter and model.adapter_base == str(base) and model.directory == adapter
    assert model.tokenizer_path == base / "tokenizer.json"
    (adapter / "adapter_config.json").write_text("{}")
    assert "which base model" in refusal(adapter).what


def cache(home: Path, name: str, commit: str = "abc123", **files: str | bytes | None) -> Path:
    folder = home / "hf" / "hub" / ("models--" + name.replace("/", "--"))
    snapshot = make_model(folder / "snapshots" / commit, **files)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return snapshot


@pytest.fixture
def hub_home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(own_home / "hf"))
    return own_home


def test_a_model_in_the_cache_needs_no_network(hub_home: Path) -> None:
    snapshot = cache(hub_home, "someone/small")
    model = find_model("someone/small")
    assert model.directory == snapshot and model.download_bytes == 0 and model.revision == "abc123"
    assert find_model("someone/small", "abc123").directory == snapshot


def test_a_partial_download_is_recognised_and_what_is_left_is_counted(hub_home: Path) -> None:
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    snapshot = cache(
        hub_home, "someone/half",
        **{"model.safetensors": None, "model.safetensors.index.json": index, "model-1.safetensors": safetensors(1000)},
    )  # fmt: skip
    model = find_model("someone/half")
    whole = 2 * model.spec.parameters
    assert model.directory is None and model.tokenizer_path == snapshot / "tokenizer.json"
    assert model.download_bytes == whole - (snapshot / "model-1.safetensors").stat().st_size


def test_offline_is_told_in_words(hub_home: Path) -> None:
    error = refusal("someone/absent")
    assert "HF_HUB_OFFLINE" in error.what and "not in the model cache" in error.what
