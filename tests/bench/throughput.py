"""Trained tokens per second beside TRL: ours as recommended, TRL's command line, a plain TRL script at our settings.

    python tests/bench/throughput.py [--rounds N] [--steps N]

Model stories260K, data alpaca_en_demo.json, LoRA, fp32, one thread; every trainer in a process of its own, one after
the other, in rounds. A step is measured from its begin to the begin of the next, so that logging and events count; the
first is left out (warming up), and the last (nothing begins after it). CPU time is of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from engine.data.prepare import load_examples  # noqa: E402
from engine.recipe import Recipe  # noqa: E402
from engine.runs.store import create_run  # noqa: E402

SHARED = Path(os.environ.get("TUNEWRIGHT_SHARED", PROJECT.parent / "shared"))
MODEL = SHARED / "models" / "stories260K"
DATA = SHARED / "data" / "datasets" / "instruct" / "alpaca_en_demo.json"
QUIET = {"evaluation.every_steps": 9999, "evaluation.samples": 0, "checkpoints.every_steps": 9999}
LIKE_TRL = {"training.micro_batch_size": 8, "training.gradient_accumulation_steps": 1, "method.rank": 16,
            "method.alpha": 32, "method.dropout": 0.05, "method.target_modules": '["q_proj", "v_proj"]',
            "training.learning_rate": 2e-5, "training.scheduler": "linear", "training.gradient_checkpointing": "true",
            "training.weight_decay": 0, "training.warmup_ratio": 0}  # fmt: skip


def make_recipe(place: Path, settings: dict[str, Any]) -> Recipe:
    """What `tunewright new` recommends, with these settings of the person."""
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "tui", "new", "--model", str(MODEL), "--data", str(DATA), "--method", "lora"]
    subprocess.run([*command, *words, "--out", str(place)], check=True, cwd=PROJECT, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    return Recipe.load(place)


def write_plain_job(folder: Path, recipe: Recipe) -> None:
    """The same rows, tokens and settings for a script without us."""
    folder.mkdir()
    data = load_examples(recipe, MODEL)
    rows = [{"input_ids": row.input_ids, "labels": row.labels} for row in data.train]
    data.renderer.close()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    method, training = recipe.method, recipe.training
    config = {
        "max_length": training.sequence_length, "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_steps": training.max_steps, "per_device_train_batch_size": training.micro_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps, "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.scheduler, "weight_decay": training.weight_decay, "seed": training.seed,
        "data_seed": training.seed, "use_cpu": True, "bf16": False, "logging_steps": 1, "save_strategy": "no",
        "gradient_checkpointing": training.gradient_checkpointing, "disable_tqdm": True,
        "activation_checkpointing": training.gradient_checkpointing,
    }  # fmt: skip
    targets: Any = "all-linear" if method.target_modules == ["all-linear"] else method.target_modules
    lora = {"r": method.rank, "lora_alpha": method.alpha, "lora_dropout": method.dropout, "target_modules": targets}
    (folder / "job.json").write_text(json.dumps({"model": str(MODEL), "lora": lora, "config": config}))


def write_trl_job(folder: Path, steps: int) -> None:
    """Defaults of `trl sft`, but what a CPU and this model of 512 tokens force."""
    (folder / "data").mkdir(parents=True)
    with (folder / "data" / "train.jsonl").open("w") as file:
        for row in json.loads(DATA.read_text()):
            asked = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
            file.write(json.dumps({"prompt": asked + "\n", "completion": row["output"]}) + "\n")
    words = ["--model_name_or_path", str(MODEL), "--dataset_name", str(folder / "data"), "--use_peft",
             "--output_dir", str(folder / "output"), "--use_cpu", "true", "--bf16", "false", "--max_length", "512",
             "--max_steps", str(steps), "--report_to", "none"]  # fmt: skip
    (folder / "job.json").write_text(json.dumps({"words": words}))


def measure(kind: str, folder: Path, report: Path) -> dict[str, float]:
    """Run it once. Seconds of CPU and wall, and what was trained in them."""
    child = [sys.executable, str(Path(__file__).with_name("throughput_child.py")), kind, str(folder), str(report)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                   "HF_HOME": str(report.parent / "hf")}  # fmt: skip
    done = subprocess.run(child, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{kind} failed:\n{done.stderr[-2000:]}")
    return summary(json.loads(report.read_text()))


def summary(found: dict[str, Any]) -> dict[str, float]:
    """The steps between the first and the last, and the first and last loss logged."""
    (cpu, wall), (cpu_end, wall_end) = found["begins"][1], found["begins"][-1]
    rows, trained, real, padded = (sum(column) for column in zip(*found["tokens"][1:-1], strict=True))
    losses = found["losses"] or [float("nan")]  # TRL's command line logs every ten steps
    return {
        "rows": rows, "trained": trained, "real": real, "padded": padded, "cpu": cpu_end - cpu,
        "wall": wall_end - wall, "first_loss": losses[0], "last_loss": losses[-1],
    }  # fmt: skip


def line(name: str, rounds: list[dict[str, float]]) -> str:
    """A row of the table: medians over the rounds."""

    def middle(top: str, bottom: str) -> float:
        return statistics.median(found[top] / found[bottom] for found in rounds)

    each = ", ".join(f"{found['trained'] / found['cpu']:.0f}" for found in rounds)
    one = rounds[0]
    return (
        f"| {name} | {middle('trained', 'cpu'):.0f} ({each}) | {middle('trained', 'wall'):.0f} "
        f"| {middle('real', 'cpu'):.0f} | {middle('rows', 'cpu'):.1f} | {middle('padded', 'real'):.2f} "
        f"| {one['first_loss']:.4f} -> {one['last_loss']:.4f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    root = Path(tempfile.mkdtemp(prefix="throughput-"))
    recommended = make_recipe(root / "a.toml", QUIET | {"training.max_steps": asked.steps})
    like_trl = make_recipe(root / "d.toml", QUIET | LIKE_TRL | {"training.max_steps": 2 * asked.steps})
    write_plain_job(root / "plain", recommended)
    write_plain_job(root / "plain-trl", like_trl)
    write_trl_job(root / "trl", 2 * asked.steps)
    names = ("ours, recommended", "TRL script, our settings", "TRL command line, defaults",
             "ours, settings of the command line", "TRL script, settings of the command line")  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(asked.rounds):
        places = (
            ("ours", create_run(recommended, root, f"a{number}").path), ("plain", root / "plain"),
            ("trl", root / "trl"), ("ours", create_run(like_trl, root, f"d{number}").path),
            ("plain", root / "plain-trl"),
        )  # fmt: skip
        for place, (name, (kind, folder)) in enumerate(zip(names, places, strict=True)):
            found[name].append(measure(kind, folder, root / f"report-{number}-{place}.json"))
            print(name, found[name][-1], flush=True)
    training = recommended.training
    print(f"recommended: {training.micro_batch_size} x {training.gradient_accumulation_steps} rows, rank "
          f"{recommended.method.rank}, checkpointing {training.gradient_checkpointing}")  # fmt: skip
    print("| what | trained tokens per CPU s (rounds) | per wall s | real tokens per CPU s | rows | padding x | loss |")
    print("|---|---|---|---|---|---|---|")
    for name, rounds in found.items():
        print(line(name, rounds))


if __name__ == "__main__":
    main()
