"""The state of every random number generator that a training step can touch."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

RandomState = dict[str, Any]


def capture() -> RandomState:
    """The state now, in the form that transformers keeps in `rng_state.pth`. Some ten microseconds."""
    state: RandomState = {
        "python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state(),
    }  # fmt: skip
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.random.get_rng_state()
    return state


def restore(state: RandomState) -> None:
    """Put every generator back to `state`."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.random.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.random.set_rng_state(state["cuda"])


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Whatever happens inside leaves the generators as they were, so that training goes on as if it had not been."""
    state = capture()
    try:
        yield
    finally:
        restore(state)
