"""Run the step: load, forward, backward, optimizer, as often as asked, and read what the tracker saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.plan.formulas import takes_direct_loss
from engine.plan.simulator.allocator import least_capacity, replay
from engine.plan.simulator.build import Built, build, elements, is_adapter, quantized_tensors
from engine.plan.simulator.kernels import (
    HANDLE_WORKSPACE_BYTES,
    HOPPER_WORKSPACE_BYTES,
    device_emulation,
    extras_of,
)
from engine.plan.simulator.objectives import AUTOCAST, batch, loss_of
from engine.plan.simulator.optimizers import embeddings_of, make_optimizer, prepare_state
from engine.plan.simulator.request import Simulated, Simulation
from engine.plan.simulator.tracker import Tracker

Progress = Callable[[str], None]
Compute = Callable[[dict[str, Any]], tuple[torch.Tensor, Any]]
"""From a micro-batch to its loss and what else the forward pass returned."""


def make_tracker(request: Simulation) -> Tracker:
    """A tracker that counts as the request's device does."""
    if request.device == "cpu":
        return Tracker(1, extras_of(request))
    workspace = HOPPER_WORKSPACE_BYTES if request.capability >= (9, 0) else HANDLE_WORKSPACE_BYTES
    return Tracker(512, extras_of(request), workspace)


def follow(request: Simulation, tracker: Tracker, say: Progress = lambda phase: None) -> Built:
    """Build the model and run `request.steps` steps under the tracker; returns the model for what else is to be
    read."""
    with device_emulation(request, tracker), FakeTensorMode(allow_non_fake_inputs=True):
        say("building the model")
        built = build(request)
        _load(request, tracker, built)
        trained = [parameter for _, parameter in built.parameters if parameter.requires_grad]
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(lambda p: tracker.assign(p.grad, "gradients"))
        optimizer = make_optimizer(request.shape.optimizer, trained, embeddings_of(built.model))
        inputs = _inputs(request, built.model.config.vocab_size)
        compute = _loss_function(request, built)
        with tracker:
            for tensor in inputs.values():
                tracker.add(tensor, "activations")
            if request.steps == 1:
                tracker.begin("step")
                prepare_state(optimizer, trained)
                _assign_state(optimizer, tracker)
                for phase in ("forward", "backward"):  # a step that is not the first finds both handles taken
                    tracker.take_handle(phase)
                tracker.prepared = len(tracker.trace)
            for number in range(request.steps):
                say(f"step {number + 1} of {request.steps}")
                _step(request, tracker, compute, optimizer, trained, inputs)
    return built


def simulate(request: Simulation, say: Progress = lambda phase: None) -> Simulated:
    """Follow the step and sum it up. Takes seconds; no weights, no GPU."""
    started = time.monotonic()
    tracker = make_tracker(request)
    built = follow(request, tracker, say)
    say("replaying the allocator")
    trace = steady_trace(tracker)
    allocator = replay(trace, loaded=tracker.loaded)
    on_cuda = request.device == "cuda"
    allocated = allocator.peak_allocated if on_cuda else tracker.peak_bytes
    base = [elements(p, built.quantized.get(id(p))) for name, p in built.parameters if not is_adapter(name)]
    return Simulated(
        live_bytes=tracker.peak_bytes,
        allocated_bytes=allocated,
        reserved_bytes=allocator.peak_reserved if on_cuda else allocated,
        least_capacity_bytes=least_capacity(trace) if on_cuda else allocated,
        load_peak_bytes=tracker.phase_peaks.get("load", 0),
        static_bytes=sum(tracker.parts.get(part, 0) for part in ("weights", "adapters", "optimizer")),
        parts=tracker.peak_parts,
        phase_peaks=dict(tracker.phase_peaks),
        moment=tracker.peak_moment[0],
        parameters=sum(base),
        trainable_parameters=sum(p.numel() for _, p in built.parameters if p.requires_grad),
        operations=tracker.operations,
        seconds=time.monotonic() - started,
    )


def steady_trace(tracker: Tracker) -> list[tuple[int, int]]:
    """The trace of a run of two steps, from one step that was followed with its optimizer's state at hand.

    In a real run the first step comes before that state and leaves the cache in pieces for it and for the second step.
    """
    load, state = tracker.trace[: tracker.loaded], tracker.trace[tracker.loaded : tracker.prepared]
    step = tracker.trace[tracker.prepared :]
    if not tracker.prepared:  # several steps were followed; nothing is to be put together
        return tracker.trace
    own = {number for number, size in step if size >= 0}
    offset = max(number for number, _ in tracker.trace) + 1
    first = [(number + offset, size) for number, size in step if number in own]
    gone = {number for number, size in first if size < 0}
    first += [(number, -1) for number, size in first if size >= 0 and number not in gone]
    return [*load, *first, *state, *step]


def _load(request: Simulation, tracker: Tracker, built: Built) -> None:
    """Count the weights in the order and with the copies that loading makes."""
    warm = request.load_warmup if request.load_warmup is not None else request.shape.method == "qlora"
    if warm:  # transformers reserves the expected size in one piece and gives it back
        sizes = [_expected_bytes(p, built.quantized.get(id(p))) for name, p in built.parameters if not is_adapter(name)]
        tracker.brief(int(sum(sizes)))
    narrow: list[tuple[int, str, Any]] = []
    for name, parameter in built.parameters:
        state = built.quantized.get(id(parameter))
        part = "adapters" if is_adapter(name) else "weights"
        if state is not None:
            _load_quantized(tracker, parameter, state)
        elif request.prepared_for_kbit and not is_adapter(name):
            narrow.append((tracker.request(2 * parameter.numel()), part, parameter))
        else:
            tracker.add(parameter, part)
    for number, part, parameter in narrow:  # widened one by one while the 16-bit copies live
        tracker.add(parameter, part)
        tracker.give_back(number)
    for buffer in built.model.buffers():
        tracker.add(buffer, "weights")
    if built.reference is not None:
        for tensor in (*built.reference.parameters(), *built.reference.buffers()):
            tracker.add(tensor, "reference")
    tracker.mark(0, "loaded")
    tracker.loaded = len(tracker.trace)


def _load_quantized(tracker: Tracker, parameter: Any, state: Any) -> None:
    count = elements(parameter, state)
    whole = tracker.request(2 * count)
    tracker.add(parameter, "weights")
    scales = tracker.request(4 * -(-count // 64)) if state.state2 is not None else 0
    for tensor in quantized_tensors(state):
        tracker.add(tensor, "weights")
    tracker.give_back(scales)
    tracker.give_back(whole)


def _expected_bytes(parameter: Any, state: Any) -> float:
    return 0.5 * elements(parameter, state) if state is not None else 2.0 * parameter.numel()


def _inputs(request: Simulation, vocabulary: int) -> dict[str, torch.Tensor]:
    if request.shape.objective != "sft":
        return batch(request)
    rows, length = request.shape.micro_batch_size, request.shape.sequence_length
    inputs = {name: torch.zeros(rows, length, dtype=torch.int64) for name in ("input_ids", "labels")}
    if request.padded:
        inputs["attention_mask"] = torch.zeros(rows, 1, length, length, dtype=torch.bool)
    return inputs


def _step(
    request: Simulation, tracker: Tracker, compute: Compute, optimizer: Any, trained: list[Any], inputs: dict[str, Any]
) -> None:
    for _ in range(min(request.shape.accumulation, 2)):  # the second micro-batch meets the first one's gradients
        tracker.begin("forward")
        loss, output = compute(inputs)
        if not request.keep_outputs:
            del output
        tracker.begin("backward")
        loss.backward()
        loss = output = None
    tracker.begin("step")
    if request.clip:
        torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
    optimizer.step()
    _assign_state(optimizer, tracker)
    optimizer.zero_grad(set_to_none=True)
    tracker.begin("idle")


def _loss_function(request: Simulation, built: Built) -> Compute:
    if request.shape.objective == "sft":
        return lambda inputs: _forward(request, built.model, inputs)
    loss = loss_of(request, built.model, built.reference)
    return lambda inputs: (loss(inputs), None)


def _forward(request: Simulation, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, Any]:
    """The loss, and the model's output, which trainers let go before the backward pass."""
    dtype = AUTOCAST.get(request.shape.precision) if request.autocast else None
    with torch.autocast("cpu", dtype=dtype) if dtype is not None else nullcontext():
        if request.shape.chunked_loss and takes_direct_loss(int(model.config.vocab_size), request.device):
            return _direct_loss(model, inputs), None
        if request.shape.chunked_loss:
            output = model(**inputs, fused_lm_head=True, use_cache=False)
            return -output.log_probs.sum(), output
        output = model(**inputs, use_cache=False)
    if dtype is not None and request.convert_outputs:  # accelerate returns all outputs in fp32, here the logits
        output = type(output)({k: v.float() if _is_float(v) else v for k, v in output.items()})
    return output.loss, output


def _direct_loss(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """engine/train/loss.py with every token trained: which ones are, fake tensors do not know."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    given = {name: value for name, value in inputs.items() if name != "labels"}
    hidden = base.base_model(**given, use_cache=False).last_hidden_state[:, :-1]
    logits = base.get_output_embeddings()(hidden.reshape(-1, hidden.shape[-1])).float()
    return torch.nn.functional.cross_entropy(logits, inputs["labels"][:, 1:].reshape(-1), reduction="sum")


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _assign_state(optimizer: Any, tracker: Tracker) -> None:
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                tracker.assign(value, "optimizer")
