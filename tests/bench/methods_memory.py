"""Memory of objectives and experts' settings on a CPU: measured by the rehearsal against the estimate.

    python -m tests.bench.methods_memory [CASE ...]

Each case is an engine of its own that rehearses and takes three steps, on a random Llama of 18 million weights
(vocabulary 8192, hidden size 384, eight layers) in fp32, with rows that fill their sequence. Measured is the peak of
resident memory of the whole process: in the rehearsal, where on a CPU the optimizer has no state yet, and of the whole
run. "Estimate" is what a plan says is needed for it: the step, and Python with its libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.plan.budget import PYTHON_BYTES
from engine.recipe import Answer, Recipe
from engine.runs.events import iterate_events
from engine.runs.store import create_run
from tests.engine.train.material import DEMO_MODEL

SHORT = {"training.sequence_length": 256, "training.micro_batch_size": 4}
DPO, KTO, ORPO = ({"method.objective": name} for name in ("dpo", "kto", "orpo"))
CLASSIFY = {"method.objective": "classify"}
FULL = {"method.name": "full"}
CASES: dict[str, dict[str, Any]] = {
    "lora": {}, "lora, checkpointing": {"training.gradient_checkpointing": True}, "full": FULL,
    "dora": {"method.dora": True},
    "dora, checkpointing": {"method.dora": True, "training.gradient_checkpointing": True},
    "layers 6 and 7": {"method.layers": "6-7"}, "embeddings trained": {"method.train_embeddings": True},
    "dpo lora": DPO, "dpo lora, checkpointing": {**DPO, "training.gradient_checkpointing": True},
    "dpo full, reference beside": {**DPO, **FULL},
    "dpo full, precomputed": {**DPO, **FULL, "method.reference": "precomputed"},
    "kto lora": KTO, "kto full, reference beside": {**KTO, **FULL}, "orpo lora": ORPO, "orpo full": {**ORPO, **FULL},
    "classify lora": CLASSIFY, "classify full": {**CLASSIFY, **FULL},
}  # fmt: skip


def write_model(folder: Path) -> None:
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=8192, hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO_MODEL / name, folder / name)


def write_rows(folder: Path) -> None:
    """Twelve long rows in each format."""
    answers = [" ".join(f"{(n * 7 + k) % 97}" for k in range(400)) for n in range(24)]
    pairs = [{"prompt": f"Say {n}.", "chosen": answers[n], "rejected": answers[n + 12]} for n in range(12)]
    judged = [{"prompt": f"Say {n}.", "completion": answers[n], "label": n % 2 > 0} for n in range(12)]
    plain = [{"prompt": f"Say {n}.", "completion": answers[n]} for n in range(12)]
    named = [{"text": " ".join(answers[n].split()[:60]), "label": "ab"[n % 2]} for n in range(12)]
    files = {"dpo": pairs, "orpo": pairs, "kto": judged, "sft": plain, "classify": named}
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def rehearse(folder: Path, case: str) -> dict[str, Any]:
    """The rehearsal of one case and the peak of its whole run, in a process of its own."""
    changes = CASES[case]
    if changes.get("method.objective") == "classify":
        changes = {**changes, "data.format": "classification"}
    values = {
        "model.source": str(folder / "model"), "method.name": "lora", "training.precision": "fp32",
        "data.source": str(folder / f"{changes.get('method.objective', 'sft')}.jsonl"),
        "training.gradient_checkpointing": False, "training.gradient_accumulation_steps": 2,
        "training.max_steps": 3, **SHORT, **changes,
    }  # fmt: skip
    recipe = Recipe.from_answers({key: Answer(value, "you", "measured") for key, value in values.items()})
    run = create_run(recipe, folder, "m-" + "".join(letter for letter in case if letter.isalnum()))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-m", "engine", "train", str(run.path)], env=environment)
    _, _, usage = os.wait4(child.pid, 0)
    events = list(iterate_events(run.events_path))
    found = next((event for event in events if event["type"] == "rehearsal"), None)
    assert found is not None, [event for event in events if event["type"] == "error"]
    return {**found, "highest_bytes": usage.ru_maxrss * 1024}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_rows(folder)
        print("| case | rehearsal MiB | run MiB | estimate MiB | error of the run |\n|---|---|---|---|---|")
        for case in sys.argv[1:] or CASES:
            event = rehearse(folder, case)
            measured, estimate = event["allocated_bytes"], event["estimate_bytes"] + PYTHON_BYTES
            highest = event["highest_bytes"]
            figures = f"{measured / 2**20:.0f} | {highest / 2**20:.0f} | {estimate / 2**20:.0f}"
            figures += f" | {estimate / highest - 1:+.0%}"
            print(f"| {case} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
