"""Settings of other programs as recipes: what is carried, what is needless, and that nothing is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.answer import Answer
from engine.errors import UserError
from engine.exchange import axolotl, llamafactory, trl_command
from engine.exchange.reading import read_foreign
from engine.exchange.sheet import Carried
from engine.recipe import Recipe


def values(carried: Carried) -> dict[str, Any]:
    return {key: answer.value for key, answer in carried.answers.items()}


AXOLOTL = """
base_model: owner/base
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 16
lora_target_linear: true
datasets:
  - path: owner/rows
    type: alpaca
    split: train[:10%]
  - path: json
    data_files: more.jsonl
    type: alpaca
val_set_size: 0.05
sequence_len: 2048
sample_packing: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 3
learning_rate: 2e-4
optimizer: paged_adamw_32bit
lr_scheduler: cosine
warmup_steps: 10
max_steps: 100
bf16: auto
wandb_project: orders
logging_steps: 1
fp8_anything: true
"""


def test_axolotl(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(AXOLOTL)
    carried = read_foreign(path)
    assert values(carried) | {
        "model.source": "owner/base", "method.name": "qlora", "method.rank": 32, "method.alpha": 16,
        "method.target_modules": ["all-linear"], "data.source": "owner/rows", "data.format": "instruction",
        "data.split": "train[:10%]", "data.more": ["more.jsonl"], "evaluation.held_out_share": 0.05,
        "training.packing": True, "training.learning_rate": 2e-4, "training.optimizer": "paged_adamw_8bit",
        "training.warmup_ratio": 0.1, "training.max_steps": 100, "tracking.to": ["wandb"],
        "tracking.project": "orders", "training.gradient_checkpointing": False,
    } == values(carried)  # fmt: skip
    assert list(carried.left) == ["fp8_anything"]
    assert {"bf16", "logging_steps"} <= set(carried.needless)
    assert "the nearest here" in carried.answers["training.optimizer"].reason


def test_what_axolotl_has_and_we_have_not_is_named() -> None:
    carried = axolotl.carry({
        "base_model": "m", "adapter": "lora", "load_in_8bit": True, "rl": "grpo", "optimizer": "muon",
        "chat_template": "llama3", "datasets": [{"path": "d", "type": "some.own"}], "warmup_steps": 7,
        "lora_target_modules": r"layers\.[\d]+\.mlp", "lora_modules_to_save": ["router"], "plugins": ["a.Own"],
        "special_tokens": {"bos_token": "<s>"}, "deepspeed": "zero3.json",
    })  # fmt: skip
    assert set(carried.left) == {
        "load_in_8bit", "rl", "optimizer", "chat_template", "datasets: type", "warmup_steps", "lora_target_modules",
        "lora_modules_to_save", "plugins", "special_tokens", "deepspeed",
    }  # fmt: skip
    assert not carried.whole and all(carried.left.values())


def test_llamafactory_finds_what_its_names_stand_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "pairs.json").write_text("[]")
    info = {"pairs": {"file_name": "pairs.json", "ranking": True, "columns": {"messages": "talk", "chosen": "chosen"}},
            "hub": {"hf_hub_url": "owner/rows"}}  # fmt: skip
    (data / "dataset_info.json").write_text(json.dumps(info))
    document = {
        "model_name_or_path": "m", "stage": "dpo", "finetuning_type": "lora", "lora_rank": 4, "lora_target": "all",
        "dataset": "pairs,hub,unknown", "template": "qwen", "pref_beta": 0.2, "pref_loss": "sigmoid", "val_size": 50,
        "per_device_train_batch_size": 1, "learning_rate": 5.0e-6, "quantization_bit": 4, "max_samples": 1000,
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(json.dumps(document))
    carried = read_foreign(tmp_path / "run.yaml")
    found = values(carried)
    assert found["method.objective"] == "dpo" and found["method.beta"] == 0.2 and found["method.name"] == "qlora"
    assert (found["method.rank"], found["method.alpha"]) == (4, 8), "twice the rank is LLaMA-Factory's default"
    assert found["data.source"] == str(data / "pairs.json") and found["data.more"] == ["owner/rows", "unknown"]
    assert found["data.map"] == {"messages": "talk", "chosen": "chosen"} and found["data.max_rows"] == 1000
    assert found["evaluation.held_out_rows"] == 50 and found["training.epochs"] == 3.0
    assert list(carried.left) == ["dataset: unknown"] and "template" in carried.needless
    assert set(llamafactory.carry({"model_name_or_path": "m", "stage": "ppo", "finetuning_type": "freeze"}).left) == {
        "stage", "finetuning_type",
    }  # fmt: skip


def test_a_command_line_of_trl(tmp_path: Path) -> None:
    text = """#!/bin/bash
# comment
trl sft --model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name trl-lib/Capybara \\
    --learning_rate 2.0e-4 --use_peft --lora_r=8 --lora_target_modules q_proj v_proj \\
    --packing --eval_steps 0.1 --report_to none --unheard_of 3
"""
    path = tmp_path / "train.sh"
    path.write_text(text)
    carried = read_foreign(path)
    found = values(carried)
    assert found["model.source"] == "Qwen/Qwen2.5-0.5B" and found["data.source"] == "trl-lib/Capybara"
    assert found["method.name"] == "lora" and found["method.rank"] == 8 and found["training.packing"] is True
    assert found["method.target_modules"] == ["q_proj", "v_proj"] and found["training.learning_rate"] == 2e-4
    assert found["training.micro_batch_size"] == 8 and found["training.sequence_length"] == 1024, "TRL's own defaults"
    assert list(carried.left) == ["unheard_of"] and "eval_steps" in carried.needless
    assert values(trl_command.carry({"script": "kto", "model_name_or_path": "m", "load_in_4bit": "true"}))[
        "method.name"
    ] == "qlora"  # fmt: skip


NOTEBOOK = """
!pip install unsloth
from unsloth import FastLanguageModel
max_seq_length = 2048
model, tokenizer = FastLanguageModel.from_pretrained(
    model_name="unsloth/llama-3-8b-bnb-4bit", max_seq_length=max_seq_length, load_in_4bit=True)
model = FastLanguageModel.get_peft_model(model, r=16, target_modules=["q_proj", "k_proj"], lora_alpha=16,
    lora_dropout=0, bias="none", use_gradient_checkpointing="unsloth", random_state=3407, use_rslora=False)
dataset = load_dataset("yahma/alpaca-cleaned", split="train")
trainer = SFTTrainer(model=model, tokenizer=tokenizer, train_dataset=dataset, dataset_text_field="text",
    args=SFTConfig(per_device_train_batch_size=2, gradient_accumulation_steps=4, warmup_steps=5, max_steps=60,
                   learning_rate=2e-4, fp16=not is_bfloat16_supported(), optim="adamw_8bit", seed=3407,
                   lr_scheduler_type=pick(), output_dir="outputs"))
"""


@pytest.mark.parametrize("form", ["py", "ipynb"])
def test_an_unsloth_notebook(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"notebook.{form}"
    cells = [{"cell_type": "markdown", "source": ["text"]},
             {"cell_type": "code", "source": NOTEBOOK.splitlines(keepends=True)}]  # fmt: skip
    path.write_text(NOTEBOOK if form == "py" else json.dumps({"cells": cells}))
    carried = read_foreign(path)
    found = values(carried)
    assert found["model.source"] == "unsloth/llama-3-8b-bnb-4bit" and found["method.name"] == "qlora"
    assert found["data.source"] == "yahma/alpaca-cleaned" and found["training.sequence_length"] == 2048
    assert found["training.warmup_ratio"] == round(5 / 60, 4) and found["training.seed"] == 3407
    assert found["method.target_modules"] == ["q_proj", "k_proj"] and found["training.gradient_checkpointing"] is True
    assert carried.left == {"lr_scheduler_type": "It is computed in the notebook: pick()."}
    for text, what in (
        ("print(1)", "No settings of Unsloth"),
        ("{}", "The notebook|No settings"),
        ("x=(", "no Python"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=what) as caught:
            read_foreign(path)
        assert str(path) in caught.value.where


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.yaml", "a: [", "no YAML"), ("a.yaml", "- 1", "no settings"), ("a.yaml", "a: 1", "no base model"),
        ("a.yaml", "model_name_or_path: m\n", "does not train"), ("a.sh", "#!/bin/sh\necho", "No command"),
        ("a.py", "def (", "no Python"), ("a.ipynb", "{}", "notebook"), ("missing.yaml", None, "cannot be read"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path: Path, name: str, text: str | None, what: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=what):
        read_foreign(tmp_path / name)


KNOWN = sorted({*axolotl.SAME, *axolotl.NEEDLESS, "adapter", "datasets", "val_set_size", "rl", "bf16"} - {"base_model"})
SETTINGS = st.dictionaries(
    st.sampled_from([*KNOWN, "unheard"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())),
)


@given(SETTINGS)
def test_every_key_that_says_something_is_in_one_of_the_three(document: dict[str, Any]) -> None:
    carried = axolotl.carry({**document, "base_model": "m"})
    Recipe.from_answers({"data.source": Answer("d", "you", ""), **carried.answers})
    told = " ".join(answer.reason for answer in carried.answers.values())
    for key, value in document.items():
        if value not in (None, False, "", []) and value != 0:
            assert key in carried.left or key in carried.needless or key in told, key
