"""The job "evaluate": base against tuned on the rows that were held out of training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from engine.data.prepare import load_examples
from engine.errors import UserError
from engine.runs.files import write_atomic
from engine.use.finished import Result, open_result
from engine.use.generate import answer_greedily, without_gradients
from engine.use.load import SIDES, Pair, Side
from engine.use.prompts import Prompts
from engine.use.scores import Task, score_answers, task_of

Emit = Callable[[dict[str, Any]], None]

ANSWER_ROWS = 200
"""Rows that are answered when the request does not say how many: enough for an interval of a few per cent."""
ANSWER_TOKENS_LIMIT = 512
LOSS_BATCH_TOKENS = 4096


class _Held:
    """The held-out rows of one run, as they were rendered for training."""

    def __init__(self, result: Result, prompts: Prompts) -> None:
        prepared = load_examples(result.recipe, result.tokenizer, template_text=prompts.template_text)
        prepared.renderer.close()
        self.rendered = prepared.held_out
        self.examples = prepared.held_out_examples
        self.format = prepared.format
        if not self.rendered:
            fix = "Train again with --set evaluation.held_out_rows=50 (or more)."
            raise UserError("No rows were held out of this run, so there is nothing honest to measure on.",
                            result.run.name, fix)  # fmt: skip


def evaluate_run(run: Path | str, emit: Emit, rows: int = 0, checkpoint: str = "") -> dict[str, Any]:
    """Measure base and tuned model on the held-out rows and store the figures as <run>/evaluation.json.

    `rows` limits how many are answered by generation (0: at most 200); loss always uses all of them.
    Returns the stored document. Raises UserError when the run has no result or held nothing out.
    """
    result = open_result(run, checkpoint)
    prompts = Prompts.of(result)
    emit({"progress": {"phase": "reading data", "detail": "the rows that were held out"}})
    held = _Held(result, prompts)
    emit({"progress": {"phase": "loading model", "detail": "the base model and what was trained on it"}})
    pair = Pair(result)
    asked = [example for example in held.examples if example.prompt_turns][: rows or ANSWER_ROWS]
    task = task_of([example.expected for example in asked], held.format)
    document: dict[str, Any] = {
        "v": 1,
        "run": result.run.name,
        "checkpoint": checkpoint,
        "method": result.method,
        "task": task,
        "rows": len(held.rendered),
        "answered_rows": 0 if task == "text" else len(asked),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    document["sides"] = {side: _measure(side, pair, prompts, held, asked, task, emit) for side in SIDES}
    write_atomic(result.run.path / "evaluation.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return document


def _measure(side: Side, pair: Pair, prompts: Prompts, held: _Held, asked: Sequence[Any], task: Task,
             emit: Emit) -> dict[str, Any]:  # fmt: skip
    started = time.monotonic()
    with pair.switched(side) as model:
        loss, tokens = held_out_loss(model, held.rendered, prompts.pad_id, _reporter(emit, side, "loss"))
        figures: dict[str, Any] = {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "tokens": tokens}
        if task != "text" and asked:
            answers = _answers(model, prompts, asked, pair.context_tokens(), _reporter(emit, side, "answers"))
            expected = [example.expected for example in asked]
            figures |= score_answers(task, answers, expected)
            figures["examples"] = _sample(asked, answers)
    return {**figures, "seconds": round(time.monotonic() - started, 2)}


def _reporter(emit: Emit, side: Side, what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        emit({"progress": {"phase": "evaluating", "detail": f"{side}: {what}", "done": done, "total": total}})

    return report


@without_gradients
def held_out_loss(
    model: Any, rows: Sequence[Any], pad_id: int, report: Callable[[int, int], None]
) -> tuple[float, int]:
    """Mean negative log-likelihood (nats) per trained token over all rows, and the number of such tokens.

    Every token counts the same, so the figure does not depend on how rows are put into batches.
    """
    total, count, done = 0.0, 0, 0
    for batch in _batches(rows):
        width = max(len(row.input_ids) for row in batch)
        ids = torch.tensor([[*row.input_ids, *[pad_id] * (width - len(row.input_ids))] for row in batch])
        labels = torch.tensor([[*row.labels, *[-100] * (width - len(row.labels))] for row in batch])
        mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch])
        logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False).logits
        wanted = labels[:, 1:].to(logits.device)
        kept = wanted != -100
        losses = torch.nn.functional.cross_entropy(logits[:, :-1][kept].float(), wanted[kept], reduction="sum")
        total, count, done = total + losses.item(), count + int(kept.sum()), done + len(batch)
        report(done, len(rows))
    return (total / count if count else float("nan")), count


def _batches(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Rows of like length together, at most LOSS_BATCH_TOKENS padded tokens in a batch."""
    batch: list[Any] = []
    for row in sorted(rows, key=lambda row: len(row.input_ids)):
        if batch and (len(batch) + 1) * len(row.input_ids) > LOSS_BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _answers(
    model: Any, prompts: Prompts, asked: Sequence[Any], context: int, report: Callable[[int, int], None]
) -> list[str]:
    """Greedy answers in the order of `asked`, as long as the longest expected answer needs and half as much again."""
    ids = [prompts.ids([(turn.role, turn.content) for turn in example.prompt_turns]) for example in asked]
    longest = max(len(prompts.renderer.encode(example.expected)) for example in asked)
    room = context - max(len(row) for row in ids)
    budget = max(1, min(longest * 3 // 2 + 8, ANSWER_TOKENS_LIMIT, room))
    answers = [""] * len(asked)
    for done, (index, tokens) in enumerate(answer_greedily(model, ids, prompts.stop_ids, prompts.pad_id, budget), 1):
        answers[index] = prompts.decode(tokens)
        report(done, len(asked))
    return answers


def _sample(asked: Sequence[Any], answers: Sequence[str], count: int = 20) -> list[dict[str, str]]:
    """A reading sample: the first rows with question, expected answer and answer."""
    return [
        {"prompt": example.prompt_turns[-1].content, "expected": example.expected, "answer": answer}
        for example, answer in list(zip(asked, answers, strict=True))[:count]
    ]


def job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """{"run": dir, "rows": how many are answered, "checkpoint": name}, the last two optional."""
    return evaluate_run(
        str(request.get("run", "")), emit, int(request.get("rows") or 0), str(request.get("checkpoint") or "")
    )
