"""What several devices can share: the rules by which a recipe for more than one of them is accepted."""

from __future__ import annotations

from engine.errors import UserError
from engine.machine.detect import Machine
from engine.machine.packages import require_deepspeed
from engine.recipe import Recipe


def own_accumulation(recipe: Recipe, processes: int) -> int:
    """Micro-batches that each of `processes` learns in one optimizer step."""
    return recipe.training.gradient_accumulation_steps // processes


def check_devices(recipe: Recipe, processes: int) -> None:
    """UserError when the work of `recipe` cannot be shared by so many processes."""
    training = recipe.training
    if processes == 1:
        return
    if training.sharding != "none":
        _check_sharding(recipe)
    if training.gradient_accumulation_steps % processes:
        least = least_micro_batch(recipe.method.objective)
        raise UserError(*_undivided(training.micro_batch_size, training.gradient_accumulation_steps, processes, least))


def least_micro_batch(objective: str) -> int:
    """Rows that a micro-batch has at least: KTO compares the answers within one."""
    return 2 if objective == "kto" else 1


def _check_sharding(recipe: Recipe) -> None:
    training, fix = recipe.training, "Use --set training.sharding=none."
    if recipe.method.objective != "sft":
        what = (
            f"A model that learns by {recipe.method.objective} is not divided among GPUs: each holds the whole of it."
        )
        raise UserError(what, "training.sharding", fix)
    if recipe.method.name != "full" and training.sharding == "fsdp2":
        what = f"fsdp2 divides full fine-tuning only, and this is {recipe.method.name}: its base is not trained."
        raise UserError(what, "training.sharding", f"{fix[:-1]}, or zero3, which needs DeepSpeed.")
    if recipe.method.backend != "trl":
        raise UserError("Unsloth trains on one GPU.", "training.sharding", fix)
    if "8bit" in training.optimizer:
        raise UserError("An 8-bit optimizer cannot be divided among processes.", "training.optimizer",
                        "Use --set training.optimizer=adamw_torch_fused: divided, its state is small.")  # fmt: skip
    if training.precision == "fp16":
        raise UserError("fp16 needs its loss scaled, which a sharded run does not do.", "training.precision",
                        "Use bf16, or fp32.")  # fmt: skip


def _undivided(micro_batch: int, accumulation: int, processes: int, least: int) -> tuple[str, str, str]:
    rows = micro_batch * accumulation
    what = (f"The {accumulation} micro-batches of a step cannot be shared evenly by {processes} processes, so the "
            f"effective batch of {rows} rows would change.")  # fmt: skip
    sizes = [size for size in range(least, micro_batch + 1) if rows % (size * processes) == 0]
    if sizes:
        smaller = max(sizes)
        fix = (f"Use --set training.micro_batch_size={smaller} --set "
               f"training.gradient_accumulation_steps={rows // smaller}, which is the same batch.")  # fmt: skip
    else:
        fix = f"Use --set training.gradient_accumulation_steps={-(-accumulation // processes) * processes}."
    return what, "training.gradient_accumulation_steps", fix


def check_machine(recipe: Recipe, machine: Machine | None) -> None:
    """UserError when the recipe wants more GPUs than there are. Without any, its processes share the CPU."""
    gpus = [gpu for gpu in machine.gpus if gpu.kind == "cuda"] if machine is not None else []
    devices = recipe.training.devices
    if gpus and devices > len(gpus):
        what = f"The recipe is for {devices} GPUs, and {len(gpus)} can be used here."
        raise UserError(what, "training.devices", f"Use --set training.devices={len(gpus)}.")
    if devices > 1 and recipe.training.sharding.startswith("zero"):
        require_deepspeed()
