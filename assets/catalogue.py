"""Makes model_shapes.json: for every model of the catalogue the numbers of its config.json that decide its memory.

    python -m assets.catalogue CONFIGS      (a folder of OWNER--NAME/config.json)

With it the list of models is marked by a real plan, also offline. Only the keys that the planner reads are kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.models.catalog import CatalogModel, load_catalog
from engine.models.spec import spec_from_config

OUT = Path(__file__).parent / "model_shapes.json"
SAME_SHAPE = {
    "Qwen/Qwen2.5-Coder-7B-Instruct": "Qwen--Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-32B-Instruct": "Qwen--Qwen2.5-32B",
    "meta-llama/Llama-3.1-8B": "meta-llama--Meta-Llama-3.1-8B",
    "mistralai/Mistral-7B-v0.3": "mistralai--Mistral-7B-Instruct-v0.3",
    "google/gemma-2-2b-it": "google--gemma-2-2b",
    "google/gemma-2-9b-it": "google--gemma-2-9b",
    "unsloth/Llama-3.2-1B-Instruct-bnb-4bit": "meta-llama--Llama-3.2-1B-Instruct",
    "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit": "meta-llama--Meta-Llama-3.1-8B",
    "unsloth/Qwen2.5-7B-Instruct-bnb-4bit": "Qwen--Qwen2.5-7B-Instruct",
    "unsloth/mistral-7b-instruct-v0.3-bnb-4bit": "mistralai--Mistral-7B-Instruct-v0.3",
}
"""Models whose layers are those of another one; the count of parameters in models.toml proves it."""
PUBLISHED: dict[str, dict[str, Any]] = {
    "HuggingFaceTB/SmolLM3-3B": {
        "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "hidden_size": 2048, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 4, "intermediate_size": 11008, "vocab_size": 128256,
        "tie_word_embeddings": True, "max_position_embeddings": 65536, "torch_dtype": "bfloat16",
    },
    "ibm-granite/granite-3.3-2b-instruct": {
        "architectures": ["GraniteForCausalLM"], "model_type": "granite", "hidden_size": 2048, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 49159,
        "tie_word_embeddings": True, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
    },
}  # fmt: skip
"""As their makers published them; checked by the count of parameters too."""
FOUR_BITS = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


class Watched(dict[str, Any]):
    """A config that remembers which of its keys were read."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


def reduced(model: CatalogModel, config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config that decide the sizes. ValueError when its parameters are not those of the catalogue."""
    watched = Watched(config)
    spec = spec_from_config(watched, model.id)
    if spec.parameters != model.parameters:
        raise ValueError(f"{model.id} has {model.parameters:,} parameters in models.toml, {spec.parameters:,} by its "
                         "config")  # fmt: skip
    kept = {key: config[key] for key in sorted(watched.read & set(config)) if config[key] is not None}
    if model.quantized:
        kept["quantization_config"] = FOUR_BITS
    again = spec_from_config(kept, model.id)
    if not model.quantized and again != spec:
        raise ValueError(f"{model.id} is another model without the keys that were left out")
    return kept


def shapes(configs: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(id, reduced config) of every model of the catalogue. Raises OSError for a config that is not there."""
    folders = {path.parent.name.lower(): path for path in configs.rglob("config.json")}
    for model in load_catalog():
        if model.id in PUBLISHED:
            yield model.id, reduced(model, PUBLISHED[model.id])
            continue
        name = SAME_SHAPE.get(model.id, model.id.replace("/", "--")).lower()
        config = json.loads(folders[name].read_text(encoding="utf-8"))
        yield model.id, reduced(model, config)


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes(Path(sys.argv[1]))]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
