"""Pretraining of the demo model: drills that teach copying, then the grammar's text. One thread, float32."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import torch

from assets.demo.grammar import Part, documents
from assets.demo.vocabulary import BOS_ID, EOS, EOS_ID, FIRST_PLAIN_ID, ROLES, VOCABULARY

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SEED = 11
THREADS = 1  # another number adds up floats in another order, and so gives other weights
LEARNING_RATE, WARMUP_STEPS, WEIGHT_DECAY = 1e-3, 40, 0.01
# Pretraining has two parts: first random tokens that are repeated, which is what makes copying form early; then text,
# one document a row, in batches of documents of like length.
DRILL_STEPS, DRILL_BATCH, DRILL_LENGTH = 500, 24, 64
TEXT_STEPS, TEXT_BATCH, SORTED_BATCHES = 1600, 24, 8
# What nobody can predict (a customer's wishes) weighs little in the loss, what follows from it weighs all.
WEIGHTS = {"user": 0.05, "given": 0.05, "text": 1.0, "assistant": 1.0}
Weighted = tuple[list[int], list[float]]


def encode(tokenizer: Tokenizer, document: list[Part]) -> Weighted:
    """The token ids of a document as the chat template renders it, and the weight of each in the loss."""
    ids, weights = [BOS_ID], [0.0]
    for at, (kind, text) in enumerate(document):
        if kind in ROLES:
            text = f"{ROLES[kind]}\n{text}" + (EOS if kind == "assistant" else "\n")
        elif at == len(document) - 1:
            text += EOS
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        weights += [WEIGHTS[kind]] * len(piece)
    return ids, weights


def drill(random: Random, length: int) -> Weighted:
    """Random token ids, each run of them said two to four times; only the repeats count."""
    ids: list[int] = []
    weights: list[float] = []
    while len(ids) < length:
        run = [random.randrange(FIRST_PLAIN_ID, VOCABULARY) for _ in range(random.randint(3, length // 5))]
        for turn in range(random.randint(2, 4)):
            ids += [BOS_ID if turn == 0 else EOS_ID, *run]
            weights += [0.0, *([0.0 if turn == 0 else 1.0] * len(run))]
    return ids[:length], weights[:length]


def batches(tokenizer: Tokenizer) -> Iterator[list[Weighted]]:
    """DRILL_STEPS batches of drills, then TEXT_STEPS batches of text with one drill each."""
    random, source = Random(SEED), documents()
    for _ in range(DRILL_STEPS):
        yield [drill(random, DRILL_LENGTH) for _ in range(DRILL_BATCH)]
    for _ in range(TEXT_STEPS // SORTED_BATCHES):
        rows = [encode(tokenizer, next(source)) for _ in range(SORTED_BATCHES * TEXT_BATCH)]
        rows.sort(key=lambda row: len(row[0]))
        group = [rows[at : at + TEXT_BATCH] for at in range(0, len(rows), TEXT_BATCH)]
        random.shuffle(group)
        yield from ([*batch, drill(random, DRILL_LENGTH)] for batch in group)


def pretrain(model: Any, tokenizer: Tokenizer) -> None:
    """Next-token prediction with AdamW in float32; the learning rate falls along a cosine during the text."""
    torch.set_num_threads(THREADS)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, (0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
    start, cpu_start = time.monotonic(), time.process_time()
    for step, batch in enumerate(batches(tokenizer), 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate_at(step)
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in batch])
        weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in batch])[:, 1:].flatten()
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.flatten(0, 1)
        losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            seconds, cpu = time.monotonic() - start, time.process_time() - cpu_start
            print(f"step {step}  loss {loss.item():.3f}  {seconds:.0f} s, CPU {cpu:.0f} s", flush=True)


def rate_at(step: int) -> float:
    """The share of the learning rate at a step: warm-up, level while drilling, then a cosine down to one tenth."""
    progress = max(0.0, (step - DRILL_STEPS) / TEXT_STEPS)
    return min(1.0, step / WARMUP_STEPS) * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
