"""Put the parts of one of several processes together: its trainer, its checkpoints, its samples."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from engine.errors import UserError
from engine.plan.devices import check_devices, own_accumulation
from engine.recipe import Recipe
from engine.train.adapter import hold_trainable_in_fp32
from engine.train.arguments import make_arguments
from engine.train.blank import with_blank
from engine.train.enduring import load_adapter
from engine.train.gradients import greet
from engine.train.objective import choose_trainer
from engine.train.saving import Saver
from engine.train.session import Inputs, Session
from engine.train.sharded import ShardedSaver, ShardedTrainer, shard
from engine.train.shared_saving import SharedSaver
from engine.train.sharing import Sharing, in_shares, set_own_randomness
from engine.train.world import World
from engine.train.zero import ZeroSaver, ZeroTrainer

DIVIDED: dict[str, Any] = {"fsdp2": ShardedTrainer, "zero2": ZeroTrainer, "zero3": ZeroTrainer}
SAVERS: dict[str, type[SharedSaver]] = {
    "none": SharedSaver, "fsdp2": ShardedSaver, "zero2": ZeroSaver, "zero3": ZeroSaver,
}  # fmt: skip
""" `training.sharding` -> what trains and what saves."""


def make_sharing_trainer(
    inputs: Inputs, session: Session, model: Any, device: torch.device, dataset: Any, tokenizer: Any
) -> Sharing:
    """A trainer for this process's share of every step. Raises UserError for what cannot be shared."""
    world = session.world
    check_devices(inputs.recipe, world.size)
    greet(device, world.size)
    refuse_differences(session.facts, world)
    folder = inputs.run.checkpoints_dir
    arguments = make_arguments(recipe_of_share(inputs.recipe, world.size), session.schedule, device, folder)
    usual, own = choose_trainer(inputs, session, arguments, device, dataset, tokenizer.pad_token_id)
    kind = DIVIDED.get(inputs.recipe.training.sharding) or in_shares(usual)
    if kind is ShardedTrainer:
        model = shard(model, world.size, device)
    trainer: Sharing = kind(
        world, session.engine.pulse.memory_bytes, model=model, args=arguments, train_dataset=with_blank(dataset),
        processing_class=tokenizer, **own,
    )  # fmt: skip
    if isinstance(trainer, ZeroTrainer):
        _divide(trainer, inputs, device)
    set_own_randomness(inputs.recipe.training.seed, world.rank)
    return trainer


def _divide(trainer: ZeroTrainer, inputs: Inputs, device: torch.device) -> None:
    """Divide a model by DeepSpeed, with the adapter as a checkpoint has it: a part cannot be loaded afterwards."""
    if inputs.recipe.method.name != "full":
        hold_trainable_in_fp32(trainer.model)
        if inputs.start is not None:
            load_adapter(trainer.model, str(inputs.start.path))
    trainer.divide(inputs.recipe, device)


def refuse_differences(known: dict[str, Any], world: World) -> None:
    """UserError in all processes when they read other rows, another model or another recipe, or have other libraries:
    on several machines a path may stand for another file. They would add up gradients of different things."""
    names = ("data", "model", "recipe", "versions")
    parts = {name: json.dumps(known.get(name), sort_keys=True) for name in names}
    all_parts = [json.loads(message) for message in world.gather(json.dumps(parts).encode())]
    other = [name for name in names if len({part[name] for part in all_parts}) > 1]
    if other:
        raise UserError(f"The processes of the run differ in: {', '.join(other)}.", "start",
                        "Give all machines the same files and the same versions of the libraries.")  # fmt: skip


def recipe_of_share(recipe: Recipe, processes: int) -> Recipe:
    """The recipe with the micro-batches of one process."""
    training = dataclasses.replace(recipe.training, gradient_accumulation_steps=own_accumulation(recipe, processes))
    return dataclasses.replace(recipe, training=training)


def make_saver(session: Session, trainer: Any) -> Saver:
    """What writes checkpoints here."""
    if session.world.size == 1:
        return Saver(session, trainer)
    return SAVERS[session.recipe.training.sharding](session, trainer)
