"""What every trainer of a run does beside its objective: a second try when memory runs out, our way of resuming."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from transformers import Trainer

from engine.errors import UserError
from engine.train.dataset import Batch, largest_cut, longest_batch, split_batch, take_counts
from engine.train.evaluation import Evaluation, Tally, TokenTally, tally_up
from engine.train.out_of_memory import OutOfMemory, free_memory, is_out_of_memory


class Enduring(Trainer):  # type: ignore[misc]
    """Stands before one of TRL's trainers among the bases of a class."""

    data_collator: Any
    optimizer: Any
    current_gradient_accumulation_steps: int

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        recompute_activations(self.model, self.args)
        self.model_accepts_loss_kwargs = True  # our losses are divided by what the whole effective batch holds
        self.parts = 1
        """Into how many pieces each micro-batch is cut; doubled when memory runs out."""
        self.on_shrunk: Any = None
        """Called with the new number of parts after memory ran out."""
        self.step_tokens = 0
        self.step_trained_tokens = 0
        self.gradient_norm = 0.0
        self._batches: list[Batch] = []
        self._position = 0

    @property
    def rows_per_step(self) -> int:
        """The effective batch, but for a last step of an epoch."""
        return int(self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps)

    @property
    def learned_rows(self) -> Any:
        """The training set without rows that teach nothing."""
        return self.train_dataset

    def keep_batches(self, batches: list[Batch]) -> None:
        """Count the tokens of an optimizer step, and keep its micro-batches in case it has to be done again."""
        counts = [take_counts(batch) for batch in batches]
        self.step_tokens = sum(tokens for tokens, _ in counts)
        self.step_trained_tokens = sum(trained for _, trained in counts)
        self._batches, self._position = batches, 0

    def longest_batch(self) -> Batch:
        """The micro-batch of this run that takes most memory."""
        rows = int(self.args.per_device_train_batch_size)
        return longest_batch(self.train_dataset, self.data_collator, rows)

    def tally(self) -> Tally:
        """A fresh count of what the objective measures on held-out rows."""
        return TokenTally(self.model, self.args.device)

    def measure(self, batches: Iterable[Batch], between: Callable[[], bool] | None = None) -> Evaluation | None:
        """The held-out rows as `engine.train.evaluation.tally_up` measures them; None when `between` gave it up."""
        return tally_up(self.model, self.tally(), batches, between or (lambda: True))

    def step_log(self) -> dict[str, list[float]]:
        """What each micro-batch of this step logged beside its loss, by TRL's names; the means of it are said."""
        return {}

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch; cut into smaller pieces when memory runs out."""
        self._position += 1
        try:
            return self._in_parts(model, inputs, num_items_in_batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # outside of the handler, whose traceback would keep every activation alive
        return self._again_in_smaller_parts(model, num_items_in_batch)

    def _in_parts(self, model: Any, inputs: Batch, items: Any) -> torch.Tensor:
        if self.parts == 1:
            return super().training_step(model, dict(inputs), items)
        pieces = split_batch(inputs, self.parts)
        whole = self.current_gradient_accumulation_steps
        self.current_gradient_accumulation_steps = whole * len(pieces)
        try:
            losses = [super(Enduring, self).training_step(model, piece, items) for piece in pieces]
        finally:
            self.current_gradient_accumulation_steps = whole
        return torch.stack(losses).sum()

    def _again_in_smaller_parts(self, model: Any, items: Any) -> torch.Tensor:
        """Do the optimizer step's micro-batches again up to this one. Gradients so far are thrown away: the failed
        backward pass may have added a part of its own to them."""
        batches = self._batches[: self._position]
        while True:
            model.zero_grad(set_to_none=True)
            self.step_log().clear()
            free_memory()
            if self.parts >= largest_cut(batches):
                raise OutOfMemory(self.parts)
            self.parts *= 2
            try:
                loss = [self._in_parts(model, batch, items) for batch in batches][-1]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                continue
            if self.on_shrunk is not None:
                self.on_shrunk(self.parts)
            return loss

    def backward(self, loss: torch.Tensor) -> None:
        """The backward pass of a rehearsal, where no gradient is scaled."""
        loss.backward()

    def step_without_effect(self) -> None:
        """A step of the optimizer that makes its state and changes no weight."""
        for weight in self.model.parameters():
            if weight.grad is not None:
                weight.grad.zero_()  # Adam does nothing with a gradient of zero and a rate of zero
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = 0.0, 0.0
        self.optimizer.step()

    def forget_practice(self) -> None:
        """Let go of everything that a rehearsal left."""
        self.model.zero_grad(set_to_none=True)
        self.optimizer = None

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self.gradient_norm = math.nan if norm is None else float(norm)
        return norm

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put the adapter of a checkpoint into the model, each weight in the format it has here.

        A full model was loaded from the checkpoint itself before the trainer was built.
        """
        if hasattr(self.model, "peft_config"):
            load_adapter(self.model, resume_from_checkpoint)


def load_adapter(model: Any, checkpoint: str) -> None:
    """Put the adapter of a checkpoint into `model`, each weight in the format it has here.

    Raises UserError when it does not fit.
    """
    from peft import set_peft_model_state_dict

    weights = safetensors.torch.load_file(str(Path(checkpoint) / "adapter_model.safetensors"))
    dtypes = {name: weight.dtype for name, weight in model.named_parameters() if weight.requires_grad}
    result = set_peft_model_state_dict(model, weights)
    missing = [key for key in result.missing_keys if "lora_" in key and ".ref." not in key]
    if result.unexpected_keys or missing:
        what = "The adapter in the checkpoint does not fit the model of this recipe."
        raise UserError(what, checkpoint, "Start a new run with the changed recipe.")
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.dtype != dtypes[name]:
            weight.data = weight.data.to(dtypes[name])


def recompute_activations(model: Any, args: Any) -> None:
    """Switch gradient checkpointing on where it is wanted: transformers does so only when training begins, and the
    rehearsal before it would measure a step that keeps every activation."""
    wanted = getattr(args, "activation_checkpointing", None)
    if wanted if wanted is not None else args.gradient_checkpointing:
        name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
        options = {f"{name}_checkpointing_kwargs": {"use_reentrant": False}}
        getattr(model, f"{name}_checkpointing_enable")(**options)
