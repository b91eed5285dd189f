"""One training process with a probe in it; `throughput.py` starts it.

    python throughput_child.py ours|plain|trl FOLDER REPORT

The probe sits in transformers itself, below all three: when an optimizer step begins, what its batches hold, and its
loss. FOLDER is a run for `ours`, else it holds job.json (and rows.jsonl or data/).
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))


class Probe:
    """What each optimizer step was: (CPU seconds, wall seconds) at its begin, its tokens, the losses logged."""

    def __init__(self) -> None:
        self.begins: list[tuple[float, float]] = []
        self.tokens: list[tuple[int, int, int, int]] = []
        self.losses: list[float] = []

    def install(self) -> None:
        """Patch the two places of transformers that every trainer here passes through once a step."""
        from transformers import Trainer
        from transformers.trainer_callback import CallbackHandler

        fetch, begin, log = Trainer.get_batch_samples, CallbackHandler.on_step_begin, CallbackHandler.on_log

        def fetched(trainer: Any, *arguments: Any, **named: Any) -> Any:
            batches, items = fetch(trainer, *arguments, **named)
            self.tokens.append(count(batches))
            return batches, items

        def begun(handler: Any, *arguments: Any, **named: Any) -> Any:
            self.begins.append((time.process_time(), time.perf_counter()))
            return begin(handler, *arguments, **named)

        def logged(handler: Any, args: Any, state: Any, control: Any, logs: dict[str, Any]) -> Any:
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))
            return log(handler, args, state, control, logs)

        Trainer.get_batch_samples, CallbackHandler.on_step_begin, CallbackHandler.on_log = fetched, begun, logged

    def report(self) -> dict[str, Any]:
        return {"begins": self.begins, "tokens": self.tokens, "losses": self.losses}


def count(batches: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    """(rows, trained tokens, real tokens, tokens with padding) of the micro-batches of one optimizer step."""
    rows = sum(len(batch["input_ids"]) for batch in batches)
    trained = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    real = sum(int(batch["attention_mask"].sum()) for batch in batches)
    return rows, trained, real, sum(batch["input_ids"].numel() for batch in batches)


def ours(folder: Path) -> None:
    """The real engine on a real run."""
    from engine.train.run import train

    if train(folder, resume=False) != 0:
        raise SystemExit(f"the run failed: {folder / 'engine.log'}")


def plain(folder: Path) -> None:
    """The script that a person would write with transformers, peft and trl for the same settings."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    job = json.loads((folder / "job.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.unk_token
    model = AutoModelForCausalLM.from_pretrained(job["model"])
    set_seed(job["config"]["seed"])
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **job["lora"]))
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    arguments = SFTConfig(output_dir=str(folder / "output"), **job["config"])
    trainer = SFTTrainer(model, arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()


def trl(folder: Path) -> None:
    """The script that `trl sft` launches, with the command line's own words."""
    place = find_spec("trl")
    assert place is not None and place.origin is not None
    sys.argv = ["sft.py", *json.loads((folder / "job.json").read_text())["words"]]
    runpy.run_path(str(Path(place.origin).parent / "scripts" / "sft.py"), run_name="__main__")


def main() -> None:
    import torch

    kind, folder, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    probe = Probe()
    probe.install()
    {"ours": ours, "plain": plain, "trl": trl}[kind](folder)
    target.write_text(json.dumps(probe.report()))


if __name__ == "__main__":
    main()
