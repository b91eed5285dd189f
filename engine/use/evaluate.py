"""The job "evaluate": base against tuned on the rows that were held out of training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.emit import Emit
from engine.runs.files import write_atomic
from engine.use import classifier
from engine.use.answer_kinds import Task, task_of
from engine.use.finished import Result, open_result
from engine.use.generate import answer_greedily
from engine.use.held_out import RowLosses, held_out_losses
from engine.use.held_rows import HeldRows
from engine.use.load import SIDES, Pair, Side
from engine.use.prompts import Prompts
from engine.use.scores import Scores, score_answers
from engine.use.verdict import Sameness, loss_difference, sentences, share_difference

ANSWER_ROWS = 200
"""Rows that are answered when the request does not say how many: enough for an interval of a few per cent."""
ANSWER_TOKENS_LIMIT = 512


def evaluate_run(run: Path | str, emit: Emit, rows: int = 0, checkpoint: str = "") -> dict[str, Any]:
    """Measure base and tuned model on the held-out rows and store the figures as <run>/evaluation.json.

    Those of a checkpoint are stored as evaluation-<checkpoint>.json, so that they never pass for the result's.
    `rows` limits how many are answered by generation (0: at most 200); loss always uses all of them.
    Returns the stored document. Raises UserError when the run has no result or held nothing out.
    """
    result = open_result(run, checkpoint)
    prompts = Prompts.of(result)
    emit({"progress": {"phase": "reading data", "detail": "the rows that were held out"}})
    held = HeldRows(result, prompts)
    emit({"progress": {"phase": "loading model", "detail": "the base model and what was trained on it"}})
    pair = None if result.labels else Pair(result)
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
    if pair is None:
        measured = _measured_classes(result, held, emit)
    else:
        measured = {side: _measure(side, pair, prompts, held, asked, task, emit) for side in SIDES}
    document["sides"] = {side: made.figures for side, made in measured.items()}
    document |= _comparison(measured["base"], measured["tuned"], result)
    if result.labels:
        document["baseline"] = "usual label"
        document["sentences"] = [text.replace("per token", "per row") for text in document["sentences"]]
    name = f"evaluation-{checkpoint}.json" if checkpoint else "evaluation.json"
    write_atomic(result.run.path / name, json.dumps(document, indent=1) + "\n")
    return document


@dataclass(frozen=True)
class _Measured:
    """One side: its figures, and what is needed row by row to compare it with the other side."""

    figures: dict[str, Any]
    losses: RowLosses
    flags: dict[str, list[bool]]
    answers: list[str]


def _measure(
    side: Side, pair: Pair, prompts: Prompts, held: HeldRows, asked: Sequence[Any], task: Task, emit: Emit
) -> _Measured:
    started = time.monotonic()
    scores, answers = Scores({}, {}), []
    with pair.switched(side) as model:
        losses = held_out_losses(model, held.rendered, prompts.pad_id, _reporter(emit, side, "loss"))
        if task != "text" and asked:
            answers = _answers(model, prompts, asked, pair.context_tokens(), _reporter(emit, side, "answers"))
            scores = score_answers(task, answers, [example.expected for example in asked])
    figures: dict[str, Any] = {"loss": losses.mean, "perplexity": math.exp(min(losses.mean, 700.0))}
    figures |= {"tokens": sum(losses.tokens)}
    figures |= {**scores.figures, "examples": _sample(asked, answers), "seconds": round(time.monotonic() - started, 2)}
    return _Measured(figures, losses, scores.flags, answers)


def _measured_classes(result: Result, held: HeldRows, emit: Emit) -> dict[Side, _Measured]:
    """A classification head beside always saying the commonest label, which stands where the base model does."""
    expected = [example.label for example in held.examples]
    found: dict[Side, _Measured] = {}
    for side, (losses, answers) in zip(SIDES, classifier.measure(result, held, emit), strict=True):
        scores = score_answers("classification", answers, expected)
        figures: dict[str, Any] = {"loss": losses.mean, "perplexity": math.exp(losses.mean), "tokens": len(expected)}
        figures |= {**scores.figures, "examples": _sample(held.examples, answers), "seconds": 0.0}
        found[side] = _Measured(figures, losses, scores.flags, answers)
    return found


def _comparison(base: _Measured, tuned: _Measured, result: Result) -> dict[str, Any]:
    """What changed, with intervals, in figures and in sentences."""
    differences = {"loss": loss_difference(base.losses.sums, tuned.losses.sums, base.losses.tokens)}
    differences |= {name: share_difference(base.flags[name], tuned.flags[name]) for name in tuned.flags}
    rows = zip(base.losses.sums, tuned.losses.sums, base.losses.tokens, strict=True)
    same = Sameness(
        largest_weight=largest_adapter_weight(result) if result.is_adapter else None,
        same_answers=sum(a == b for a, b in zip(base.answers, tuned.answers, strict=True)),
        answers=len(tuned.answers),
        largest_row_change=max((abs(b - a) / count for a, b, count in rows if count), default=0.0),
    )
    return {
        "differences": {name: difference.as_dict() for name, difference in differences.items()},
        "sentences": sentences(differences, base.figures, tuned.figures),
        "answers_as_before": same.reason(),
    }


def largest_adapter_weight(result: Result) -> float:
    """The largest absolute value in the adapter's B matrices, which begin at zero; 0 means that nothing was learned."""
    from safetensors import safe_open

    with safe_open(result.weights / "adapter_model.safetensors", "pt") as weights:
        names = [name for name in weights.keys() if "lora_B" in name or "lora_embedding_B" in name]  # noqa: SIM118
        return max((float(weights.get_tensor(name).abs().max()) for name in names), default=math.inf)


def _reporter(emit: Emit, side: Side, what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        emit({"progress": {"phase": "evaluating", "detail": f"{side}: {what}", "done": done, "total": total}})

    return report


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
