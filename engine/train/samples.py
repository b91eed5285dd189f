"""Answers to held-out prompts while training goes on: what the base model said, what the model says now."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import torch

from engine.runs.files import read_json, write_atomic
from engine.train.out_of_memory import is_out_of_memory
from engine.train.randomness import untouched
from engine.train.session import SamplePrompt, Session

LONGEST_ANSWER_TOKENS = 128
BASE_ANSWERS = "base_answers.json"


class SampleWriter:
    """Answers the same prompts at every evaluation, greedily and all at once."""

    def __init__(self, session: Session, trainer: Any, tokenizer: Any, prompts: Sequence[SamplePrompt],
                 stop_ids: Sequence[int]) -> None:  # fmt: skip
        self.session = session
        self.trainer = trainer
        self.tokenizer = tokenizer
        self.prompts = list(prompts)
        self.stop_ids = list(stop_ids) or [tokenizer.eos_token_id]
        self.base_answers: list[str] = []

    def ask_base(self, untrained: bool) -> None:
        """Have the base model answer. A full model is the base only while it is `untrained`, so its answers are kept
        in the run directory."""
        if not self.prompts:
            return
        path = self.session.reporter.run.path / BASE_ANSWERS
        known = read_json(path).get("answers")
        if isinstance(known, list) and len(known) == len(self.prompts):
            self.base_answers = [str(answer) for answer in known]
            return
        model = self.trainer.model
        if not untrained and not hasattr(model, "disable_adapter"):
            return
        with model.disable_adapter() if hasattr(model, "disable_adapter") else contextlib.nullcontext():
            self.base_answers = self._answer()
        write_atomic(path, json.dumps({"answers": self.base_answers}))

    def __call__(self, step: int) -> None:
        """Write one `sample` event for each prompt. Without enough memory for it, say so and go on."""
        if not self.prompts:
            return
        answers = self._answer()
        for index, (prompt, answer) in enumerate(zip(self.prompts, answers, strict=True)):
            base = self.base_answers[index] if index < len(self.base_answers) else ""
            self.session.reporter.event(
                "sample", step=step, prompt=prompt.text, base=base, tuned=answer, expected=prompt.expected
            )

    def _answer(self) -> list[str]:
        model = self.trainer.model
        was_training = model.training
        model.eval()
        try:
            with untouched(), torch.no_grad():
                return self._generate(model)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.session.reporter.warning("There was no memory for sample answers.", "evaluation.samples")
            return ["" for _ in self.prompts]
        finally:
            model.train(was_training)

    def _generate(self, model: Any) -> list[str]:
        self.session.reporter.tick()
        width = max(len(prompt.input_ids) for prompt in self.prompts)
        pad = self.tokenizer.pad_token_id or 0
        padded = [[pad] * (width - len(p.input_ids)) + p.input_ids for p in self.prompts]
        mask = [[0] * (width - len(p.input_ids)) + [1] * len(p.input_ids) for p in self.prompts]
        device = self.trainer.args.device
        longest = max(prompt.expected_tokens for prompt in self.prompts)
        produced = model.generate(
            input_ids=torch.tensor(padded, device=device), attention_mask=torch.tensor(mask, device=device),
            max_new_tokens=min(LONGEST_ANSWER_TOKENS, longest + longest // 2 + 8), do_sample=False,
            eos_token_id=self.stop_ids, pad_token_id=pad, use_cache=True,
        )  # fmt: skip
        return [self._text(row[width:].tolist()) for row in produced]

    def _text(self, ids: list[int]) -> str:
        for position, token in enumerate(ids):
            if token in self.stop_ids:
                ids = ids[:position]
                break
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
