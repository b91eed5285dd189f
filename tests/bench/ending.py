"""What a result is worth before, after, and after it was merged: greedy answers on the rows that the run held out.

    python -m tests.bench.ending RUN_DIRECTORY [bf16|fp16|fp32]

The merged model is written to a temporary folder by the same export that a person uses, read again from its files and
asked the same questions. Answers are compared one by one as well, since two models may be right equally often.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.use.export import export_run
from engine.use.finished import open_result
from engine.use.generate import answer_greedily
from engine.use.held_rows import HeldRows
from engine.use.load import Pair, load_model
from engine.use.prompts import Prompts
from engine.use.scores import score_answers, task_of

ANSWER_TOKENS = 256


def answers(model: Any, prompts: Prompts, asked: Sequence[Any]) -> list[str]:
    """Greedy answers in the order of the rows."""
    ids = [prompts.ids([(turn.role, turn.content) for turn in example.prompt_turns]) for example in asked]
    made = dict(answer_greedily(model, ids, prompts.stop_ids, prompts.pad_id, ANSWER_TOKENS))
    return [prompts.decode(made[number]) for number in range(len(ids))]


def main() -> None:
    run, dtype = Path(sys.argv[1]), (sys.argv[2:] or ["bf16"])[0]
    result = open_result(run)
    prompts = Prompts.of(result)
    held = HeldRows(result, prompts)
    expected = [example.expected for example in held.examples]
    task, pair = task_of(expected, held.format), Pair(result, "cpu")
    told: dict[str, list[str]] = {}
    for side in ("base", "tuned"):
        with pair.switched(side) as model:
            told[side] = answers(model, prompts, held.examples)
    with tempfile.TemporaryDirectory() as folder:
        reply = export_run(run, "merged", Path(folder) / "merged", lambda message: None, dtype=dtype)
        told[f"merged {dtype}"] = answers(load_model(Path(reply["out"]), "cpu"), prompts, held.examples)
    figure = "accuracy" if task == "classification" else "exact_match"
    for side, given in told.items():
        share = score_answers(task, given, expected).figures[figure]
        same = sum(a == b for a, b in zip(given, told["tuned"], strict=True))
        print(f"{side}: {figure} {share['value']:.1%} ({share['hits']} of {share['count']}), "
              f"{same} answers equal the tuned model's")  # fmt: skip
    print(reply["agreement"])


if __name__ == "__main__":
    main()
