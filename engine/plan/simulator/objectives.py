"""The loss of an objective that compares answers or chooses labels, on fake tensors: TRL's own code where it has one.

TRL's trainers are made without their constructors, which want data and a tokenizer, and given the few attributes that
their loss functions read. Batches have the columns of the engine's own collators.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from engine.plan.preference import reads_reference, rows_at_once
from engine.plan.simulator.request import Simulation

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
HEAD_OUTPUTS = {
    "sft": ("log_probs", "entropy", "is_top1"), "dpo": ("log_probs", "entropy", "mean_logits", "is_top1"),
    "kto": ("log_probs", "entropy", "mean_logits"),
}  # fmt: skip
"""What TRL's trainers ask the chunked loss for; ORPO and classification do not use it."""
LABELS = 16
"""Labels of a classification: their number is not known to a plan, and a head of any usual one weighs nothing."""


def batch(request: Simulation) -> dict[str, torch.Tensor]:
    """A micro-batch as the engine's collator makes it, all rows filled."""
    rows, length = rows_at_once(request.shape), request.shape.sequence_length

    def integers(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.int64)

    found = {name: integers(rows, length) for name in ("input_ids", "attention_mask")}
    if request.shape.objective == "classify":
        return {**found, "labels": integers(rows, 1)}
    found["completion_mask"] = integers(rows, length)
    names = {"dpo": ("ref_chosen_logps", "ref_rejected_logps"), "kto": ("ref_logps", "ref_KL_logps")}
    if request.shape.objective == "kto":
        found |= {f"KL_{name}": integers(rows, length) for name in tuple(found)}
        found["label"] = torch.zeros(rows, dtype=torch.bool)
    if not reads_reference(request.shape):
        count = request.shape.micro_batch_size
        found |= {name: torch.zeros(count) for name in names.get(request.shape.objective, ())}
    return found


def loss_of(request: Simulation, model: Any, reference: Any) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
    """The loss function of the request's objective. `reference` is a second model, None where there is none."""
    for one in filter(None, (model, reference)):
        _call_as_trainers_do(request, one)
    makers = {"dpo": _dpo, "kto": _kto, "orpo": _orpo}
    objective = request.shape.objective
    if objective == "classify":
        return lambda inputs: _choose_label(model, inputs)
    trainer = makers[objective]()
    trainer.model, trainer.ref_model = model, reference
    trainer.accelerator = SimpleNamespace(
        device=torch.device("cpu"), gather=_same, gather_for_metrics=_same, unwrap_model=_same
    )
    trainer.args = SimpleNamespace(gradient_checkpointing_kwargs={"use_reentrant": False})
    trainer.precompute_ref_logps = not reads_reference(request.shape)
    trainer.beta, trainer.aux_loss_enabled = 0.1, False
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer._total_train_tokens, trainer._tp_size = 0, 1
    if objective == "orpo":
        return lambda inputs: _of_odds(trainer, model, inputs)
    return lambda inputs: _tensor(trainer._compute_loss(model, inputs, False))


def _dpo() -> Any:
    from trl import DPOTrainer

    trainer = DPOTrainer.__new__(DPOTrainer)
    trainer.ld_alpha, trainer.f_divergence_type, trainer.use_weighting = None, "reverse_kl", False
    trainer.loss_types, trainer.loss_weights, trainer.label_smoothing = ["sigmoid"], [1.0], 0.0
    return trainer


def _kto() -> Any:
    from trl import KTOTrainer

    trainer = KTOTrainer.__new__(KTOTrainer)
    trainer.calculate_KL, trainer.loss_type = True, "kto"
    trainer.desirable_weight = trainer.undesirable_weight = 1.0
    return trainer


class PickedRowByRow(torch.autograd.Function):  # type: ignore[misc]
    """trl's selective_log_softmax in fp32. The gradients of single rows come as gradients of all rows and are added up
    in place, which autograd does not do with fake tensors: they would be counted once too often."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(logits, index)
        return logits.new_empty(index.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, _ = ctx.saved_tensors
        summed, next_row = torch.empty_like(logits), torch.empty_like(logits)
        del next_row
        return summed, None


def _orpo() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        from trl.experimental.orpo import ORPOTrainer

    class Concatenated(ORPOTrainer):  # type: ignore[misc]
        """With batches that hold the chosen and the rejected rows already, as the engine makes them."""

        @staticmethod
        def concatenated_inputs(batch: dict[str, torch.Tensor], *_: Any, **__: Any) -> dict[str, torch.Tensor]:
            labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
            found = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
            return {f"concatenated_{name}": value for name, value in found.items()}

    trainer = Concatenated.__new__(Concatenated)
    trainer.is_encoder_decoder, trainer.padding_value = False, 0
    return trainer


def _of_odds(trainer: Any, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    pairs = inputs["input_ids"].shape[0] // 2
    given = {**inputs, "chosen_labels": inputs["input_ids"][:pairs]}
    from trl.experimental.orpo import orpo_trainer

    with patch.object(orpo_trainer, "selective_log_softmax", PickedRowByRow.apply):
        return _tensor(trainer.get_batch_loss_metrics(model, given, train_eval="train")[0])


def _choose_label(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """engine/train/classes.py, ClassTrainer.compute_loss."""
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    return torch.nn.functional.cross_entropy(logits.float(), inputs["labels"][:, 0], reduction="sum")


def _call_as_trainers_do(request: Simulation, model: Any) -> None:
    """Each call under autocast of its own and with results in fp32, as accelerate prepares a model; the mask of pairs
    of tokens in place of the rows' own, which transformers leaves out where no row is padded."""
    dtype = AUTOCAST.get(request.shape.precision) if request.autocast else None
    plain, length = model.forward, request.shape.sequence_length

    def forward(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("attention_mask", None)
        if request.padded:
            rows = (args[0] if args else kwargs["input_ids"]).shape[0]
            kwargs["attention_mask"] = torch.zeros(rows, 1, length, length, dtype=torch.bool)
        with torch.autocast("cpu", dtype=dtype) if dtype is not None else nullcontext():
            output = plain(*args, **kwargs)
        return output if dtype is None else _widened(output)

    model.forward = forward


def _widened(output: Any) -> Any:
    values = {name: value.float() if _is_float(value) else value for name, value in output.items()}
    return type(output)(**values)


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _same(value: Any) -> Any:
    return value


def _tensor(value: Any) -> torch.Tensor:
    assert isinstance(value, torch.Tensor)
    return value
