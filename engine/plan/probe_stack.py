"""Look at the training packages from inside a process of their own: `python -m engine.plan.probe_stack`.

Prints one JSON object: versions, the CUDA that torch was built for, what it can run on, and whether bitsandbytes
multiplies
with a 4-bit weight. A crash or a hang of a native library ends this process only.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

ROWS, COLUMNS = 64, 128


def probe() -> dict[str, Any]:
    """What the packages say and do; failures become words under "torch_error" and "four_bit_error"."""
    found: dict[str, Any] = {"python": sys.version.split()[0]}
    try:
        import torch
    except Exception as error:
        return found | {"torch_error": f"{type(error).__name__}: {error}"}
    on_gpu = torch.cuda.is_available()
    found |= {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
        "cuda_available": on_gpu,
        "architectures": torch.cuda.get_arch_list() if on_gpu else [],
        "capability": list(torch.cuda.get_device_capability()) if on_gpu else [],
    }
    return found | _four_bit("cuda" if on_gpu else "cpu")


def _four_bit(device: str) -> dict[str, Any]:
    """Multiply with a weight in NF4 and compare with the plain product."""
    try:
        import bitsandbytes.functional as functional
        import torch

        torch.manual_seed(0)
        weight = torch.randn(COLUMNS, ROWS, device=device)
        inputs = torch.randn(4, ROWS, device=device)
        packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        unpacked = functional.dequantize_4bit(packed, state)
        difference = float((inputs @ unpacked.t() - inputs @ weight.t()).norm() / (inputs @ weight.t()).norm())
        if not difference < 0.2:  # NF4 of normal weights is about 9 % off
            return {"four_bit_error": f"the 4-bit product is {difference:.0%} off"}
        return {"four_bit_device": device, "four_bit_difference": round(difference, 4)}
    except Exception as error:
        return {"four_bit_error": f"{type(error).__name__}: {error}"[:400]}


if __name__ == "__main__":
    os.environ.setdefault("BITSANDBYTES_NOWELCOME", "1")
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    json.dump(probe(), answer)
    answer.flush()
