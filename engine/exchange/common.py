"""What the other programs share: they hand most of it to the trainer of transformers under its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.exchange.sheet import Sheet, says_something
from engine.recipe_keys import TRACKERS

TRAINER = {
    "learning_rate": "training.learning_rate", "weight_decay": "training.weight_decay",
    "max_grad_norm": "training.max_grad_norm", "seed": "training.seed", "max_steps": "training.max_steps",
    "gradient_accumulation_steps": "training.gradient_accumulation_steps", "warmup_ratio": "training.warmup_ratio",
    "save_total_limit": "checkpoints.keep",
}  # fmt: skip
"""Settings of transformers' trainer -> recipe keys."""
EVERY_STEP = "Every step is kept here."
OWN_LOADING = "Loading and checking the data is the program's own affair here."
MICRO_BATCH = "Evaluation uses the micro-batch."
SEVERAL_GPUS = "How several GPUs share a model is chosen by the plan: training.devices, training.sharding."
KERNELS = "The attention kernel is chosen for the device here."
NEEDLESS = {
    "logging_steps": EVERY_STEP, "logging_strategy": EVERY_STEP, "logging_first_step": EVERY_STEP,
    "overwrite_output_dir": "A run never writes over another one here.",
    "overwrite_cache": OWN_LOADING, "preprocessing_num_workers": OWN_LOADING, "dataloader_num_workers": OWN_LOADING,
    "dataset_num_proc": OWN_LOADING, "dataset_processes": OWN_LOADING, "dataloader_pin_memory": OWN_LOADING,
    "group_by_length": "Rows of about the same length share a batch here.",
    "flash_attention": KERNELS, "flash_attn": KERNELS, "attn_implementation": KERNELS, "sdp_attention": KERNELS,
    "xformers_attention": KERNELS, "gradient_checkpointing_kwargs": "The variant that works with adapters is used.",
    "tf32": "The number format is training.precision.", "do_train": "A recipe is there to train.",
    "ddp_timeout": "It is the program's own affair here.", "save_strategy": "checkpoints.every_steps says when.",
    "eval_strategy": "evaluation.every_steps says when.", "evaluation_strategy": "evaluation.every_steps says when.",
    "per_device_eval_batch_size": MICRO_BATCH, "eval_batch_size": MICRO_BATCH,
    "ddp_find_unused_parameters": "It is the program's own affair here.",
    "include_num_input_tokens_seen": "Tokens are counted here.",
    "trust_remote_code": "Code from a model is never run: a model that needs its own is refused, with the reason.",
    "save_only_model": "A checkpoint can always be resumed here.",
    "plot_loss": "Curves are always drawn here.", "low_cpu_mem_usage": "Weights are read one by one here.",
}  # fmt: skip
OPTIMIZERS = {
    "adamw_torch": "adamw_torch", "adamw_torch_fused": "adamw_torch_fused", "adamw_hf": "adamw_torch",
    "adamw_8bit": "adamw_8bit", "adamw_bnb_8bit": "adamw_8bit", "adamw_torch_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit", "paged_adamw_32bit": "paged_adamw_8bit",
}  # fmt: skip
SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant"}


def optimizer(sheet: Sheet, key: str) -> None:
    """The optimizer under its name here, the nearest relative with a word about it, or left behind."""

    def act(value: Any) -> None:
        name = OPTIMIZERS.get(str(value))
        if name is None:
            offered = ", ".join(sorted(set(OPTIMIZERS.values())))
            sheet.leave(key, f"The optimizer {value} is not offered here; training.optimizer has {offered}.")
            return
        sheet.put("training.optimizer", name, key, "" if name == value else f"{key}: {value}, the nearest here")

    sheet.change(key, act)


def scheduler(sheet: Sheet, key: str) -> None:
    """The schedule of the learning rate."""

    def act(value: Any) -> None:
        name = SCHEDULERS.get(str(value))
        if name is None:
            sheet.leave(
                key, f"The schedule {value} is not offered here; training.scheduler has cosine, linear, constant."
            )
            return
        sheet.put("training.scheduler", name, key)

    sheet.change(key, act)


def precision(sheet: Sheet) -> None:
    """bf16 and fp16 switches; "auto" is what the device can do, which is decided here too."""
    for key, name in (
        ("bf16", "bf16"),
        ("fp16", "fp16"),
        ("bfloat16", "bf16"),
        ("float16", "fp16"),
        ("pure_bf16", "bf16"),
    ):
        value = sheet.take(key)
        if not says_something(value) or str(value).lower() == "false":
            continue
        if str(value).lower() == "auto":
            sheet.needless(key, "The number format is chosen for the device here too.")
        elif "training.precision" not in sheet.carried.answers:
            sheet.put("training.precision", name, key)
        else:
            sheet.needless(key, "Another key says the number format.")


def steps(sheet: Sheet) -> None:
    """eval_steps, save_steps and warmup_steps, which count steps, or are shares of the run where below 1."""
    for key, recipe_key, spread in (("eval_steps", "evaluation.every_steps", "ten evaluations"),
                                    ("save_steps", "checkpoints.every_steps", "five checkpoints")):  # fmt: skip
        value = sheet.number(key)
        if value is None:
            continue
        if value < 1:
            sheet.needless(
                key, f"A share of the run: {spread} are spread over it instead; {recipe_key} sets another number."
            )
        else:
            sheet.put(recipe_key, value, key)
    value, total = sheet.number("warmup_steps"), sheet.carried.answers.get("training.max_steps")
    if not value:
        return
    if value < 1:
        sheet.put("training.warmup_ratio", value, "warmup_steps")
    elif total is not None and isinstance(total.value, int) and total.value > 0:
        share = value / total.value
        sheet.put("training.warmup_ratio", round(share, 4), "warmup_steps", f"{value:g} of {total.value} steps")
    else:
        why = "A number of steps, where the recipe has a share of the run: set training.warmup_ratio (0.05 is usual)."
        sheet.leave("warmup_steps", why)


def trackers(sheet: Sheet, key: str = "report_to") -> None:
    """Where losses are also sent."""

    def act(value: Any) -> None:
        names = [str(one) for one in (value if isinstance(value, list) else [value]) if str(one) != "none"]
        known = [name for name in names if name in TRACKERS]
        if known:
            sheet.put("tracking.to", known, key)
        if others := [name for name in names if name not in TRACKERS]:
            sheet.leave(key, f"{', '.join(others)} is not offered here; tracking.to has {', '.join(TRACKERS)}.")

    sheet.change(key, act)


def held_out(sheet: Sheet, key: str) -> None:
    """Rows held out of training: a number, or a share of all rows."""

    value = sheet.number(key)
    if value is not None:
        sheet.put("evaluation.held_out_rows" if value >= 1 else "evaluation.held_out_share", value, key)


def target_modules(sheet: Sheet, key: str) -> None:
    """Which layers get an adapter; a pattern (and no list of names) cannot be said in a recipe."""

    def act(value: Any) -> None:
        names = value if isinstance(value, list) else str(value).split(",")
        names = [str(name).strip().rpartition(".")[2] if "\\" not in str(name) else str(name) for name in names]
        if names in (["all"], ["all-linear"]):
            sheet.put("method.target_modules", ["all-linear"], key)
        elif all(name.replace("_", "").isalnum() for name in names):
            sheet.put("method.target_modules", list(dict.fromkeys(names)), key)
        else:
            sheet.leave(key, "A pattern; method.target_modules takes names of layers, or all-linear.")

    sheet.change(key, act)


def defaults(sheet: Sheet, table: Mapping[str, Any]) -> None:
    """Where the other program's own defaults differ from ours."""
    for key, value in table.items():
        if key == "training.gradient_accumulation_steps" and key in sheet.carried.answers:
            continue
        sheet.default(key, value)
