"""A model of a few thousand weights, and runs that are carried out inside the test process.

Importing the training libraries takes seconds, so all of these tests belong to one xdist group.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.engine.train.carried import RunFactory

from engine.recipe import Answer, Recipe
from engine.runs.store import Run, create_run

PROJECT = Path(__file__).resolve().parents[3]
DEMO = PROJECT / "assets" / "demo"

COLORS = ("red", "blue", "green", "black", "white", "pink")
THINGS = ("lamps", "coats", "mugs", "knives", "bags", "chairs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("train"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights and the tokenizer of the demo model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    shape = LlamaConfig(
        vocab_size=1536, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO / "model" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty orders of different lengths."""
    path = tmp_path_factory.mktemp("tiny-data") / "orders.jsonl"
    rows = []
    for number in range(60):
        parts = [f"{number % 7 + 1} {COLORS[(number + k) % 6]} {THINGS[(number * 5 + k) % 6]}" for k in range(number % 4 + 1)]
        rows.append({"prompt": f"I want {' and '.join(parts)}.", "completion": json.dumps(parts)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def make_run(tiny_model: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFactory:
    """Make a run of twelve steps; keyword arguments are recipe keys with `__` for the dot."""
    root = tmp_path_factory.mktemp("runs")

    def make(name: str, **changes: Any) -> Run:
        values: dict[str, Any] = {
            "model.source": str(tiny_model), "data.source": str(tiny_data), "method.name": "lora", "method.rank": 4,
            "method.dropout": 0.1, "training.precision": "fp32", "training.micro_batch_size": 3,
            "training.gradient_accumulation_steps": 2, "training.max_steps": 12, "training.sequence_length": 128,
            "training.learning_rate": 5e-3, "training.gradient_checkpointing": False, "evaluation.held_out_rows": 6,
            "evaluation.every_steps": 4, "evaluation.samples": 1, "checkpoints.every_steps": 4, "checkpoints.keep": 9,
        }  # fmt: skip
        values.update({key.replace("__", "."): value for key, value in changes.items()})
        recipe = Recipe.from_answers({key: Answer(value, "you", "for a test") for key, value in values.items()})
        return create_run(recipe, root, name)

    return make
