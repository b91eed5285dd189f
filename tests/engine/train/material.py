"""A model of a hundred thousand weights, sixty rows, and runs made of them. Also what the chaos suite works on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from engine.recipe import Answer, Recipe
from engine.runs.store import Run, create_run

DEMO_MODEL = Path(__file__).resolve().parents[3] / "assets" / "demo" / "model"

COLORS = ("red", "blue", "green", "black", "white", "pink")
THINGS = ("lamps", "coats", "mugs", "knives", "bags", "chairs")


def write_model(folder: Path) -> Path:
    """A Llama with random weights and the tokenizer of the demo model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=1536, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO_MODEL / name, folder / name)
    return folder


def write_rows(path: Path) -> Path:
    """Sixty orders of different lengths."""
    rows = []
    for number in range(60):
        items = range(number, number + number % 4 + 1)
        parts = [f"{number % 7 + 1} {COLORS[k % 6]} {THINGS[(number * 4 + k) % 6]}" for k in items]
        rows.append({"prompt": f"I want {' and '.join(parts)}.", "completion": json.dumps(parts)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_run(root: Path, name: str, model: Path, rows: Path, **changes: Any) -> Run:
    """A run of twelve steps; keyword arguments are recipe keys with `__` for the dot."""
    values: dict[str, Any] = {
        "model.source": str(model), "data.source": str(rows), "method.name": "lora", "method.rank": 4,
        "method.dropout": 0.1, "training.precision": "fp32", "training.micro_batch_size": 3,
        "training.gradient_accumulation_steps": 2, "training.max_steps": 12, "training.sequence_length": 128,
        "training.learning_rate": 5e-3, "training.gradient_checkpointing": False, "evaluation.held_out_rows": 6,
        "evaluation.every_steps": 4, "evaluation.samples": 1, "checkpoints.every_steps": 4, "checkpoints.keep": 9,
    }  # fmt: skip
    values.update({key.replace("__", "."): value for key, value in changes.items()})
    recipe = Recipe.from_answers({key: Answer(value, "you", "for a test") for key, value in values.items()})
    return create_run(recipe, root, name)
