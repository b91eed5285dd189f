"""Put model, data and trainer together for one engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils.logging import disable_progress_bar

from engine.runs.store import Run
from engine.train import adapter, classes, facts, load, memory, resume, surroundings, unsloth
from engine.train.callbacks import Conductor
from engine.train.checkpoint import Checkpoint
from engine.train.evaluator import Evaluator
from engine.train.general_text import GeneralText
from engine.train.gpu_lock import claim_gpu
from engine.train.objective import label_names, make_batches, make_trainer, training_set
from engine.train.samples import SampleWriter
from engine.train.saving import Saver
from engine.train.schedule import make_schedule
from engine.train.session import Engine, Inputs, Session
from engine.train.share_setup import make_saver, make_sharing_trainer
from engine.train.trackers import TrackerFeed
from engine.train.training_state import read_progress


@dataclass(frozen=True)
class Machinery:
    """Everything that turns while a run goes on."""

    session: Session
    trainer: Any
    tokenizer: Any
    saver: Saver
    conductor: Conductor
    samples: SampleWriter
    batches: Any


def build(inputs: Inputs, engine: Engine) -> Machinery:
    """Load the model and connect all parts. Raises UserError for whatever cannot be loaded or has changed."""
    disable_progress_bar()  # it would draw into the log
    device = _choose_device(inputs.run, engine)
    recipe, data, start = inputs.recipe, inputs.data, inputs.start
    known = facts.make_facts(recipe, data.fingerprint, inputs.directory)
    if start is not None:
        resume.go_on(start, known, engine.reporter)
    dataset = training_set(inputs)
    schedule = make_schedule(recipe, len(dataset), len(data.held_out))
    session = Session(inputs.run, recipe, schedule, engine, known)
    session.baseline_bytes = engine.pulse.memory_bytes() if device.type == "cpu" else 0
    if start is not None:
        _take_up(session, start)
    else:
        engine.reporter.go_on_from(0, 0.0)
    tokenizer = load.load_tokenizer(inputs.directory)
    make = make_sharing_trainer if engine.world.size > 1 else make_trainer
    place = torch.device("cpu") if session.sharded else device
    trainer = make(inputs, session, _model(inputs, place, tokenizer), device, dataset, tokenizer)
    if recipe.method.name != "full" and not session.sharded:  # else before it was divided
        adapter.hold_trainable_in_fp32(trainer.model)
    batches = make_batches(inputs, session, trainer, tokenizer)
    return _connect(inputs, session, trainer, tokenizer, batches)


def _choose_device(run: Run, engine: Engine) -> torch.device:
    device = memory.choose_device()
    threads = int(os.environ.get("OMP_NUM_THREADS") or surroundings.cpu_threads())
    torch.set_num_threads(threads)
    engine.pulse.memory_bytes = memory.held_bytes(device)
    if device.type == "cuda":
        other = claim_gpu(str(torch.cuda.get_device_properties(device).uuid))
        if other:
            engine.reporter.warning(f"Another run works on this GPU ({other}), so memory may run out.", str(device),
                                    "Wait for it, or choose another GPU with CUDA_VISIBLE_DEVICES.")  # fmt: skip
    if device.type == "cpu" and run.recipe().training.precision == "fp16":
        what = "Half precision has no use on a processor: this run trains in fp32."
        fix = "Set training.precision=fp32 to be rid of this line."
        engine.reporter.warning(what, "training.precision", fix)
    if engine.world.leads:
        facts.write_environment(run, device, threads)
    return device


def _take_up(session: Session, start: Checkpoint) -> None:
    """Count on from where the checkpoint was made."""
    session.progress = read_progress(start.path)
    session.engine.reporter.go_on_from(start.step, session.progress.elapsed_seconds)
    session.evaluations.stale = session.progress.stale
    if session.progress.lowest_loss is not None:
        session.evaluations.lowest = session.progress.lowest_loss
    if session.progress.best_loss is not None:
        watch = session.evaluations
        watch.best_loss = watch.saved_loss = session.progress.best_loss
        watch.best_step = watch.saved_step = session.progress.best_step


def _model(inputs: Inputs, device: torch.device, tokenizer: Any) -> Any:
    """The model to train: a full model comes from the checkpoint itself when there is one."""
    recipe, start = inputs.recipe, inputs.start
    if recipe.method.objective == "classify":
        return _classifier(inputs, device, tokenizer)
    if recipe.method.backend == "unsloth":
        return _model_of_unsloth(inputs, device)
    if recipe.method.name == "full":
        return load.load_model(start.path if start is not None else inputs.directory, recipe, device)
    base = load.load_model(inputs.directory, recipe, device)
    if inputs.files.is_adapter and inputs.files.directory is not None:
        return adapter.open_adapter(base, inputs.files.directory)
    return adapter.add_adapter(base, recipe.method, recipe.training.seed)


def _classifier(inputs: Inputs, device: torch.device, tokenizer: Any) -> Any:
    """The same with a head for the labels of the data."""
    recipe, start = inputs.recipe, inputs.start
    full = recipe.method.name == "full"
    directory = start.path if full and start is not None else inputs.directory
    model = classes.load_classifier(directory, recipe, device, label_names(inputs), tokenizer.pad_token_id)
    return model if full else classes.add_adapter(model, recipe)


def _model_of_unsloth(inputs: Inputs, device: torch.device) -> Any:
    """The same by Unsloth, which was imported before everything else."""
    recipe, start = inputs.recipe, inputs.start
    full = recipe.method.name == "full"
    directory = start.path if full and start is not None else inputs.directory
    base = unsloth.load_model(directory, recipe, load.base_dtype(recipe, device))
    if inputs.files.is_adapter and inputs.files.directory is not None:
        return adapter.open_adapter(base, inputs.files.directory)
    return base if full else unsloth.add_adapter(base, recipe)


def _connect(inputs: Inputs, session: Session, trainer: Any, tokenizer: Any, batches: Any) -> Machinery:
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.parts = session.progress.parts
    saver = make_saver(session, trainer)
    prompts = inputs.prompts if session.world.leads or session.sharded else []
    prompts = [] if session.recipe.method.objective == "classify" else prompts  # it writes nothing
    samples = SampleWriter(session, trainer, tokenizer, prompts, inputs.template.stop_ids)
    evaluator = Evaluator(session, trainer, saver, batches, samples)
    conductor = Conductor(session, trainer, saver, evaluator)
    trainer.on_shrunk = conductor.shrunk
    trainer.add_callback(conductor)
    if session.recipe.tracking.to and session.world.leads:
        evaluator.trackers = TrackerFeed(session, trainer.args)
        trainer.add_callback(evaluator.trackers)
    if inputs.data.general:
        evaluator.general = GeneralText(session, trainer, inputs.data.general, tokenizer.pad_token_id)
    return Machinery(session, trainer, tokenizer, saver, conductor, samples, batches)
