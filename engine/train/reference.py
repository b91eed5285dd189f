"""The model as it was at the start, which DPO and KTO compare with: beside every step, or computed once and kept.

With an adapter the reference is the base with the adapter off (or the adapter that training began with). Of a full
fine-tune it is a second copy of the base model; computed once, it is gone before the first step, and its
log-probabilities lie in the run directory, since a resumed full run has no untrained model at hand.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch.utils.data import DataLoader

from engine.recipe import Recipe
from engine.runs.files import read_json, write_atomic
from engine.train import load
from engine.train.dataset import Batch, rows_of, split_batch, take_counts
from engine.train.out_of_memory import free_memory, is_out_of_memory
from engine.train.preference_data import JUDGED_REFERENCES, PAIR_REFERENCES
from engine.train.session import Inputs, Session

FILE = "reference.json"


class EndedEarly(Exception):
    """The run shall end before the reference was computed to its end."""


def needs_reference(recipe: Recipe) -> bool:
    return recipe.method.objective in {"dpo", "kto"}


def held_reference(inputs: Inputs, device: torch.device) -> Any:
    """A second copy of the base model, where the recipe keeps one beside the trained one; else None."""
    method = inputs.recipe.method
    if not needs_reference(inputs.recipe) or method.name != "full" or method.reference == "precomputed":
        return None
    return load.load_model(inputs.directory, inputs.recipe, device).eval().requires_grad_(False)


def precompute(inputs: Inputs, session: Session, trainer: Any, held_out: Any) -> Any:
    """Give `trainer` and the dataset of held-out rows (or None) the reference's log-probabilities; return the latter.

    Raises EndedEarly when the run shall end meanwhile.
    """
    known: dict[str, dict[str, list[float]]] | None = session.world.tell(_known(session))
    if known is None:
        session.reporter.phase("loading model", "computing the reference once")
        model = _reference_model(inputs, trainer)
        parts = {"train": trainer.learned_rows, "held_out": held_out}
        known = {name: _columns(session, trainer, model, part) for name, part in parts.items() if part is not None}
        if session.world.leads:
            document = {"of": _identity(session), "columns": known}
            write_atomic(session.reporter.run.path / FILE, json.dumps(document))
        del model
        free_memory()
    trainer.take_references(known["train"])
    for name, values in known.get("held_out", {}).items():
        held_out = held_out.add_column(name, values)
    return held_out


def _identity(session: Session) -> dict[str, Any]:
    """What the numbers hang on: rows, model, and into which micro-batches the rows were put."""
    rows = session.recipe.training.micro_batch_size if session.recipe.method.objective == "kto" else 0
    return {"data": session.facts["data"], "model": session.facts["model"], "rows": rows}


def _known(session: Session) -> dict[str, dict[str, list[float]]] | None:
    """What an earlier engine of this run computed; only the process that leads is asked."""
    document = read_json(session.reporter.run.path / FILE)
    if document.get("of") != _identity(session) or not isinstance(document.get("columns"), dict):
        return None
    columns: dict[str, dict[str, list[float]]] = document["columns"]
    return columns


def _reference_model(inputs: Inputs, trainer: Any) -> Any:
    """The model itself where it is untrained or its adapter can be switched off, else the base loaded once more."""
    if inputs.recipe.method.name != "full" or inputs.start is None:
        return trainer.model
    from trl.trainer.utils import add_fused_lm_head

    model = load.load_model(inputs.directory, inputs.recipe, trainer.args.device).to(trainer.args.device)
    add_fused_lm_head(model)
    return model


def _columns(session: Session, trainer: Any, model: Any, dataset: Any) -> dict[str, list[float]]:
    """Of every row. Each process reads every so-many-th batch, and all know all of them afterwards."""
    names = JUDGED_REFERENCES if session.recipe.method.objective == "kto" else PAIR_REFERENCES
    size, world = int(trainer.args.per_device_train_batch_size), session.world
    own: list[list[list[float]]] = []
    was_training = model.training
    model.eval()
    loader = DataLoader(dataset, batch_size=size, shuffle=False, collate_fn=trainer.data_collator)
    for number, batch in enumerate(loader):
        if number % world.size == 0:
            _refuse_to_go_on_at_the_end(session)
        if number % world.size == world.rank:
            take_counts(batch)
            own.append(_log_probabilities(trainer, model, batch))
    model.train(was_training)
    shares = [json.loads(one) for one in world.gather(json.dumps(own).encode())]
    batches = [shares[number % world.size][number // world.size] for number in range(len(loader))]
    return {name: [value for batch in batches for value in batch[place]] for place, name in enumerate(names)}


def _refuse_to_go_on_at_the_end(session: Session) -> None:
    """Raises EndedEarly, in all processes, when the run shall end. Other orders wait until training begins."""
    session.reporter.tick()
    session.orders.look()
    if session.orders.ending is not None:
        raise EndedEarly


def _log_probabilities(trainer: Any, model: Any, batch: Batch) -> list[list[float]]:
    """One list for each column, by TRL's own computation; row by row when a batch does not fit into memory at once."""
    here = {name: value.to(trainer.args.device) for name, value in batch.items() if name != "pairs"}
    try:
        return [values.float().tolist() for values in trainer.compute_ref_log_probs(model, here)]
    except Exception as error:
        if not is_out_of_memory(error) or rows_of(batch) == 1:
            raise
    free_memory()
    pieces = [_log_probabilities(trainer, model, piece) for piece in split_batch(batch, rows_of(batch))]
    return [[value for piece in pieces for value in piece[column]] for column in range(len(pieces[0]))]
