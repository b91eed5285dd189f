"""Axolotl's YAML (docs.axolotl.ai, config reference) into recipe keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.exchange import common
from engine.exchange.axolotl_data import carry_data
from engine.exchange.sheet import Carried, Sheet, says_something

SAME = {
    "base_model": "model.source", "revision_of_model": "model.revision", "lora_r": "method.rank",
    "lora_alpha": "method.alpha", "lora_dropout": "method.dropout", "peft_use_dora": "method.dora",
    "peft_use_rslora": "method.rslora", "micro_batch_size": "training.micro_batch_size",
    "num_epochs": "training.epochs", "sequence_len": "training.sequence_length", "sample_packing": "training.packing",
    "neftune_noise_alpha": "training.neftune_alpha", "early_stopping_patience": "evaluation.patience",
    "wandb_project": "tracking.project",
}  # fmt: skip
DEFAULTS = {
    "training.sequence_length": 512, "training.micro_batch_size": 1, "training.gradient_accumulation_steps": 1,
    "training.epochs": 1.0, "training.scheduler": "cosine", "training.weight_decay": 0.0,
    "training.gradient_checkpointing": False, "training.warmup_ratio": 0.03,
}  # fmt: skip
"""What Axolotl does where its file says nothing, and we would not."""
OWN_KERNELS = "A faster kernel for the same arithmetic; the installed libraries choose theirs."
NEEDLESS = {
    **common.NEEDLESS,
    "output_dir": "A run has a folder of its own here.", "dataset_prepared_path": common.OWN_LOADING,
    "skip_prepare_dataset": common.OWN_LOADING, "shuffle_merged_datasets": "Rows are always shuffled.",
    "model_type": "The model's configuration says it.", "tokenizer_type": "The model's tokenizer says it.",
    "is_llama_derived_model": "The model's configuration says it.",
    "pad_to_sequence_len": "Rows of a batch are as long as its longest.",
    "eot_tokens": "The end of a turn is learned as the template writes it.",
    "eval_sample_packing": "Evaluation packs nothing, so that every row counts alone.",
    "saves_per_epoch": "Five checkpoints are spread over the run; checkpoints.every_steps sets another number.",
    "evals_per_epoch": "Ten evaluations are spread over the run; evaluation.every_steps sets another number.",
    "liger_rms_norm": OWN_KERNELS, "liger_glu_activation": OWN_KERNELS, "liger_layer_norm": OWN_KERNELS,
    "liger_rope": OWN_KERNELS, "liger_fused_linear_cross_entropy": "The loss is computed in pieces here too.",
    "liger_rms_norm_gated": OWN_KERNELS, "cut_cross_entropy": "The loss is computed in pieces here too.",
    "lora_mlp_kernel": OWN_KERNELS, "lora_qkv_kernel": OWN_KERNELS, "lora_o_kernel": OWN_KERNELS,
    "use_kernels": OWN_KERNELS, "torch_compile": OWN_KERNELS, "fused_attn_kernel": OWN_KERNELS,
    "flex_attn_compile_kwargs": OWN_KERNELS, "flash_attn_fuse_mlp": OWN_KERNELS, "xformers_attention": OWN_KERNELS,
    "loss_watchdog_threshold": "A loss gone wrong is watched for here.",
    "loss_watchdog_patience": "A loss gone wrong is watched for here.",
    "auto_resume_from_checkpoints": "`tunewright resume` goes on from the last checkpoint.",
    "load_best_model_at_end": "The best checkpoint is kept.", "wandb_name": "The run's own name is used.",
    "wandb_log_model": "Results stay in the run.",
}  # fmt: skip
KERNEL_PLUGINS = ("cut_cross_entropy", "liger", "kernels")


def carry(document: Mapping[str, Any]) -> Carried:
    """Axolotl's settings as recipe keys."""
    sheet = Sheet("Axolotl", document)
    _method(sheet)
    sheet.same({**common.TRAINER, **SAME})
    _layers(sheet)
    common.optimizer(sheet, "optimizer")
    common.scheduler(sheet, "lr_scheduler")
    common.precision(sheet)
    common.steps(sheet)
    common.held_out(sheet, "val_set_size")
    carry_data(sheet)
    _preference(sheet)
    _checkpointing(sheet)
    _others(sheet)
    sheet.needless_all(NEEDLESS)
    common.defaults(sheet, DEFAULTS)
    return sheet.finish()


def _method(sheet: Sheet) -> None:
    adapter, four, eight = (sheet.take(key) for key in ("adapter", "load_in_4bit", "load_in_8bit"))
    if adapter in (None, "", "lora", "qlora"):
        method = "full" if not adapter else "qlora" if adapter == "qlora" or four else "lora"
        sheet.put("method.name", method, "adapter", "" if adapter else "no adapter")
    else:
        sheet.leave("adapter", f"{adapter} is not offered here; method.name has qlora, lora and full.")
    if eight:
        sheet.leave("load_in_8bit", "A base in 8 bits is not offered: lora holds it in 16 bits, qlora in 4.")
    sheet.change("lora_model_dir", lambda value: sheet.leave(
        "lora_model_dir", "Going on with an adapter of another program is not offered."))  # fmt: skip


def _layers(sheet: Sheet) -> None:
    if sheet.take("lora_target_linear"):
        sheet.put("method.target_modules", ["all-linear"], "lora_target_linear")
        sheet.change("lora_target_modules", lambda value: sheet.needless("lora_target_modules", "All linear layers."))
    common.target_modules(sheet, "lora_target_modules")
    sheet.change("peft_layers_to_transform", lambda value: sheet.put(
        "method.layers", ",".join(map(str, value if isinstance(value, list) else [value])),
        "peft_layers_to_transform"))  # fmt: skip

    def saved(value: Any) -> None:
        if set(map(str, value)) <= {"embed_tokens", "lm_head"}:
            sheet.put("method.train_embeddings", True, "lora_modules_to_save")
        else:
            sheet.leave("lora_modules_to_save", "Only the embeddings and the output head can be trained beside it.")

    sheet.change("lora_modules_to_save", saved)


def _preference(sheet: Sheet) -> None:
    def objective(value: Any) -> None:
        if value in ("dpo", "kto", "orpo"):
            sheet.put("method.objective", value, "rl")
        else:
            sheet.leave("rl", f"{value} is not offered here; method.objective has sft, dpo, kto and orpo.")

    sheet.change("rl", objective)
    for key in ("rl_beta", "dpo_beta", "orpo_alpha"):
        sheet.change(key, lambda value, key=key: sheet.put("method.beta", value, key))  # type: ignore[misc]


def _checkpointing(sheet: Sheet) -> None:
    value = sheet.take("gradient_checkpointing")
    if value == "offload" or says_something(sheet.peek("activation_offloading")):
        sheet.take("activation_offloading")
        sheet.put("training.activation_offloading", True, "activation_offloading")
    if value is not None:
        sheet.put("training.gradient_checkpointing", bool(value), "gradient_checkpointing")


def _others(sheet: Sheet) -> None:
    def template(value: Any) -> None:
        if value in ("tokenizer_default", "tokenizer_default_fallback_chatml"):
            sheet.put("data.template", "model", "chat_template")
        else:
            sheet.leave("chat_template", f"{value}: here the model's own chat template is used, or a plain one.")

    def plugins(value: Any) -> None:
        others = [name for name in map(str, value) if not any(kind in name for kind in KERNEL_PLUGINS)]
        if others:
            sheet.leave("plugins", f"Plugins of Axolotl do not run here: {', '.join(others)}.")
        else:
            sheet.needless("plugins", OWN_KERNELS)

    def tokens(value: Mapping[str, Any]) -> None:
        if set(value) <= {"pad_token"}:
            sheet.needless("special_tokens", "Padding is masked, whatever token stands there.")
        else:
            sheet.leave("special_tokens", "The tokenizer of the model is used as it is.")

    sheet.change("chat_template", template)
    sheet.change("plugins", plugins)
    sheet.change("special_tokens", tokens)
    sheet.change("train_on_inputs", lambda value: sheet.leave("train_on_inputs", "Only answers are learned here."))
    if "tracking.project" in sheet.carried.answers:
        sheet.put("tracking.to", ["wandb"], "wandb_project")
    sheet.change("use_tensorboard", lambda value: sheet.put("tracking.to", ["tensorboard"], "use_tensorboard"))
    if says_something(sheet.peek("fsdp_config")) or says_something(sheet.peek("fsdp")):
        for key in ("fsdp", "fsdp_config", "fsdp_version"):
            if says_something(sheet.take(key)):
                sheet.leave(key, common.SEVERAL_GPUS)
    sheet.change("deepspeed", lambda value: sheet.leave("deepspeed", common.SEVERAL_GPUS))
