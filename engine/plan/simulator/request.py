"""What is simulated, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.plan.memory import TrainingShape


@dataclass(frozen=True)
class Simulation:
    """One training step to follow. `config` is a config.json; `shape` as for the estimate.

    `capability` is the GPU's compute capability, which decides attention kernels and workspace sizes. `attention` is
    "sdpa" or
    "eager". `padded` batches bring an attention mask. The rest only differs from this program's own training in checks
    against other people's runs: their data types, preparation and quantization.
    """

    config: Mapping[str, Any]
    shape: TrainingShape
    device: Literal["cuda", "cpu"] = "cuda"
    capability: tuple[int, int] = (8, 0)
    attention: str = "sdpa"
    padded: bool = False
    steps: int = 1
    double_quantization: bool = True
    autocast: bool = True
    base_dtype: str = ""
    adapter_dtype: str = "float32"
    prepared_for_kbit: bool = False
    clip: bool = True
    expand_keys: bool = False
    load_warmup: bool | None = None
    emulate_device: bool = True
    convert_outputs: bool = True
    keep_outputs: bool = False


@dataclass(frozen=True)
class Simulated:
    """What the simulation found, in bytes. `live_bytes` are the tensors alive at the peak, by `parts`;
    `allocated_bytes` is
    what torch counts for them, with what is left over in blocks that are not split; `least_capacity_bytes` is the
    smallest
    allocator budget that does not run out; `moment` says when the peak is."""

    live_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    least_capacity_bytes: int
    load_peak_bytes: int
    static_bytes: int
    parts: Mapping[str, int]
    phase_peaks: Mapping[str, int]
    moment: str
    parameters: int
    trainable_parameters: int
    operations: int
    seconds: float
