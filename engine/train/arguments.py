"""The recipe as TRL's configuration. Every value whose default is a trap is set here, explicitly."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from trl import DPOConfig, KTOConfig, SFTConfig

from engine.errors import UserError
from engine.recipe import Recipe
from engine.train.schedule import Schedule

OFFLOADING = ("sft", "dpo", "kto")
"""Objectives whose trainers in TRL offload activations."""
_SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def make_arguments(recipe: Recipe, schedule: Schedule, device: torch.device, folder: Path) -> Any:
    """Build the configuration for the recipe's objective; the trainer asks for a `folder` and writes nothing to it.

    Traps that are closed here: TRL cuts at 1024 tokens and forces bf16 when nothing is said; transformers logs every
    ten steps, turns a NaN loss into 0.0, rotates checkpoints by file time, evaluates with batches of 8, and restarts
    at step 0 on trained weights when it looks for a batch size.
    """
    refuse_offloading(recipe, device)
    shared = _shared(recipe, schedule, device, folder)
    method, training = recipe.method, recipe.training
    # the data is rendered and cut already; our batches have columns that TRL would remove
    ours = {"max_length": None, "remove_unused_columns": False, "beta": method.beta}
    offloading = {"activation_offloading": training.activation_offloading}
    if method.objective == "dpo":
        return DPOConfig(**shared, **ours, **offloading, loss_type=["sigmoid"])
    if method.objective == "kto":
        return KTOConfig(**shared, **ours, **offloading, loss_type="kto")
    if method.objective == "orpo":
        from trl.experimental.orpo import ORPOConfig  # says that it is experimental as soon as it is imported

        return ORPOConfig(**shared, **{**ours, "max_length": training.sequence_length})
    if method.objective == "classify":
        return TrainingArguments(**shared, remove_unused_columns=False, label_names=["labels"])
    return SFTConfig(
        **shared,
        max_length=training.sequence_length,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=training.packing, packing_strategy="bfd", eval_packing=False,
        completion_only_loss=False, assistant_only_loss=False, remove_unused_columns=True,
        loss_type="nll", **offloading,
    )  # fmt: skip


def refuse_offloading(recipe: Recipe, device: torch.device) -> None:
    """UserError where activations are to leave a device that is no NVIDIA or AMD GPU, where TRL fails without words,
    and with objectives whose trainers do not know of it."""
    if not recipe.training.activation_offloading:
        return
    fix = "Set training.activation_offloading=false."
    if device.type != "cuda":
        what = f"Activations can only be offloaded from a GPU, and this run trains on {device.type.upper()}."
        raise UserError(what, "training.activation_offloading", fix)
    if recipe.method.objective not in OFFLOADING:
        what = f"The trainer of the objective {recipe.method.objective} does not offload activations."
        raise UserError(what, "training.activation_offloading", fix)


def _shared(recipe: Recipe, schedule: Schedule, device: torch.device, folder: Path) -> dict[str, Any]:
    """What is the same for every objective."""
    training = recipe.training
    on_cpu = device.type == "cpu"
    return dict(
        output_dir=str(folder),
        # steps
        max_steps=schedule.total_steps,
        per_device_train_batch_size=training.micro_batch_size,
        per_device_eval_batch_size=training.micro_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        auto_find_batch_size=False, dataloader_drop_last=False, dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        # optimizer
        learning_rate=training.learning_rate, lr_scheduler_type=_SCHEDULERS[training.scheduler],
        warmup_steps=schedule.warmup_steps, optim=training.optimizer, weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm, seed=training.seed, data_seed=training.seed,
        # numbers
        use_cpu=on_cpu, bf16=training.precision == "bf16", fp16=training.precision == "fp16" and not on_cpu,
        neftune_noise_alpha=training.neftune_alpha or None,
        # what is said and kept
        logging_strategy="steps", logging_steps=1, logging_first_step=True, logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no", report_to="none", disable_tqdm=True, log_level="warning",
        save_strategy="no", eval_strategy="no", eval_on_start=False, load_best_model_at_end=False,
        push_to_hub=False, enable_jit_checkpoint=False, restore_callback_states_from_checkpoint=False,
        **_checkpointing(training.gradient_checkpointing),
    )  # fmt: skip


def _checkpointing(wanted: bool) -> dict[str, Any]:
    """Gradient checkpointing under the name that the installed transformers uses; TRL's own default is on."""
    known = {field.name for field in dataclasses.fields(SFTConfig)}
    new = "activation_checkpointing" in known
    name = "activation_checkpointing" if new else "gradient_checkpointing"
    return {name: wanted, **({f"{name}_kwargs": {"use_reentrant": False}} if wanted else {})}
