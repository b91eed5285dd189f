"""Running out of the device's memory: told from other errors, and what can be given back."""

from __future__ import annotations

import gc

import torch

_NO_MEMORY_WORDS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "can't allocate memory")


class OutOfMemory(Exception):
    """Even the smallest piece of a batch does not fit. `parts` is into how many pieces a micro-batch was cut."""

    def __init__(self, parts: int) -> None:
        super().__init__(f"out of memory with {parts} parts")
        self.parts = parts


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device's memory did not suffice; libraries say it in several ways."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | MemoryError) and any(word in str(error) for word in _NO_MEMORY_WORDS)


def free_memory() -> None:
    """Give cached device memory back, after Python has let go of what it refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
