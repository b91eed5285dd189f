"""What the planner recommends, machine by model by data, as a table: `python -m tests.bench.recommendations`.

Nothing is measured here; it answers the question whether a person who knows the field would nod at every line.
Needs the model configs of $TUNEWRIGHT_SHARED (see tests/README.md).
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.data.summary import DataSummary
from engine.machine.detect import detect_machine, pretend
from engine.models.find import ModelFiles
from engine.models.spec import spec_from_config
from engine.models.tokenizer_files import read_json
from engine.plan.plan import Plan
from engine.plan.recommend import recommend
from engine.recipe import Answer
from tui.steps.words import duration, gigabytes

SHARED = Path(os.environ.get("TUNEWRIGHT_SHARED", Path(__file__).parents[2].parent / "shared"))
MACHINES = ((0, 16), (8, 16), (12, 32), (16, 32), (24, 32), (48, 64), (80, 128))
"""GPU memory and RAM in GB."""
MODELS = ("HuggingFaceTB--SmolLM2-135M-Instruct", "Qwen--Qwen2.5-0.5B-Instruct", "meta-llama--Llama-3.2-1B-Instruct",
          "meta-llama--Llama-3.2-3B-Instruct", "meta-llama--Llama-2-7b-hf", "mistralai--Mistral-7B-v0.1",
          "Qwen--Qwen2.5-7B-Instruct", "meta-llama--Meta-Llama-3.1-8B", "Qwen--Qwen3-14B",
          "meta-llama--Llama-3.3-70B-Instruct")  # fmt: skip
DATA = {
    "none": None,
    "300 short rows": DataSummary(300, 30_000, 60_000, 190, 260, 300, 400, "instruction", 20),
    "20k chats": DataSummary(20_000, 4_000_000, 9_000_000, 400, 1_200, 1_900, 4_000, "messages", 500),
    "text, 50M tokens": DataSummary(40_000, 50_000_000, 50_000_000, 1_200, 2_000, 2_048, 2_048, "text", 500),
}
KEYS = ("micro_batch_size", "gradient_accumulation_steps", "sequence_length", "gradient_checkpointing", "optimizer",
        "precision", "learning_rate", "epochs")  # fmt: skip


def files_of(name: str) -> ModelFiles:
    """A model of which only config.json is here."""
    folder = SHARED / "data" / "model-configs"
    config = next(path for path in folder.rglob("config.json") if path.parent.name == name)
    return ModelFiles(name, None, "", spec_from_config(read_json(config), name), None, True, 0, False)


def line(plan: Plan) -> str:
    """The recommended method and its settings in one line."""
    best = plan.best
    values = {key: best.answers.get(f"training.{key}", Answer("", "recommended", "")).value for key in KEYS}
    shape = f"{values['micro_batch_size']}x{values['gradient_accumulation_steps']} @ {values['sequence_length']}"
    rank = f" r{best.value('method.rank')}" if plan.recommended != "full" else ""
    marks = "ckpt" if values["gradient_checkpointing"] else "no ckpt"
    fits = "" if best.fits else f"  NOT ({best.verdict})"
    time = duration(best.seconds) if best.seconds else "?"
    return (f"{plan.recommended + rank:<10} {shape:<15} {marks:<8} {str(values['optimizer']):<18} "
            f"{values['precision']:<5} lr {values['learning_rate']:g} ep {values['epochs']:g}  "
            f"{gigabytes(best.need_bytes)} of {gigabytes(best.free_bytes)}, {time}{fits}")  # fmt: skip


def main() -> None:
    """Print the table."""
    here = detect_machine(Path.home())
    for name in MODELS:
        files = files_of(name)
        for label, data in DATA.items():
            print(f"\n{name}, {label}")
            for vram, ram in MACHINES:
                goal = "text" if data is not None and data.format == "text" else "instruction"
                plan = recommend(pretend(here, float(vram), float(ram)), files, data, goal)
                print(f"  {vram:>3} GB GPU  {line(plan)}")


if __name__ == "__main__":
    main()
