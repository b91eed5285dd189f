"""A command line of TRL (`trl sft --model_name_or_path ...`), or its YAML, into recipe keys."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from engine.exchange import common
from engine.exchange.sheet import Carried, Sheet, says_something

SCRIPTS = {"sft": "sft", "dpo": "dpo", "kto": "kto", "orpo": "orpo"}
SAME = {
    "model_name_or_path": "model.source", "model_revision": "model.revision", "dataset_name": "data.source",
    "dataset_config": "data.config", "dataset_train_split": "data.split", "lora_r": "method.rank",
    "lora_alpha": "method.alpha", "lora_dropout": "method.dropout", "use_dora": "method.dora",
    "use_rslora": "method.rslora", "max_length": "training.sequence_length",
    "max_seq_length": "training.sequence_length",
    "per_device_train_batch_size": "training.micro_batch_size", "num_train_epochs": "training.epochs",
    "packing": "training.packing", "gradient_checkpointing": "training.gradient_checkpointing",
    "activation_offloading": "training.activation_offloading", "neftune_noise_alpha": "training.neftune_alpha",
    "beta": "method.beta", "run_name": "run.name",
}  # fmt: skip
DEFAULTS = {
    "training.learning_rate": 2e-5, "training.epochs": 3.0, "training.micro_batch_size": 8,
    "training.gradient_accumulation_steps": 1, "training.sequence_length": 1024, "training.scheduler": "linear",
    "training.warmup_ratio": 0.0, "training.weight_decay": 0.0,
}  # fmt: skip
"""TRL's defaults (SFTConfig of 1.16) where they differ from ours."""
NEEDLESS = {
    **common.NEEDLESS,
    "output_dir": "A run has a folder of its own here.", "bf16_full_eval": "Evaluation uses training.precision.",
    "completion_only_loss": "Only answers are learned here.", "assistant_only_loss": "Only answers are learned here.",
    "dataset_text_field": "The columns are found by their names; data.map says it otherwise.",
    "padding_free": "training.packing isolates its documents.", "packing_strategy": "bfd is used.",
    "eos_token": "The end of an answer is the template's.", "dtype": "training.precision says it.",
    "torch_dtype": "training.precision says it.", "lora_task_type": "It is always a causal language model.",
    "push_to_hub": "`tunewright export --to hub` asks first.",
    "hub_model_id": "`tunewright export --to hub` asks first.",
}  # fmt: skip


def parse_command(text: str) -> dict[str, Any]:
    """The options of a command line, with the script's name under "script". Lines may be joined by backslashes."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    options: dict[str, Any] = {"script": next((SCRIPTS[name] for word in words[:8] for name in SCRIPTS
                                               if word == name or word.endswith(f"{name}.py")), "sft")}  # fmt: skip
    key = ""
    for word in words:
        if word.startswith("--"):
            key, equals, value = word[2:].replace("-", "_").partition("=")
            options[key] = value if equals else True
            key = "" if equals else key
        elif key:
            known = options[key]
            options[key] = word if known is True else [*(known if isinstance(known, list) else [known]), word]
    return options


def carry(document: Mapping[str, Any], program: str = "TRL", with_defaults: bool = True) -> Carried:
    """TRL's settings as recipe keys."""
    sheet = Sheet(program, document)
    script = str(sheet.take("script") or "sft")
    sheet.put("method.objective", script, "script", f"{program}: {script}")
    _method(sheet)
    sheet.same({**common.TRAINER, **SAME})
    common.target_modules(sheet, "lora_target_modules")
    common.optimizer(sheet, "optim")
    common.scheduler(sheet, "lr_scheduler_type")
    common.precision(sheet)
    common.steps(sheet)
    common.trackers(sheet)
    sheet.change("dataset_test_split", lambda value: sheet.leave(
        "dataset_test_split", "Rows are held out of the training split: evaluation.held_out_rows."))  # fmt: skip
    sheet.needless_all(NEEDLESS)
    if with_defaults:
        common.defaults(sheet, DEFAULTS)
    return sheet.finish()


def _method(sheet: Sheet) -> None:
    four, eight, adapter = (sheet.take(key) for key in ("load_in_4bit", "load_in_8bit", "use_peft"))
    if says_something(eight) and str(eight).lower() != "false":
        sheet.leave("load_in_8bit", "A base in 8 bits is not offered: lora holds it in 16 bits, qlora in 4.")
    asked = any(says_something(value) and str(value).lower() != "false" for value in (adapter, sheet.peek("lora_r")))
    quantized = says_something(four) and str(four).lower() != "false"
    key = "load_in_4bit" if quantized else "use_peft"
    sheet.put("method.name", "qlora" if quantized else "lora" if asked else "full", key)
