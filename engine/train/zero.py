"""A model that is divided by DeepSpeed: ZeRO-2 divides gradients and optimizer, ZeRO-3 the weights as well.

It divides what FSDP2 leaves whole here: the frozen base of LoRA, and of QLoRA in 4 bits. DeepSpeed's engine is used
directly, below a trainer that sees one process, so that rows, orders, checkpoints and events are those of every other
run. With 16-bit weights DeepSpeed keeps a copy of the trained ones in fp32; a checkpoint holds it as `master`.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from engine.errors import UserError, first_line
from engine.machine.packages import require_deepspeed
from engine.recipe import Recipe
from engine.train.divided import DividedSaver, DividedTrainer, gathered
from engine.train.training_state import Whole
from engine.train.zero_state import set_state, whole_master, whole_state, whole_weight

OTHERWISE = "Use --set training.sharding=none, or fsdp2."
STAGES = {"zero2": 2, "zero3": 3}
BUCKET_NUMBERS = 16_000_000
"""Gradients travel in pieces of so many numbers, and as many are gathered ahead; DeepSpeed's own half a billion would
take a gigabyte."""


class ZeroTrainer(DividedTrainer):
    """`divide` must be called before anything is computed."""

    def divide(self, recipe: Recipe, device: torch.device) -> None:
        """Divide the model, which lies in the host's memory, and its optimizer; each process moves its part to
        `device`. Raises UserError without DeepSpeed.
        """
        stage, config = STAGES[recipe.training.sharding], _config(recipe)
        _import_deepspeed(device)
        whole = sum(weight.numel() for weight in self.model.parameters())
        _move_quantization(self.model, device)
        if stage == 3:
            _part_weights(self.model, config, device)
        optimizer = super().create_optimizer()
        self._groups = [list(group["params"]) for group in optimizer.param_groups]
        whole_groups = [{**group} for group in optimizer.param_groups]
        self._rates = [(group["lr"], group["weight_decay"]) for group in whole_groups]
        self._engine, self._zero = _initialize(self.model, optimizer, config)
        self._holds_gradients = False
        kept = iter(self._zero.param_groups)  # it drops groups without weights
        self.optimizer = EngineOptimizer([next(kept) if group["params"] else group for group in whole_groups])
        self.accelerator.backward = self.backward
        held = sum(getattr(weight, "ds_tensor", weight).numel() for weight in self.model.parameters())
        sys.stderr.write(f"ZeRO-{stage}: this process holds {held} of {whole} weights\n")

    def create_optimizer(self, *_: Any) -> Any:
        """The one that exists already."""
        return self.optimizer

    def compute_loss(self, model: Any, *arguments: Any, **options: Any) -> Any:
        """The loss through DeepSpeed's engine, which watches for weights that a layer borrows from another."""
        return super().compute_loss(self._engine, *arguments, **options)

    def backward(self, loss: torch.Tensor, **_: Any) -> None:
        """DeepSpeed takes the mean over processes where this program adds up."""
        self._engine.backward(loss * self.world.size)
        self._holds_gradients = True

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Take the step: DeepSpeed knows the norm only afterwards. It leaves a step out whose gradient is no number."""
        self._step()
        norm = math.nan if self._zero.overflow else self._engine.get_global_grad_norm()
        self.gradient_norm = math.nan if norm is None else float(norm)
        return self.gradient_norm

    def _clip_grad_norm(self, model: Any) -> None:
        """DeepSpeed clips within its step."""

    def step_without_effect(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = 0.0, 0.0
        self._step()

    def _step(self) -> None:
        self._engine.step()
        self._holds_gradients = False

    def forget_practice(self) -> None:
        """Put the optimizer back to where it has seen nothing."""
        if self._holds_gradients:
            self.step_without_effect()
        for state in self._states():
            for value in state.values():
                value.zero_()
        if self._zero.__class__.__name__ == "DeepSpeedZeroOptimizer":
            # 0.19 connects weights with their state after the first group's first step, when other groups have none
            self._zero._hp_optimizer_states_linked = False
            self._zero._lazy_init_hp_params_optimizer_state()
        for group, (rate, decay) in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"], group["weight_decay"] = rate, decay

    def _states(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = list(self._zero.optimizer.state.values())
        assert found, "the rehearsal makes the optimizer's state"
        return found

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights were loaded before they were divided."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Give every process its part of a whole optimizer."""
        if checkpoint is None:
            return
        document = torch.load(Path(checkpoint) / "optimizer.pt", map_location="cpu", weights_only=True, mmap=True)
        for index, weight in enumerate(weight for group in self._groups for weight in group):
            set_state(weight, document["state"].get(index, {}))
        steps = [float(state["step"]) for state in document["state"].values()]
        for state in self._states():
            state["step"].fill_(max(steps, default=0.0))
        for group, before in zip(self.optimizer.param_groups, document["param_groups"], strict=True):
            group["lr"] = before["lr"]  # the schedule sets it only after a step
        schedule = torch.load(Path(checkpoint) / "scheduler.pt", map_location="cpu", weights_only=True)
        self.lr_scheduler.load_state_dict(schedule)

    def whole(self, keep: bool) -> Whole:
        """Weights and optimizer as one process has them. A collective."""
        return Whole(self._whole_weights(keep), self._whole_optimizer(keep))

    def _whole_weights(self, keep: bool) -> dict[str, torch.Tensor]:
        """All of a full model; of one with an adapter only the adapter, in fp32."""
        weights = self.model.state_dict(keep_vars=True).items()
        if not hasattr(self.model, "peft_config"):
            return gathered(iter(weights), whole_weight, keep)
        trained = ((name, weight) for name, weight in weights if weight.requires_grad)
        return gathered(trained, whole_master, keep)

    def _whole_optimizer(self, keep: bool) -> dict[str, Any]:
        steps = float(self._states()[0]["step"])
        state: dict[int, dict[str, torch.Tensor]] = {}
        groups = []
        for group, weights in zip(self.optimizer.param_groups, self._groups, strict=True):
            numbers = range(len(state), len(state) + len(weights))
            state.update({number: whole_state(weight, keep) for number, weight in zip(numbers, weights, strict=True)})
            groups.append({**{name: value for name, value in group.items() if name != "params"}, "params": [*numbers]})
        for values in state.values():
            values["step"] = torch.tensor(steps)
        return {"state": state, "param_groups": groups} if keep else {}


class EngineOptimizer(torch.optim.Optimizer):  # type: ignore[misc]
    """What trainer and schedule take for an optimizer: it holds the rates; the step itself is DeepSpeed's."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__([torch.nn.Parameter(torch.zeros(1))], {})
        self.param_groups = groups

    def step(self, closure: Any = None) -> None:
        """Nothing: `ZeroTrainer._get_grad_norm` has taken it."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: DeepSpeed lets gradients go when it has taken its step."""

    def state_dict(self) -> dict[str, Any]:
        return {"state": {}, "param_groups": []}

    def load_state_dict(self, state_dict: Any) -> None:
        """Nothing: see `ZeroTrainer._load_optimizer_and_scheduler`."""


class ZeroSaver(DividedSaver):
    """Writes what DeepSpeed's engines hold together."""

    def _gather(self) -> Whole | None:
        whole: Whole = self.trainer.whole(self.session.world.leads)
        return whole


def _config(recipe: Recipe) -> dict[str, Any]:
    """DeepSpeed's configuration. Accumulation is left to the trainer, which knows how many micro-batches a step has."""
    training = recipe.training
    return {
        "train_micro_batch_size_per_gpu": training.micro_batch_size, "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False, "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": training.precision == "bf16", "check_grad_overflow": True},
        "zero_allow_untested_optimizer": True, "steps_per_print": sys.maxsize,
        "zero_optimization": {
            "stage": STAGES[training.sharding],
            "reduce_bucket_size": BUCKET_NUMBERS, "allgather_bucket_size": BUCKET_NUMBERS,
            "stage3_prefetch_bucket_size": BUCKET_NUMBERS, "stage3_max_live_parameters": BUCKET_NUMBERS,
            "stage3_max_reuse_distance": 0, "stage3_param_persistence_threshold": 0,
        },
    }  # fmt: skip


def _import_deepspeed(device: torch.device) -> None:
    """Import it as a part of this program. Raises UserError when it is missing or cannot work here."""
    require_deepspeed()
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ["LOCAL_RANK"] = "0"  # it reads this at every step; each process sees one GPU
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # one at every sum otherwise
    try:
        import deepspeed
    except Exception as error:  # it looks for a CUDA toolkit, for instance
        what = f"DeepSpeed cannot be imported: {first_line(error)}"
        raise UserError(what, "training.sharding", OTHERWISE) from error

    # its own sums through shared memory need a compiler, and know only processes of one machine
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _part_weights(model: Any, config: dict[str, Any], device: torch.device) -> None:
    """Part the weights one after the other. Left to DeepSpeed's engine, the whole model would come to the GPU first."""
    import deepspeed

    if config["bf16"]["enabled"]:
        for weight in model.parameters():
            if weight.is_floating_point():
                weight.data = weight.data.to(torch.bfloat16)
    deepspeed.zero.Init(module=model, config_dict_or_path=config)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)


def _initialize(model: Any, optimizer: Any, config: dict[str, Any]) -> tuple[Any, Any]:
    """DeepSpeed's engine and its optimizer, in the process group that exists. Raises UserError."""
    import deepspeed

    try:
        engine, zero, *_ = deepspeed.initialize(
            model=model, optimizer=optimizer, config=config, dist_init_required=False
        )
    except (AssertionError, ValueError, RuntimeError) as error:
        what = f"DeepSpeed cannot divide this model: {first_line(error)}"
        raise UserError(what, "training.sharding", OTHERWISE, 1) from error
    return engine, zero


def _move_quantization(model: Any, device: torch.device) -> None:
    """Move what belongs to 4-bit weights to the device: DeepSpeed moves the weights alone."""
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        if state is not None:
            state.to(device)
