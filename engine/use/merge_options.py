"""What an export may ask of a merge: the base to merge into, and the number format to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from engine.errors import UserError

Into = Literal["trained", "original"]
"""The base to merge into: as it was under the adapter in training, or as its files hold it."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def dtype_of(name: str) -> torch.dtype:
    """bf16, fp16 or fp32. Raises UserError."""
    if name not in DTYPES:
        raise UserError(f"There is no number format {name!r}.", "dtype", f"Use one of: {', '.join(DTYPES)}.")
    return DTYPES[name]


def into_of(options: Mapping[str, Any]) -> Into:
    """The option `into` of an export request. Raises UserError."""
    into = options.get("into") or "trained"
    if into not in {"trained", "original"}:
        raise UserError(f"into is {into!r}.", "into", "Use trained or original.")
    return "original" if into == "original" else "trained"
