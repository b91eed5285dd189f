"""LLaMA-Factory's YAML (examples and hparams of its repository) into recipe keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.exchange import common
from engine.exchange.sheet import Carried, Sheet, says_something

SAME = {
    "model_name_or_path": "model.source", "model_revision": "model.revision", "lora_rank": "method.rank",
    "lora_alpha": "method.alpha", "lora_dropout": "method.dropout", "use_dora": "method.dora",
    "use_rslora": "method.rslora", "cutoff_len": "training.sequence_length",
    "per_device_train_batch_size": "training.micro_batch_size", "num_train_epochs": "training.epochs",
    "packing": "training.packing", "neftune_noise_alpha": "training.neftune_alpha", "pref_beta": "method.beta",
    "run_name": "run.name", "max_samples": "data.max_rows",
}  # fmt: skip
DEFAULTS = {
    "training.learning_rate": 5e-5, "training.epochs": 3.0, "training.micro_batch_size": 8,
    "training.gradient_accumulation_steps": 1, "training.sequence_length": 2048, "training.scheduler": "linear",
    "training.warmup_ratio": 0.0, "training.weight_decay": 0.0,
}  # fmt: skip
"""What LLaMA-Factory and transformers' trainer do where the file says nothing, and we would not."""
NEEDLESS = {
    **common.NEEDLESS,
    "output_dir": "A run has a folder of its own here.", "dataset_dir": "data.source names the data itself.",
    "use_fast_tokenizer": "The fast tokenizer is always used.", "tokenized_path": common.OWN_LOADING,
    "use_unsloth_gc": "training.gradient_checkpointing says it.", "quantization_method": "qlora uses bitsandbytes.",
    "double_quantization": "qlora quantizes its constants too.",
    "resume_from_checkpoint": "`tunewright resume` does it.",
}  # fmt: skip
OBJECTIVES = {"sft": "sft", "pt": "sft", "dpo": "dpo", "kto": "kto"}
COLUMN_ROLES = {"prompt": "prompt", "query": "input", "response": "completion", "system": "system",
                "messages": "messages", "chosen": "chosen", "rejected": "rejected", "kto_tag": "label"}  # fmt: skip


def carry(document: Mapping[str, Any], folder: Path | None = None) -> Carried:
    """LLaMA-Factory's settings as recipe keys. `folder` is where its dataset_info.json is looked for."""
    sheet = Sheet("LLaMA-Factory", document)
    _method(sheet)
    _objective(sheet)
    rank = sheet.peek("lora_rank") or 8
    sheet.same({**common.TRAINER, **SAME})
    method = sheet.carried.answers.get("method.name")
    if method is not None and method.value != "full":
        sheet.default("method.rank", 8)
        sheet.default("method.alpha", 2 * int(rank))
        common.target_modules(sheet, "lora_target")
        sheet.default("method.target_modules", ["all-linear"])
    common.optimizer(sheet, "optim")
    common.scheduler(sheet, "lr_scheduler_type")
    common.precision(sheet)
    common.steps(sheet)
    common.held_out(sheet, "val_size")
    common.trackers(sheet)
    _data(sheet, folder)
    _others(sheet)
    sheet.needless_all(NEEDLESS)
    common.defaults(sheet, DEFAULTS)
    return sheet.finish()


def _method(sheet: Sheet) -> None:
    kind, bits = str(sheet.take("finetuning_type") or "lora"), sheet.take("quantization_bit")
    if kind not in ("lora", "full"):
        sheet.leave("finetuning_type", f"{kind} is not offered here; method.name has qlora, lora and full.")
        return
    if kind == "lora" and says_something(bits) and int(bits) != 4:
        sheet.leave("quantization_bit", f"A base in {bits} bits is not offered; qlora holds it in 4.")
        bits = None
    sheet.put("method.name", "qlora" if kind == "lora" and bits else kind, "finetuning_type")


def _objective(sheet: Sheet) -> None:
    stage, loss = str(sheet.take("stage") or "sft"), sheet.take("pref_loss")
    name = "orpo" if stage == "dpo" and loss == "orpo" else OBJECTIVES.get(stage)
    if name is None:
        sheet.leave("stage", f"{stage} is not offered here; method.objective has sft, dpo, kto and orpo.")
        return
    sheet.put("method.objective", name, "stage")
    if stage == "pt":
        sheet.put("data.format", "text", "stage")
    if says_something(loss) and loss not in ("sigmoid", "orpo"):
        sheet.leave("pref_loss", f"The loss {loss} is not offered here.")


def _data(sheet: Sheet, folder: Path | None) -> None:
    """Names of dataset_info.json become what they stand for, where that file is at hand."""
    value = sheet.take("dataset")
    where = str(sheet.peek("dataset_dir") or "data")
    if says_something(value):
        names = value if isinstance(value, list) else [name.strip() for name in str(value).split(",")]
        known, found = _dataset_info(where, folder), []
        for name in names:
            entry = known.get(name)
            found.append(_source(entry, where, folder) if entry else name)
            if entry is None:
                why = "Its dataset_info.json was not found, so what the name stands for is not known: set data.source."
                sheet.leave(f"dataset: {name}", why)
        sheet.put("data.source", found[0], "dataset")
        if found[1:]:
            sheet.put("data.more", found[1:], "dataset, after the first")
        _columns(sheet, known.get(names[0]) or {})
    sheet.change("eval_dataset", lambda value: sheet.put("data.validation", str(value), "eval_dataset"))


def _columns(sheet: Sheet, entry: Mapping[str, Any]) -> None:
    columns = entry.get("columns") or {}
    roles = {COLUMN_ROLES[role]: str(name) for role, name in columns.items() if role in COLUMN_ROLES}
    if any(role != name for role, name in roles.items()):
        sheet.put("data.map", roles, "dataset_info.json: columns")


def _dataset_info(where: str, folder: Path | None) -> dict[str, Any]:
    places = [base / where / "dataset_info.json" for base in ([folder, *folder.parents] if folder else [])]
    for place in places:
        try:
            document = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return document if isinstance(document, dict) else {}
    return {}


def _source(entry: Mapping[str, Any], where: str, folder: Path | None) -> str:
    if entry.get("hf_hub_url"):
        return str(entry["hf_hub_url"])
    name = str(entry.get("file_name") or "")
    place = next((base / where / name for base in ([folder, *folder.parents] if folder else [])
                  if (base / where / name).exists()), Path(where) / name)  # fmt: skip
    return str(place)


def _others(sheet: Sheet) -> None:
    if sheet.take("disable_gradient_checkpointing"):
        sheet.put("training.gradient_checkpointing", False, "disable_gradient_checkpointing")
    sheet.change("template", lambda value: sheet.needless(
        "template", f"{value}: the model's own chat template is used; compare it on the data page."))  # fmt: skip
    sheet.change("train_on_prompt", lambda value: sheet.leave("train_on_prompt", "Only answers are learned here."))
    sheet.change("use_unsloth", lambda value: sheet.leave("use_unsloth", "Not offered here yet."))
    if sheet.take("do_train") is False:
        sheet.leave("do_train", "This file does not train.")
    for key in ("deepspeed", "fsdp", "fsdp_config"):
        sheet.change(key, lambda value, key=key: sheet.leave(key, common.SEVERAL_GPUS))  # type: ignore[misc]
