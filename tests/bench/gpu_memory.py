"""On a machine with a GPU: predict the memory of real runs first, then measure them with the rehearsal.

    python tests/bench/gpu_memory.py TOKENIZER_DIR OUT_DIR [--sizes 1b,3b,8b] [--lengths 512,2048]

Makes models of random weights (nothing is downloaded; OUT_DIR needs up to 22 GB), starts `tunewright train
--rehearse-only` for QLoRA, LoRA and full fine-tuning at each length, and prints what `plan --calibration` says:
measured against estimate and simulation. A run that runs out of memory says so. `--sizes tiny` runs anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8},
    "3b": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
           "num_key_value_heads": 8},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8},
}  # fmt: skip
"""The published shapes of Llama 3 in three sizes, and a tiny one."""
METHODS = ("qlora", "lora", "full")
TUNEWRIGHT = [sys.executable, "-c", "import sys; from tui.cli import main; sys.exit(main())"]


def make_model(folder: Path, size: str, tokenizer: Path) -> None:
    """Random weights in 16 bits with the tokenizer in `tokenizer`; does nothing where the folder is complete."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if (folder / "tokenizer.json").exists():
        return
    vocabulary = len(json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    shape: Any = SIZES[size]
    config = LlamaConfig(vocab_size=-(-vocabulary // 128) * 128 + 256, max_position_embeddings=8192, **shape)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="2GB")
    finally:
        torch.set_default_dtype(previous)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder / name)


def make_rows(path: Path) -> None:
    """Rows that are longer than every length that is tried, so that each batch is full."""
    row = {"prompt": "Count.", "completion": " ".join(str(number) for number in range(4000))}
    path.write_text("".join(json.dumps({**row, "prompt": f"Count, {n}."}) + "\n" for n in range(64)), encoding="utf-8")


def rehearse(model: Path, rows: Path, runs: Path, method: str, length: int) -> str:
    """Start the rehearsal and wait for it; what it said last."""
    name = f"{model.name}-{method}-{length}"
    command = [*TUNEWRIGHT, "train", "--model", str(model), "--data", str(rows), "--method", method,
               "--runs", str(runs), "--name", name, "--rehearse-only", "--follow", "--no-input",
               "--set", f"training.sequence_length={length}", "--set", "evaluation.held_out_rows=0"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True)
    said = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    return f"{name}: exit {ended.returncode}; {said[-1] if said else ''}"


def main() -> None:
    """Make, rehearse, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", default="1b,3b,8b")
    parser.add_argument("--lengths", default="512,2048")
    arguments = parser.parse_args()
    runs, rows = arguments.out / "runs", arguments.out / "rows.jsonl"
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_rows(rows)
    for size in arguments.sizes.split(","):
        model = arguments.out / size
        make_model(model, size, arguments.tokenizer)
        for method in METHODS:
            for length in map(int, arguments.lengths.split(",")):
                print(rehearse(model, rows, runs, method, length), flush=True)
    os.execv(sys.executable, [*TUNEWRIGHT, "plan", "--calibration", "--runs", str(runs)])


if __name__ == "__main__":
    main()
