"""What each kind of machine can train, in one table: the planner, the pages and the README all say the same.

"checked" says where the training itself has run in this project's own tests; the rest is what torch and bitsandbytes
document, and is said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cuda", "pretend", "rocm", "mps", "xpu", "cpu"]
ALL_METHODS = ("qlora", "lora", "full")


@dataclass(frozen=True)
class Abilities:
    """`methods` are offered, `precisions` in the order of preference; `reason` says what is not offered and why."""

    title: str
    methods: tuple[str, ...]
    precisions: tuple[str, ...]
    trains: bool
    checked: str
    reason: str = ""


_NVIDIA = Abilities(
    "NVIDIA GPU", ALL_METHODS, ("bf16", "fp16", "fp32"), True,
    "planned against published measurements; not run here",
    "bf16 from compute capability 8.0 (Ampere), fp16 before.",
)  # fmt: skip
ABILITIES: dict[DeviceKind, Abilities] = {
    "cuda": _NVIDIA,
    "pretend": _NVIDIA,
    "rocm": Abilities(
        "AMD GPU", ("lora", "full"), ("bf16", "fp16", "fp32"), True, "not run here",
        "It needs the ROCm build of torch. 4-bit training needs an NVIDIA GPU: bitsandbytes is not checked on others.",
    ),
    "mps": Abilities(
        "Apple GPU", ("lora", "full"), ("fp32",), False, "not run here",
        "The work is done on the processor: bitsandbytes has no 4-bit products for MPS, and its memory is unmeasured.",
    ),
    "xpu": Abilities(
        "Intel GPU", ("lora", "full"), ("fp32",), False, "not run here",
        "The work is done on the processor: training on an Intel GPU (XPU) has not been tried.",
    ),
    "cpu": Abilities(
        "Processor", ALL_METHODS, ("fp32", "bf16"), True, "run by our tests",
        "For models up to about half a billion parameters; larger ones take days.",
    ),
}  # fmt: skip


def why_not(kind: str, method: str) -> str:
    """Why `method` is not offered on a device of this kind; empty when it is."""
    found = ABILITIES.get(kind, ABILITIES["cpu"])  # type: ignore[call-overload]
    return "" if method in found.methods else found.reason


def table() -> list[tuple[str, str, str, str, str]]:
    """(device, methods, number formats, checked, remark) of every kind, for people."""
    rows = []
    for kind, found in ABILITIES.items():
        if kind != "pretend":
            names = {"qlora": "QLoRA", "lora": "LoRA", "full": "full"}
            methods = ", ".join(names[method] for method in found.methods)
            where = methods if found.trains or kind == "cpu" else f"{methods} (on the processor)"
            rows.append((found.title, where, ", ".join(found.precisions), found.checked, found.reason))
    return rows
