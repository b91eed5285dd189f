"""Models, machines and data in numbers, for planning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from engine.machine.detect import Machine, pretend
from engine.machine.host import Host
from engine.models.find import ModelFiles
from engine.models.spec import ModelSpec, spec_from_config

GIB = 1 << 30

# Published config.json values of the models that the documented tiers are about, and of small ones.
CONFIGS: dict[str, dict[str, Any]] = {
    "llama-2-7b": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
    },
    "mistral-7b": {
        "model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768,
    },
    "qwen2.5-7b": {
        "model_type": "qwen2", "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 131072,
    },
    "llama-3-8b": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192,
    },
    "qwen2.5-0.5b": {
        "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True,
        "max_position_embeddings": 32768,
    },
    "tiny": {
        "model_type": "llama", "vocab_size": 1536, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 512,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """A data summary's numbers."""

    rows: int = 1000
    trained_tokens: int = 100_000
    total_tokens: int = 200_000
    p50: int = 180
    p95: int = 400
    p99: int = 600
    longest: int = 900
    format: str = "instruction"
    held_out_suggestion: int = 50


def spec_of(name: str) -> ModelSpec:
    return spec_from_config(CONFIGS[name], name)


@pytest.fixture
def spec() -> Callable[[str], ModelSpec]:
    return spec_of


@pytest.fixture
def model() -> Callable[[str], ModelFiles]:
    def files(name: str) -> ModelFiles:
        sizes = spec_of(name)
        return ModelFiles(name, None, "", sizes, None, True, 2 * sizes.parameters, False)

    return files


@pytest.fixture
def machine() -> Callable[..., Machine]:
    def build(vram: float = 0, ram: float = 64, disk: float = 500, cpus: float = 8) -> Machine:
        return pretend(Machine((), Host(0, 0, cpus, int(disk * GIB), "/runs", ()), ()), vram_gb=vram, ram_gb=ram)

    return build


@pytest.fixture
def facts() -> type[Facts]:
    return Facts
