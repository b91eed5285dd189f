"""The objective of a run: its training set, its trainer, and the batches on which it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from engine.data.rendered import Rendered
from engine.recipe import Recipe
from engine.train import reference
from engine.train.arguments import make_arguments
from engine.train.classes import ClassCollator, ClassTrainer, held_out_batches, make_classes, names_of
from engine.train.dataset import Batch, evaluation_batches, make_dataset, take_counts
from engine.train.enduring import Enduring
from engine.train.preference_data import JudgedCollator, PairCollator, make_judged, make_pairs
from engine.train.session import Inputs, Session
from engine.train.trainer import RunTrainer


def training_set(inputs: Inputs) -> Any:
    """The rows of a run as its objective learns them. Raises UserError for rows that teach nothing."""
    data = inputs.data
    if inputs.recipe.method.objective == "classify":
        return make_classes(data.train, data.train_examples, label_names(inputs))
    return make_training_set(data.train, inputs.recipe)


def label_names(inputs: Inputs) -> list[str]:
    """The labels of a classification in the order of their numbers; none for other objectives."""
    if inputs.recipe.method.objective != "classify":
        return []
    return names_of(inputs.data.train_examples, inputs.data.held_out_examples)


def make_training_set(rows: Sequence[Rendered], recipe: Recipe, shuffled: bool = True) -> Any:
    """The rows as this objective learns them. Raises UserError for rows that teach nothing."""
    if recipe.method.objective == "sft":
        return make_dataset(rows, recipe.training)
    if recipe.method.objective == "kto":
        return make_judged(rows, recipe.training, recipe.training.seed if shuffled else None)
    return make_pairs(rows, recipe.training)


def make_trainer(
    inputs: Inputs, session: Session, model: Any, device: torch.device, dataset: Any, tokenizer: Any
) -> Any:
    """The trainer of the recipe's objective."""
    arguments = make_arguments(inputs.recipe, session.schedule, device, inputs.run.checkpoints_dir)
    kind, own = choose_trainer(inputs, session, arguments, device, dataset, tokenizer.pad_token_id)
    return kind(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, **own)


def choose_trainer(
    inputs: Inputs, session: Session, arguments: Any, device: torch.device, dataset: Any, pad: int
) -> tuple[type[Enduring], dict[str, Any]]:
    """The kind of trainer that learns the recipe's objective, and what it takes beside model, rows and `arguments`."""
    recipe = inputs.recipe
    if recipe.method.objective == "sft":
        return RunTrainer, {}
    if recipe.method.objective == "classify":
        return ClassTrainer, {"data_collator": ClassCollator(pad)}
    if recipe.method.dropout:
        session.reporter.warning("Dropout is off where answers are compared: it would compare noise.", "method.dropout",
                                 "Set method.dropout=0 to be rid of this line.")  # fmt: skip
    if recipe.method.objective == "orpo":
        from engine.train.odds_ratio import OrpoTrainer

        session.reporter.warning("ORPO is experimental in TRL: it may change or go with a newer version of it.",
                                 "method.objective", "DPO learns from the same rows and is stable.")  # fmt: skip
        return OrpoTrainer, {"data_collator": PairCollator(pad)}
    from engine.train.preference import DpoTrainer, KtoTrainer

    held = reference.held_reference(inputs, device)
    if recipe.method.objective == "dpo":
        return DpoTrainer, {"ref_model": held, "data_collator": PairCollator(pad)}
    _weigh(session, arguments, dataset)
    return KtoTrainer, {"ref_model": held, "data_collator": JudgedCollator(pad)}


def make_batches(inputs: Inputs, session: Session, trainer: Any, tokenizer: Any) -> Any:
    """Batches of the held-out rows, None without any. Computes the reference where the recipe wants it beforehand.

    Raises EndedEarly when the run shall end while that goes on.
    """
    recipe, rows = inputs.recipe, inputs.data.held_out
    size = recipe.training.micro_batch_size
    if recipe.method.objective == "sft":
        return evaluation_batches(rows, tokenizer.pad_token_id, size) if rows else None
    if recipe.method.objective == "classify":
        held = make_classes(rows, inputs.data.held_out_examples, label_names(inputs)) if rows else None
        return held_out_batches(held, trainer.data_collator, size) if held else None
    held_out = make_training_set(rows, recipe, shuffled=False) if rows else None
    if recipe.method.reference == "precomputed" and reference.needs_reference(recipe):
        held_out = reference.precompute(inputs, session, trainer, held_out)
    if held_out is None:
        return None

    def collate(examples: list[dict[str, Any]]) -> Batch:
        batch: Batch = trainer.data_collator(examples)
        take_counts(batch)
        return batch

    return DataLoader(held_out, batch_size=size, shuffle=False, collate_fn=collate, generator=torch.Generator())


def _weigh(session: Session, arguments: Any, dataset: Any) -> None:
    """Let good and bad rows count the same in sum, unless the recipe says how (KTO paper, equation 8)."""
    good = sum(dataset["label"])
    bad = len(dataset) - good
    if not good or not bad:
        side = "good" if good else "bad"
        session.reporter.warning(f"All rows are marked {side}, so there is nothing to tell them from.", "data.source",
                                 "Give rows of both kinds, or use the objective sft.")  # fmt: skip
    chosen = session.recipe.method.desirable_weight
    arguments.desirable_weight = chosen or (round(bad / good, 4) if good and bad else 1.0)
    if not chosen and good != bad and good and bad:
        what = f"{good} rows are marked good and {bad} bad; a good one counts {arguments.desirable_weight:g} times."
        session.reporter.warning(what, "method.desirable_weight", kind="data")
