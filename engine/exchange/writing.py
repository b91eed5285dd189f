"""A recipe as the YAML of another program, where it fits; what that program cannot be told is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.data.source import row_suffix
from engine.errors import UserError
from engine.recipe import Recipe
from engine.recipe_keys import KEYS

AXOLOTL = {
    "model.source": "base_model", "model.revision": "revision_of_model", "method.rank": "lora_r",
    "method.alpha": "lora_alpha", "method.dropout": "lora_dropout", "method.dora": "peft_use_dora",
    "method.rslora": "peft_use_rslora", "training.epochs": "num_epochs", "training.max_steps": "max_steps",
    "training.micro_batch_size": "micro_batch_size",
    "training.gradient_accumulation_steps": "gradient_accumulation_steps", "training.sequence_length": "sequence_len",
    "training.packing": "sample_packing", "training.learning_rate": "learning_rate",
    "training.scheduler": "lr_scheduler", "training.warmup_ratio": "warmup_ratio",
    "training.weight_decay": "weight_decay", "training.max_grad_norm": "max_grad_norm",
    "training.gradient_checkpointing": "gradient_checkpointing", "training.seed": "seed",
    "training.neftune_alpha": "neftune_noise_alpha", "evaluation.held_out_rows": "val_set_size",
    "evaluation.held_out_share": "val_set_size", "evaluation.every_steps": "eval_steps",
    "evaluation.patience": "early_stopping_patience", "checkpoints.every_steps": "save_steps",
    "checkpoints.keep": "save_total_limit",
}  # fmt: skip
LLAMAFACTORY = {
    "model.source": "model_name_or_path", "model.revision": "model_revision", "method.rank": "lora_rank",
    "method.alpha": "lora_alpha", "method.dropout": "lora_dropout", "method.dora": "use_dora",
    "method.rslora": "use_rslora", "method.beta": "pref_beta", "training.epochs": "num_train_epochs",
    "training.max_steps": "max_steps", "training.micro_batch_size": "per_device_train_batch_size",
    "training.gradient_accumulation_steps": "gradient_accumulation_steps", "training.sequence_length": "cutoff_len",
    "training.packing": "packing", "training.learning_rate": "learning_rate",
    "training.scheduler": "lr_scheduler_type", "training.warmup_ratio": "warmup_ratio",
    "training.weight_decay": "weight_decay", "training.max_grad_norm": "max_grad_norm",
    "training.optimizer": "optim", "training.seed": "seed", "training.neftune_alpha": "neftune_noise_alpha",
    "evaluation.held_out_rows": "val_size", "evaluation.held_out_share": "val_size",
    "evaluation.every_steps": "eval_steps", "checkpoints.every_steps": "save_steps",
    "checkpoints.keep": "save_total_limit", "data.max_rows": "max_samples", "tracking.to": "report_to",
}  # fmt: skip
AXOLOTL_TYPES = {"instruction": "alpaca", "text": "completion", "messages": "chat_template"}
AXOLOTL_FILES = {".csv": "csv", ".parquet": "parquet", ".txt": "text", ".md": "text"}
"""Ending of a file -> how Axolotl opens it; every other one as JSON."""
AXOLOTL_OPTIMIZERS = {"adamw_8bit": "adamw_bnb_8bit"}
FACTORY_FORMATS = {"instruction": "alpaca", "prompt_completion": "alpaca", "messages": "sharegpt",
                   "sharegpt": "sharegpt", "text": "alpaca"}  # fmt: skip
FACTORY_COLUMNS = {"instruction": "prompt", "prompt": "prompt", "text": "prompt", "input": "query",
                   "output": "response", "completion": "response", "messages": "messages", "system": "system",
                   "conversations": "messages", "tools": "tools", "chosen": "chosen", "rejected": "rejected",
                   "history": "history"}  # fmt: skip
"""Role of a column here -> in dataset_info.json (its data/README.md)."""
FACTORY_USUAL = {"prompt_completion": {"prompt": "prompt", "completion": "completion"}, "text": {"text": "text"}}
"""Formats whose usual column names are not those of LLaMA-Factory."""
ONLY_HERE = {"run.name", "run.directory", "evaluation.samples", "data.encoding", "data.skip_bad_rows",
             "tracking.project"}  # fmt: skip
"""Keys that name things of this program and change nothing that is learned."""


def to_axolotl(recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    """(settings of Axolotl, recipe key -> why it is not among them). Raises UserError for what it cannot do at all."""
    given = _given(recipe)
    settings: dict[str, Any] = {}
    left: dict[str, str] = {}
    _same(given, AXOLOTL, settings)
    method = recipe.method.name
    if method != "full":
        settings |= {"adapter": method, "load_in_4bit": method == "qlora"}
        targets = recipe.method.target_modules
        settings |= {"lora_target_linear": True} if targets == ["all-linear"] else {"lora_target_modules": targets}
    settings["optimizer"] = AXOLOTL_OPTIMIZERS.get(recipe.training.optimizer, recipe.training.optimizer)
    if recipe.training.scheduler == "constant":
        settings["lr_scheduler"] = "constant_with_warmup"
    settings |= {"bf16": recipe.training.precision == "bf16", "fp16": recipe.training.precision == "fp16"}
    settings["datasets"] = [_axolotl_dataset(recipe, left)]
    if recipe.method.objective != "sft":
        settings |= {"rl": recipe.method.objective, "rl_beta": recipe.method.beta}
    settings |= {"output_dir": f"./outputs/{recipe.run.name or 'out'}", "logging_steps": 1}
    done = {"method.name", "method.target_modules", "training.optimizer", "training.precision", "method.objective",
            "method.beta", "data.source", "data.format", "data.split", "data.config"}  # fmt: skip
    return settings, left | _unsaid(given, {*AXOLOTL, *done})


def _axolotl_dataset(recipe: Recipe, left: dict[str, str]) -> dict[str, Any]:
    kind = AXOLOTL_TYPES.get(recipe.data.format)
    if kind is None:
        left["data.format"] = f"Axolotl has no single type for {_rows(recipe)}: set datasets: type by hand."
    entry: dict[str, Any] = {"path": recipe.data.source, "type": kind or "chat_template"}
    if recipe.data.source.startswith((".", "/", "~")):
        entry["ds_type"] = AXOLOTL_FILES.get(row_suffix(Path(recipe.data.source)), "json")
    entry |= {"name": recipe.data.config} if recipe.data.config else {}
    return entry | ({"split": recipe.data.split} if recipe.data.split else {})


def to_llamafactory(recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    """The same for LLaMA-Factory. "dataset_info" holds what belongs into its dataset_info.json."""
    given = _given(recipe)
    settings: dict[str, Any] = {}
    left: dict[str, str] = {}
    _same(given, LLAMAFACTORY, settings)
    method, objective = recipe.method.name, recipe.method.objective
    usual = "pt" if recipe.data.format == "text" else "sft"
    stage = {"sft": usual, "dpo": "dpo", "kto": "kto", "orpo": "dpo"}[objective]
    settings |= {"stage": stage, "do_train": True, "finetuning_type": "full" if method == "full" else "lora"}
    settings |= {"pref_loss": "orpo"} if objective == "orpo" else {}
    settings |= {"quantization_bit": 4, "quantization_method": "bnb"} if method == "qlora" else {}
    if method != "full":
        targets = recipe.method.target_modules
        settings["lora_target"] = "all" if targets == ["all-linear"] else ",".join(targets)
    if recipe.training.scheduler == "constant":
        settings["lr_scheduler_type"] = "constant_with_warmup"
    settings |= {"bf16": recipe.training.precision == "bf16", "fp16": recipe.training.precision == "fp16"}
    settings["disable_gradient_checkpointing"] = not recipe.training.gradient_checkpointing
    settings |= {"dataset": "tunewright", "dataset_dir": ".", "output_dir": f"saves/{recipe.run.name or 'out'}"}
    settings["dataset_info"] = {"tunewright": _factory_dataset(recipe, left)}
    left["data.template"] = "LLaMA-Factory names its templates itself: set template to that of the model."
    done = {"method.name", "method.target_modules", "method.objective", "training.precision", "data.source",
            "training.gradient_checkpointing", "data.format", "data.map", "data.template"}  # fmt: skip
    return settings, left | _unsaid(given, {*LLAMAFACTORY, *done})


def _factory_dataset(recipe: Recipe, left: dict[str, str]) -> dict[str, Any]:
    local = recipe.data.source.startswith((".", "/", "~"))
    entry: dict[str, Any] = {"file_name" if local else "hf_hub_url": recipe.data.source}
    kind = FACTORY_FORMATS.get(recipe.data.format)
    if kind is None:
        left["data.format"] = f"How LLaMA-Factory reads {_rows(recipe)} is to be said in dataset_info.json."
    entry |= {"formatting": kind} if kind else {}
    roles = {**FACTORY_USUAL.get(recipe.data.format, {}), **recipe.data.map}
    columns = {FACTORY_COLUMNS[role]: column for role, column in roles.items() if role in FACTORY_COLUMNS}
    if len(columns) < len(roles):
        left["data.map"] = f"Not every role has a place in dataset_info.json: {', '.join(roles)}."
    return entry | ({"columns": columns} if columns else {})


def _rows(recipe: Recipe) -> str:
    return "rows whose format nobody said" if recipe.data.format == "auto" else f"{recipe.data.format} rows"


WRITERS: dict[str, Callable[[Recipe], tuple[dict[str, Any], dict[str, str]]]] = {
    "axolotl": to_axolotl, "llamafactory": to_llamafactory,
}  # fmt: skip


def write_foreign(recipe: Recipe, program: str) -> tuple[dict[str, str], dict[str, str]]:
    """(file name -> text, recipe key -> why it was not carried). Raises UserError for an unknown program."""
    if program not in WRITERS:
        raise UserError(f"There is no way to {program!r}.", "--to", f"Use one of: {', '.join(WRITERS)}.")
    import json

    import yaml

    settings, left = WRITERS[program](recipe)
    info = settings.pop("dataset_info", None)
    lines = [f"# {key} could not be carried: {why}" for key, why in left.items()]
    head = "\n".join([f"# Written by Tunewright for {program}.", *lines])
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    files = {f"{program}.yaml": f"{head}\n{text}"}
    return files | ({"dataset_info.json": json.dumps(info, indent=2) + "\n"} if info else {}), left


def _given(recipe: Recipe) -> dict[str, Any]:
    """Every key with its value, in the recipe's order."""
    return {key: getattr(getattr(recipe, key.split(".")[0]), key.split(".")[1]) for key in KEYS}


def _same(given: Mapping[str, Any], table: Mapping[str, str], settings: dict[str, Any]) -> None:
    for key, name in table.items():
        adapter = key.startswith("method.") and given["method.name"] == "full"
        if not adapter and given[key] != KEYS[key].default or key in ("model.source", "training.learning_rate"):
            settings[name] = given[key]
        elif not adapter and not isinstance(given[key], (bool, str, list)) and given[key]:
            settings[name] = given[key]  # a default of ours that need not be theirs


def _unsaid(given: Mapping[str, Any], said: set[str]) -> dict[str, str]:
    return {key: f"It is {value}; the other program has no such setting, or another." for key, value in given.items()
            if key not in said and key not in ONLY_HERE and value != KEYS[key].default}  # fmt: skip
