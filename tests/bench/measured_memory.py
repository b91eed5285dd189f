"""Predict the peak memory of published GPU runs with the simulator and print how far it is off.

    python tests/bench/measured_memory.py [ROW ...]

Prints a Markdown table and the mean and largest error. Needs the training packages; no GPU, no weights, no network.
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "BITSANDBYTES_NOWELCOME": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.plan.memory import TrainingShape
from engine.plan.simulator.request import Simulation
from engine.plan.simulator.step import simulate

MIB = 1 << 20
ROWS = Path(__file__).with_name("measured_memory.csv")


def decoder(
    model_type: str, vocab: int, hidden: int, inner: int, layers: int, heads: int, keys: int, **more: Any
) -> dict[str, Any]:
    """A config.json of the published sizes."""
    return {
        "model_type": model_type, "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": keys,
        "max_position_embeddings": 8192, "tie_word_embeddings": False, **more,
    }  # fmt: skip


TIED = {"tie_word_embeddings": True}
CONFIGS = {
    "qwen2.5-0.5b": decoder("qwen2", 151936, 896, 4864, 24, 14, 2, **TIED),
    "qwen2.5-1.5b": decoder("qwen2", 151936, 1536, 8960, 28, 12, 2, **TIED),
    "qwen2.5-7b": decoder("qwen2", 152064, 3584, 18944, 28, 28, 4),
    "smollm2-135m": decoder("llama", 49152, 576, 1536, 30, 9, 3, **TIED),
    "smollm2-1.7b": decoder("llama", 49152, 2048, 8192, 24, 32, 32, **TIED),
    "tinyllama-1.1b": decoder("llama", 32000, 2048, 5632, 22, 32, 4),
    "mistral-7b-v0.3": decoder("mistral", 32768, 4096, 14336, 32, 32, 8, head_dim=128, sliding_window=None),
    "deepseek-coder-1.3b": decoder("llama", 32256, 2048, 5504, 24, 16, 16),
    "llama3.2-1b": decoder("llama", 128256, 2048, 8192, 16, 32, 8, head_dim=64, **TIED),
    "llama3.2-3b": decoder("llama", 128256, 3072, 8192, 28, 24, 8, head_dim=128, **TIED),
    "gemma2-2b": decoder("gemma2", 256000, 2304, 9216, 26, 8, 4, head_dim=256, **TIED),
}


def rows() -> list[dict[str, str]]:
    """The published rows."""
    lines = [line for line in ROWS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def request_of(row: dict[str, str]) -> Simulation:
    """One published row at its harness's settings."""
    return _on_rtx_4080(row) if row["gpu"] == "rtx4080" else _on_t4(row)


def _shape(row: dict[str, str], precision: str) -> TrainingShape:
    return TrainingShape(
        "qlora" if row["quantization"] == "nf4" else "lora", int(row["batch"]), int(row["length"]), int(row["rank"]),
        row["checkpointing"] == "1", "adamw_torch", precision, 1, ("q_proj", "k_proj", "v_proj", "o_proj"), False,
    )  # fmt: skip


def _on_rtx_4080(row: dict[str, str]) -> Simulation:
    """bf16 under autocast, kbit preparation for 4 bits, outputs kept and not converted. What the page does not say
    (conversion, preparation) was found on the rows of length 256; those of length 512 are the check."""
    return Simulation(
        CONFIGS[row["model"]], _shape(row, "bf16"), capability=(8, 9), steps=2, convert_outputs=False, clip=False,
        prepared_for_kbit=row["quantization"] == "nf4", keep_outputs=True,
    )  # fmt: skip


def _on_t4(row: dict[str, str]) -> Simulation:
    """A T4: grouped keys expanded, everything in fp16, kbit preparation, no double quantization."""
    quantized, shape = row["quantization"] == "nf4", _shape(row, "fp16")
    return Simulation(
        CONFIGS[row["model"]], shape, capability=(7, 5), attention=row["attention"], steps=2, double_quantization=False,
        autocast=False, base_dtype="float16", prepared_for_kbit=quantized, clip=False, expand_keys=True,
        keep_outputs=True,
    )  # fmt: skip


def main(chosen: list[str]) -> None:
    """Print the table."""
    warnings.filterwarnings("ignore")
    errors, reserved_errors = [], []
    head = "GPU | model | method | batch x length | attention | measured MiB | simulated | error | reserved | seconds"
    print(f"| {head} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for number, row in enumerate(rows()):
        if chosen and str(number) not in chosen:
            continue
        started = time.process_time()
        found = simulate(request_of(row))
        measured = float(row["allocated"])
        error = found.allocated_bytes / MIB / measured - 1
        errors.append(error)
        reserved = ""
        if row["reserved"]:
            reserved_errors.append(found.reserved_bytes / MIB / float(row["reserved"]) - 1)
            reserved = f"{reserved_errors[-1]:+.1%}"
        gpu = {"rtx4080": "RTX 4080"}.get(row["gpu"], "T4")
        method = f"{'QLoRA' if row['quantization'] == 'nf4' else 'LoRA'} r{row['rank']}"
        where = f"{row['attention']}{'' if row['checkpointing'] == '1' else ', no checkpointing'}"
        print(
            f"| {gpu} | {row['model']} | {method} | {row['batch']}x{row['length']} | {where} | {measured:.0f} | "
            f"{found.allocated_bytes / MIB:.0f} | {error:+.2%} | {reserved} | {time.process_time() - started:.1f} |",
            flush=True,
        )
    mean, worst = statistics.mean(map(abs, errors)), max(errors, key=abs)
    print(f"\n{len(errors)} rows: mean error {mean:.2%}, largest {worst:+.2%};", end=" ")
    if reserved_errors:
        print(f"reserved: mean error {statistics.mean(map(abs, reserved_errors)):.1%}.")


if __name__ == "__main__":
    main(sys.argv[1:])
