"""What preference tuning and continued pre-training do to a small model on real rows: the figures of "Methods".

    python -m tests.bench.methods FOLDER_OF_A_MODEL FOLDER_OF_DATASETS [dpo kto orpo rawtext ...]

The model is stories260K, whose context is 512 tokens: rows whose answers begin within them are used, cut there.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from engine.data.dataset import load_dataset
from engine.data.examples import RowProblem
from engine.data.preferences import judged_example, rejected_example
from engine.data.render import Renderer
from engine.models.find import find_model
from engine.plan.learning_rate import learning_rate
from engine.recipe import Answer, Recipe
from engine.runs.events import iterate_events
from engine.runs.store import create_run

LONGEST = 512
LEAST_TRAINED = 16
SAID = ("step", "loss", "perplexity", "margin", "accuracy", "kl", "general_loss", "general_start")
STEPS = {"training.epochs": 3.0, "training.micro_batch_size": 4, "training.gradient_accumulation_steps": 2}
COMMON: dict[str, Any] = {
    "training.precision": "fp32", "training.sequence_length": LONGEST, "training.gradient_checkpointing": False,
    "method.rank": 16, "method.alpha": 32, "evaluation.held_out_rows": 30, "evaluation.samples": 0, **STEPS,
}  # fmt: skip


def usable_rows(model: Path, source: Path, name: str, target: Path) -> int:
    """Write the rows whose every answer has so many tokens within the model's context; returns how many."""
    dataset = load_dataset(str(source), name, keep_bad=True)
    kept = {example.row for example in dataset.examples}
    with Renderer.load(model) as renderer:
        sides = (lambda one: one, rejected_example) if name == "preference" else (judged_example,)
        for turned in sides:
            rows = [turned(example) for example in dataset.examples]
            for example, row in zip(dataset.examples, renderer.render_many(rows, LONGEST), strict=True):
                if isinstance(row, RowProblem) or row.trained_tokens < LEAST_TRAINED:
                    kept.discard(example.row)
    rows = json.loads(source.read_text(encoding="utf-8"))
    target.write_text("".join(json.dumps(row) + "\n" for number, row in enumerate(rows, 1) if number in kept))
    return len(kept)


def carry(folder: Path, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry a run out in this process; returns its events."""
    from engine.train.run import carry_out

    recipe = Recipe.from_answers({key: Answer(value, "you", "measured") for key, value in values.items()})
    run = create_run(recipe, folder, name)
    code = carry_out(run, resume=False)
    events = [*iterate_events(run.events_path), *untrained(recipe)]
    assert code == 0, [event for event in events if event["type"] == "error"]
    return events


def untrained(recipe: Recipe) -> list[dict[str, Any]]:
    """The loss of the base model on the held-out rows of raw text, in the form of an event."""
    if recipe.data.format != "text":
        return []
    from engine.data.prepare import load_examples
    from engine.use.held_out import held_out_losses
    from engine.use.load import load_model

    model = Path(recipe.model.source)
    prepared = load_examples(recipe, model)
    prepared.renderer.close()
    return [{"type": "untrained", "loss": held_out_losses(load_model(model, "cpu"), prepared.held_out, 0).mean}]


def report(name: str, rows: int, events: Iterable[dict[str, Any]]) -> None:
    """One line: what the held-out rows said before the first step would be margin 0."""
    evals = [event for event in events if event["type"] == "eval"]
    steps = [event for event in events if event["type"] == "step"]
    rehearsal = next(event for event in events if event["type"] == "rehearsal")
    measured = rehearsal["allocated_bytes"] - rehearsal["baseline_bytes"]
    seconds = sum(event["seconds"] for event in steps)
    for event in (evals[0], evals[len(evals) // 2], evals[-1]):
        said = {key: round(event[key], 4) for key in SAID if key in event}
        print(f"{name}: {said}", flush=True)
    started = next((event["loss"] for event in events if event["type"] == "untrained"), None)
    if started is not None:
        print(f"{name}: untrained loss {started:.4f}, perplexity {math.exp(started):.2f}", flush=True)
    if any("margin" in event for event in steps):
        margins = [event["margin"] for event in steps if "margin" in event]
        print(f"{name}: margin of training rows {mean(margins[:5]):.3f} in the first 5 steps, "
              f"{mean(margins[-5:]):.3f} in the last 5", flush=True)  # fmt: skip
    print(f"{name}: {rows} rows, {len(steps)} steps in {seconds:.0f} s, measured {measured / 2**20:.0f} MiB, "
          f"estimated {rehearsal['estimate_bytes'] / 2**20:.0f} MiB", flush=True)  # fmt: skip


def preferences(model: Path, datasets: Path, work: Path, objective: str) -> None:
    kind = "kto" if objective == "kto" else "preference"
    source = datasets / kind / ("kto_en_demo.json" if kind == "kto" else "dpo_en_demo.json")
    data = work / f"{kind}.jsonl"
    rows = usable_rows(model, source, kind, data)
    for method in ("lora", "full"):
        rate = learning_rate(find_model(str(model), "").spec, method, objective).value
        values = {"model.source": str(model), "data.source": str(data), "data.format": kind, "method.name": method,
                  "method.objective": objective, "training.learning_rate": rate, **COMMON}  # fmt: skip
        report(f"{objective} {method}", rows, carry(work, f"{objective}-{method}", values))


def stories(model: Path, target: Path) -> None:
    """What the base model tells by itself, as a text of another kind than the one that is learned."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer, base = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    begin = torch.tensor([[tokenizer.bos_token_id]] * 24)
    told = base.generate(begin, max_new_tokens=300, do_sample=True, pad_token_id=tokenizer.eos_token_id)
    texts = tokenizer.batch_decode(told, skip_special_tokens=True)
    target.write_text("".join(json.dumps({"text": " ".join(text.split())}) + "\n" for text in texts))


def raw_text(model: Path, datasets: Path, work: Path, _: str) -> None:
    """Continued pre-training on articles, with four of them held out."""
    general = work / "stories.jsonl"
    stories(model, general)
    for name, method, more in (("lora", "lora", {}), ("lora and embeddings", "lora", {"method.train_embeddings": True}),
                               ("full", "full", {})):  # fmt: skip
        rate = learning_rate(find_model(str(model), "").spec, method, raw_text=True).value
        data = datasets / "rawtext" / "wiki_demo.txt"
        values = {**COMMON, "model.source": str(model), "data.source": str(data), "data.format": "text",
                  "method.name": method, "training.learning_rate": rate,
                  "training.epochs": 1.0, "training.warmup_ratio": 0.1, "training.max_steps": 100,
                  "evaluation.held_out_rows": 4, "evaluation.every_steps": 25,
                  "evaluation.general": str(general), **more}  # fmt: skip
        report(f"raw text, {name}", 30, carry(work, f"text-{name.replace(' ', '-')}", values))


def main() -> None:
    model, datasets = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[3:] or ("dpo", "kto", "orpo", "rawtext"):
            made: Callable[[Path, Path, Path, str], None] = raw_text if name == "rawtext" else preferences
            made(model, datasets, Path(folder), name)


if __name__ == "__main__":
    main()
