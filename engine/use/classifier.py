"""The result of a classification with a real head: loaded, asked, measured, and made into one folder.

It writes no text, so it has no chat, no GGUF file and no Ollama; transformers and servers of classifiers read it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.data.rendered import IGNORED
from engine.emit import Emit
from engine.errors import UserError
from engine.use.finished import Result
from engine.use.held_out import RowLosses
from engine.use.held_rows import HeldRows
from engine.use.load import device_name, quiet_libraries, with_adapter
from engine.use.portable import copy_tokenizer, fill_config
from engine.use.prompts import Prompts
from engine.use.staging import MARK, check_room, staged

BATCH_ROWS = 8
USE = "from transformers import pipeline; print(pipeline('text-classification', {folder!r})('...'))"


def refuse_text(result: Result) -> None:
    """UserError for what needs a model that writes text."""
    if result.labels:
        what = f"The run {result.run.name} trained a classification head, which writes no text."
        name = result.run.name
        fix = f"Measure it: tunewright eval {name}. Take it: tunewright export {name} --to merged."
        raise UserError(what, name, fix)


def load_classifier(result: Result, device: str | None = None) -> Any:
    """The trained classifier on `device`, in evaluation mode."""
    import torch

    from engine.train.classes import load_classifier as load_for_training

    quiet_libraries()
    place = torch.device(device or device_name())
    pad = Prompts.of(result).pad_id
    folder = result.base if result.is_adapter else result.weights
    model = load_for_training(folder, result.recipe, place, result.labels, pad)
    if result.is_adapter:
        model = with_adapter(model, result.weights)
    return model.to(place).eval() if result.method != "qlora" else model.eval()


def log_probabilities(model: Any, rows: Sequence[Sequence[int]], pad: int, say: Callable[[int, int], None]) -> Any:
    """The logarithm of each label's probability: a float tensor (rows, labels). `rows` are token ids of questions."""
    import torch

    found = []
    with torch.no_grad():
        for start in range(0, len(rows), BATCH_ROWS):
            part = rows[start : start + BATCH_ROWS]
            width = max(map(len, part))
            ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in part], device=model.device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in part], device=model.device)
            logits = model(input_ids=ids, attention_mask=mask).logits.float().cpu()
            found.append(torch.log_softmax(logits, -1))
            say(min(start + BATCH_ROWS, len(rows)), len(rows))
    return torch.cat(found)


def questions_of(held: HeldRows) -> list[list[int]]:
    """The token ids of each held-out row up to its label."""
    found = []
    for row in held.rendered:
        end = next((at for at, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
        found.append(row.input_ids[:end])
    return found


def measure(
    result: Result, held: HeldRows, emit: Emit
) -> tuple[tuple[RowLosses, list[str]], tuple[RowLosses, list[str]]]:
    """(loss of each row and answers) of always saying the commonest label, and of the trained head.

    The commonest label and how likely each is are counted on the held-out rows themselves, which flatters the former.
    """
    true = [result.labels.index(example.label) for example in held.examples]
    counts = Counter(true)
    usual = counts.most_common(1)[0][0]
    ones = tuple(1 for _ in true)
    blind = RowLosses(tuple(-math.log(counts[name] / len(true)) for name in true), ones)
    model = load_classifier(result)

    def say(done: int, total: int) -> None:
        emit({"progress": {"phase": "evaluating", "detail": "tuned: labels", "done": done, "total": total}})

    logs = log_probabilities(model, questions_of(held), Prompts.of(result).pad_id, say)
    losses = RowLosses(tuple(-float(logs[row, name]) for row, name in enumerate(true)), ones)
    answers = [result.labels[int(number)] for number in logs.argmax(-1)]
    return (blind, [result.labels[usual]] * len(true)), (losses, answers)


def merge_classifier(result: Result, out: Path, emit: Emit, dtype: Any, name: str) -> dict[str, Any]:
    """Write base, adapter and head as one folder. `dtype` is torch's, `name` its own; in memory. Raises UserError."""
    prompts = Prompts.of(result)
    check_room(out, 2 * sum(path.stat().st_size for path in result.base.glob("*.safetensors")))
    emit({"progress": {"phase": "merging", "detail": "in memory"}})
    model = load_classifier(result, "cpu")
    if result.method == "qlora":  # merged into 4 bits it would be rounded once more
        model = with_adapter(model.unload().dequantize().float(), result.weights)
    if result.is_adapter:
        model = model.merge_and_unload()
    with staged(out) as stage:
        model.to(dtype).save_pretrained(str(stage))
        notes = fill_config(stage / "config.json")
        copy_tokenizer(prompts.folder, stage)
        (stage / "question.json").write_text(json.dumps({"example": prompts.text([("user", "...")])}), encoding="utf-8")
        facts: dict[str, Any] = {"kind": "classifier", "dtype": name, "labels": list(result.labels)}
        facts |= {"run": result.run.name, "method": result.method, "notes": notes, "agreement": {}}
        (stage / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    notes.append("Ask it in the form of question.json: the text that stood around each row in training.")
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    command = ["python", "-c", USE.format(folder=str(out))]
    return {"to": "merged", "out": str(out), "bytes": size, **facts, "notes": notes, "commands": [command]}
