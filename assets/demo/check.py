"""Fine-tune the demo model on the demo rows in a plain loop, and count the held-out orders that come out exactly right.

Run as `python assets/demo/build.py --check [lora] [full] [qlora]`. The loop uses torch, transformers and peft only, on
the CPU, so that its figures do not lean on the program that the demo shows.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, get_cosine_schedule_with_warmup


@dataclass(frozen=True)
class Settings:
    """What the demo recommends for one method. `learning_rate` fits a model this narrow, see README.md."""

    learning_rate: float
    epochs: int = 4
    batch: int = 8
    warmup_ratio: float = 0.05


SETTINGS = {"lora": Settings(3e-3), "full": Settings(1e-3), "qlora": Settings(3e-3)}
RANK, ALPHA = 16, 32
SEED = 42


def load_base(directory: Path, method: str) -> Any:
    """The base in float32, or in NF4 with double quantization under float32 computation for qlora."""
    if method != "qlora":
        return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    import bitsandbytes.nn.modules as modules
    from transformers import BitsAndBytesConfig

    # The kernel for AVX512-BF16 has no backward pass, yet bitsandbytes keeps using it after the first evaluation.
    modules.has_avx512bf16 = lambda: False
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    return AutoModelForCausalLM.from_pretrained(directory, quantization_config=nf4, dtype=torch.float32)


def trainable(base: Any, method: str) -> Any:
    """The base itself, or the base with a LoRA adapter on all linear layers."""
    if method == "full":
        return base
    from peft import LoraConfig, get_peft_model

    adapter = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(base, adapter)


def encode(tokenizer: Any, row: dict[str, str]) -> tuple[list[int], list[int]]:
    """Token ids of the prompt and of the answer with its end token, as the chat template renders them."""
    turns = [{"role": "user", "content": row["input"]}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": row["output"]}], tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ids, tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]


def as_batch(pairs: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded tensors (rows, longest); the loss sees the answers only (labels -100 elsewhere)."""
    width = max(len(p) + len(a) for p, a in pairs)
    ids = [p + a + [pad] * (width - len(p) - len(a)) for p, a in pairs]
    labels = [[-100] * len(p) + a + [-100] * (width - len(p) - len(a)) for p, a in pairs]
    mask = [[1] * (len(p) + len(a)) + [0] * (width - len(p) - len(a)) for p, a in pairs]
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}


def train(model: Any, tokenizer: Any, rows: list[dict[str, str]], settings: Settings) -> list[float]:
    """AdamW with a cosine schedule; gives the loss of every optimizer step."""
    pairs = [encode(tokenizer, row) for row in rows]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=0.0, fused=True)
    steps = settings.epochs * math.ceil(len(pairs) / settings.batch)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(steps * settings.warmup_ratio), steps)
    random, losses = Random(SEED), []
    model.train()
    for _ in range(settings.epochs):
        random.shuffle(pairs)
        for at in range(0, len(pairs), settings.batch):
            loss = model(**as_batch(pairs[at : at + settings.batch], tokenizer.pad_token_id)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    model.eval()
    return losses


def answers(model: Any, tokenizer: Any, rows: list[dict[str, str]]) -> list[str]:
    """Greedy answers to the rows' messages, without special tokens."""
    prompts = [encode(tokenizer, row)[0] for row in rows]
    width = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in prompts])
    mask = (torch.arange(width) >= torch.tensor([[width - len(p)] for p in prompts])).long()
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=200, do_sample=False)
    return [str(tokenizer.decode(row[width:], skip_special_tokens=True)) for row in out]


def exact_share(given: list[str], rows: list[dict[str, str]]) -> float:
    """The share of answers that equal the wanted text, character by character."""
    return sum(a == row["output"] for a, row in zip(given, rows, strict=True)) / len(rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check(methods: list[str], model_directory: Path, data: Path) -> None:
    """Print base and tuned exact match, the losses and the time for each method."""
    rows, held_out = read(data / "orders.jsonl"), read(data / "orders_test.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(model_directory)
    for method in methods:
        torch.manual_seed(SEED)
        model = trainable(load_base(model_directory, method).eval(), method)
        before = answers(model, tokenizer, held_out)
        start, cpu = time.monotonic(), time.process_time()
        losses = train(model, tokenizer, rows, SETTINGS[method])
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        after = answers(model, tokenizer, held_out)
        print(f"{method}: {SETTINGS[method]}, {len(losses)} steps, {seconds:.0f} s, CPU {cpu:.0f} s")
        print(f"  loss: first {losses[0]:.2f}, last ten {sum(losses[-10:]) / 10:.3f}")
        print(f"  exact match on {len(held_out)} held-out messages: base {exact_share(before, held_out):.1%},", end=" ")
        print(f"tuned {exact_share(after, held_out):.1%}")
        print(f"  message: {held_out[0]['input']}\n  base:    {before[0]}\n  tuned:   {after[0]}", flush=True)
        for answer, row in zip(after, held_out, strict=True):
            if answer != row["output"]:
                print(f"  wrong:   {row['input']}\n           {answer}")
