"""A tiny model, made here, and finished runs on it, as training would leave them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.recipe import Answer, Recipe
from engine.runs.store import Run, create_run, fresh_name

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WORDS = [
    "red",
    "blue",
    "small",
    "large",
    "cat",
    "dog",
    "house",
    "river",
    "sees",
    "likes",
    "the",
    "a",
    "of",
    "and",
    "size",
    "colour",
    "order",
    "two",
    "three",
]
ROWS = [
    {"input": f"a {size} {colour} {thing}", "output": json.dumps({"size": size, "colour": colour, "thing": thing})}
    for size in ("small", "large")
    for colour in ("red", "blue")
    for thing in ("cat", "dog", "house", "river", "size")
]

MakeRun = Callable[..., Run]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights, a byte-level tokenizer and a ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 50, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|pad|>")
    fast.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=None,
        eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id, initializer_range=0.1,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "orders.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For every method, weights that answer quite differently from the base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(root / "lora")
    adapted.merge_and_unload().save_pretrained(root / "full")
    return {"lora": root / "lora", "qlora": root / "lora", "full": root / "full"}


@pytest.fixture
def make_run(tiny_model: Path, tiny_data: Path, tiny_adapters: dict[str, Path], tmp_path: Path) -> MakeRun:
    """`make_run("lora")` gives a finished run; keywords change recipe values (dots as __)."""

    def make(method: str, **values: Any) -> Run:
        wanted = {
            "model.source": str(tiny_model), "data.source": str(tiny_data), "method.name": method,
            "training.precision": "fp32", "evaluation.held_out_rows": 6,
            **{key.replace("__", "."): value for key, value in values.items()},
        }  # fmt: skip
        recipe = Recipe.from_answers({key: Answer(value, "you", "test") for key, value in wanted.items()})
        run = create_run(recipe, tmp_path / "runs", fresh_name(tmp_path / "runs", method))
        finish_run(run, method, tiny_model, tiny_adapters[method])
        return run

    return make


def finish_run(run: Run, method: str, base: Path, weights: Path) -> None:
    """Write result/ as training leaves it."""
    result = run.result_dir
    shutil.copytree(weights, result / ("model" if method == "full" else "adapter"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / name, result / name)
    facts = {
        "method": method, "base_source": str(base), "base_revision": "", "base_directory": str(base),
        "template": "model", "format": "input_output", "steps": 10,
    }  # fmt: skip
    (result / "result.json").write_text(json.dumps(facts), encoding="utf-8")


RenderInGo = Callable[[Sequence[tuple[str, Sequence[tuple[str, str]]]]], list[str]]
GO_SOURCE = Path(__file__).with_name("render.go")


@pytest.fixture(scope="session")
def render_in_go() -> RenderInGo:
    """Renders (template, conversation) each with Go's own text/template. Skips the test where there is no Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here to prove templates with: apt-get install golang-go")
    program = _built(go)

    def render(requests: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
        lines = [
            {"template": text, "messages": [{"Role": role, "Content": content} for role, content in conversation]}
            for text, conversation in requests
        ]
        done = subprocess.run([str(program)], input=json.dumps(lines).encode(), capture_output=True, check=True)
        texts: list[str] = json.loads(done.stdout)
        return texts

    return render


def _built(go: str) -> Path:
    """render.go as a program, built once per machine."""
    digest = hashlib.sha256(GO_SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tunewright-go-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    built = folder / f"render-{digest}"
    if not built.exists():
        environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(folder / "cache"), "GOFLAGS": "-p=1"}
        fresh = folder / f"render-{os.getpid()}"
        command = [go, "build", "-o", str(fresh), str(GO_SOURCE)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        fresh.replace(built)
    return built
