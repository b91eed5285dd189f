"""Host memory, disk and time of a run, by rules of thumb that say where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from engine.machine.gpus import Gpu
from engine.models.spec import ModelSpec
from engine.plan import unsloth
from engine.plan.adapters import adapter_parameters
from engine.plan.memory import Device, TrainingShape
from engine.plan.preference import passes, work_factor
from engine.plan.weights import (
    NF4_BYTES,
    adapter_bytes,
    gradient_bytes,
    optimizer_bytes,
    paged_bytes,
    trainable_parameters,
    trainable_width,
    weight_bytes,
)

GB = 10**9
PYTHON_BYTES = int(0.67 * GB)
"""torch, transformers, trl, peft, bitsandbytes and datasets imported, CPU build: 0.54-0.60 GB measured before the model
is loaded, and 0.06-0.1 GB more that the first step loads, however small it is."""
CUDA_HOST_BYTES = int(1.5 * GB)  # the CUDA driver's share of host memory, 1-2 GB as commonly seen
LOADING_THREADS = 4  # transformers loads unquantized weights with four threads, each holding one tensor

# Dense 16-bit tensor throughput in 10^12 operations per second, from the makers' data sheets; the longest name that
# fits counts.
PEAK_TERAFLOPS = {
    "H200": 989, "H100 PCIe": 756, "H100": 989, "B200": 2250, "GB10": 100, "A100": 312, "A40": 150, "A30": 165, "A10":
    125,
    "L40S": 362, "L40": 181, "L4": 121, "T4": 65, "V100": 125, "RTX 6000 Ada": 364, "RTX A6000": 155, "RTX A5000": 111,
    "RTX 5090": 210, "RTX 5080": 113, "RTX 5070": 62, "RTX 4090": 165, "RTX 4080": 97, "RTX 4070": 58, "RTX 4060": 30,
    "RTX 3090": 71, "RTX 3080": 60, "RTX 3070": 41, "RTX 3060": 26, "RTX 2080": 45, "RTX 2070": 32, "RTX 2060": 26,
}  # fmt: skip
REACHED_SHARE = {"full": 0.55, "lora": 0.55, "qlora": 0.45}  # of the peak, as published runs of 1-8B models reach it
TERAFLOPS_PER_GB = (
    3.5  # an unknown or pretended card: consumer and server cards of one size lie within a factor of two of it
)
CPU_GIGAFLOPS_PER_CORE = 25.0  # fp32 matrix products of the sizes that occur, on cores of the last ten years
STEP_OVERHEAD_SECONDS = {"cpu": 0.003, "cuda": 0.010}
LAYER_OVERHEAD_SECONDS = {
    "cpu": {"full": 0.0022, "lora": 0.003, "qlora": 0.0045},
    "cuda": {"full": 0.0010, "lora": 0.0016, "qlora": 0.0022},
}  # launching the operations of one layer, forward and backward, without their arithmetic. CPU, LoRA: 2-2.3 ms fitted
# to stories260K in micro-batches of 2 to 16 rows (one thread); full and QLoRA by the same factor, not measured
TOKENS_TO_FILL = {
    "full": 192,
    "lora": 192,
    "qlora": 512,
}  # a GPU with this many tokens at once reaches half its rate: reading
# (and for QLoRA unpacking) the weights takes as long as multiplying with them
START_SECONDS = {"cpu": 10.0, "cuda": 20.0}  # imports and set-up
LOAD_BYTES_PER_SECOND = 1.0 * GB


@dataclass(frozen=True)
class Work:
    """How much a run trains on: `rows` per epoch with `mean_tokens` each."""

    rows: int
    mean_tokens: float
    epochs: float
    held_out_rows: int = 0
    evaluations: int = 10


def host_memory_bytes(spec: ModelSpec, shape: TrainingShape, device: Device, allocated_bytes: int = 0) -> int:
    """RAM that the training process needs at its peak: while loading, or with an optimizer pushed out to it.

    On a CPU `allocated_bytes` (the step's own need) is host memory.
    """
    largest = max(
        [spec.vocab_size * spec.hidden_size, *(item.inputs * item.outputs for item in spec.linears)], default=0
    )
    if device == "cpu":
        return int(PYTHON_BYTES + max(allocated_bytes, weight_bytes(spec, shape) + 4 * largest))
    threads = 1 if shape.method == "qlora" else LOADING_THREADS
    moved = paged_bytes(spec, shape) + unsloth.host_bytes(spec, shape)
    return int(PYTHON_BYTES + CUDA_HOST_BYTES + max(threads * 2 * largest, moved))


def checkpoint_bytes(spec: ModelSpec, shape: TrainingShape) -> int:
    """One checkpoint: what is trained plus its optimizer state."""
    trained = trainable_width(shape) * trainable_parameters(spec, shape)
    states = optimizer_bytes(spec, shape, "cuda") + paged_bytes(spec, shape)
    return int(trained + states + 1_000_000)


def disk_bytes(
    spec: ModelSpec,
    shape: TrainingShape,
    download_bytes: int = 0,
    keep: int = 2,
    merged: bool = False,
    gguf: bool = False,
) -> int:
    """Disk for a whole run: download, `keep` checkpoints and the one being written, the result, and exports if wanted.

    A GGUF export needs the merged model, the 16-bit GGUF and the quantized one at the same time.
    """
    result = 2 * spec.parameters if shape.method == "full" else int(adapter_bytes(spec, shape))
    exports = (2 * spec.parameters if merged or gguf else 0) + (int(2.6 * spec.parameters) if gguf else 0)
    return int(download_bytes + (keep + 1) * checkpoint_bytes(spec, shape) + result + exports)


def training_flops_per_token(spec: ModelSpec, shape: TrainingShape) -> float:
    """Floating-point operations for one trained token: 2 per weight forward, 4 backward (2 with frozen weights, whose
    own
    gradient is not computed), 2 more for recomputing under checkpointing; attention scores and adapters (whose own
    gradients are computed) on top."""
    active = active_parameters(spec)
    passes = (6 if shape.method == "full" else 4) + (2 if shape.gradient_checkpointing else 0)
    attention = 2 * spec.layers * spec.query_size * shape.sequence_length
    adapters = 0 if shape.method == "full" else adapter_parameters(spec, shape.rank, shape.target_modules)
    return passes * (active + attention + adapters) + 2 * adapters


def active_parameters(spec: ModelSpec) -> float:
    """Weights that one token is multiplied with: all linear layers and the head, and of a mixture only its chosen
    experts."""
    experts = spec.parts.get("experts", 0)
    chosen = experts * min(1.0, spec.experts_per_token / spec.experts) if spec.experts else 0
    return spec.linear_parameters + spec.vocab_size * spec.hidden_size + chosen


def flops_per_second(gpu: Gpu | None, cpu_count: float, method: str) -> float:
    """Operations per second that a run is likely to reach on this device."""
    if gpu is None:
        return CPU_GIGAFLOPS_PER_CORE * 1e9 * max(1.0, cpu_count)
    names = [name for name in PEAK_TERAFLOPS if name.lower() in gpu.name.lower()]
    peak = PEAK_TERAFLOPS[max(names, key=len)] if names else TERAFLOPS_PER_GB * gpu.total_bytes / GB
    return peak * 1e12 * REACHED_SHARE.get(method, 0.35)


def seconds_estimate(
    spec: ModelSpec, shape: TrainingShape, work: Work, gpu: Gpu | None, cpu_count: float = 1.0
) -> float:
    """Seconds for the whole run, evaluations included: arithmetic, or the overhead of small operations where that is
    more."""
    device = "cpu" if gpu is None else "cuda"
    micro_batches = work.rows * work.epochs / shape.micro_batch_size
    tokens = work.rows * work.epochs * min(work.mean_tokens, shape.sequence_length)
    arithmetic = (
        work_factor(shape)
        * tokens
        * training_flops_per_token(spec, shape)
        / flops_per_second(gpu, cpu_count, shape.method)
    )
    layer = LAYER_OVERHEAD_SECONDS[device][shape.method] * (1.3 if shape.gradient_checkpointing else 1.0)
    overhead = micro_batches * (STEP_OVERHEAD_SECONDS[device] + passes(shape) * layer * spec.layers)
    if device == "cpu":
        spent = arithmetic + overhead
    else:
        at_once = max(1.0, shape.micro_batch_size * min(work.mean_tokens, shape.sequence_length))
        spent = max(arithmetic * (1 + TOKENS_TO_FILL[shape.method] / at_once), overhead)
    evaluation = work.evaluations * work.held_out_rows / max(1.0, work.rows * work.epochs) * 0.35
    loading = (NF4_BYTES if shape.method == "qlora" else 2) * spec.parameters / LOAD_BYTES_PER_SECOND
    return START_SECONDS[device] + loading + spent * (1 + evaluation)


def resident_bytes(spec: ModelSpec, shape: TrainingShape, device: Device) -> int:
    """What stays on the device between steps."""
    static = weight_bytes(spec, shape) + adapter_bytes(spec, shape) + optimizer_bytes(spec, shape, device)
    return int(static + (gradient_bytes(spec, shape) if shape.accumulation > 1 else 0))
