"""The direct loss path gives TRL's loss and gradients; padding, prompts and packs change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.plan.formulas import DIRECT_VOCABULARY
from engine.train.loss import direct_loss, direct_loss_suits

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    loaded = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    add_fused_lm_head(loaded, outputs=("log_probs",))
    return loaded


def make_rows() -> list[tuple[list[int], list[int]]]:
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, 1500, (length,), generator=generator).tolist() for length in (9, 30, 17)]
    return [(ids, [-100] * 4 + ids[4:]) for ids in rows]


def padded_batch(rows: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows]),
    }


def gradients(model: Any, loss: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def test_it_equals_the_fused_head(model: Any) -> None:
    batch = padded_batch(make_rows())
    fused = model(**batch, use_cache=False, fused_lm_head=True)
    expected = gradients(model, -fused.log_probs.sum())
    total, count = direct_loss(model, batch)
    assert int(count) == int(fused.label_mask.sum()) == 9 + 30 + 17 - 12
    torch.testing.assert_close(total, -fused.log_probs.sum(), rtol=1e-6, atol=1e-5)
    for ours, theirs in zip(gradients(model, total), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_pack_isolates_its_rows(model: Any) -> None:
    """TRL's packed batch on plain attention: the loss is the sum of the rows' own losses."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    rows = make_rows()
    flat = {"input_ids": sum((ids for ids, _ in rows), []), "labels": sum((labels for _, labels in rows), []),
            "seq_lengths": [len(ids) for ids, _ in rows]}  # fmt: skip
    pack = dict(DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([flat]))
    alone = sum(float(direct_loss(model, padded_batch([row]))[0].detach()) for row in rows)
    assert float(direct_loss(model, pack)[0].detach()) == pytest.approx(alone, rel=1e-5)
    leaky = {**pack, "position_ids": torch.arange(56)[None]}  # one document of all three: the check can fail
    for name in ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"):
        leaky.pop(name, None)
    assert float(direct_loss(model, leaky)[0].detach()) != pytest.approx(alone, rel=1e-4)


def test_a_batch_without_trained_tokens_is_a_differentiable_zero(model: Any) -> None:
    batch = padded_batch(make_rows())
    batch["labels"].fill_(-100)
    total, count = direct_loss(model, batch)
    assert float(total.detach()) == 0 and int(count) == 0
    assert all(bool((gradient == 0).all()) for gradient in gradients(model, total))


def test_large_vocabularies_gpus_and_scaled_heads_keep_trls_path(model: Any) -> None:
    assert direct_loss_suits(model, CPU)
    assert not direct_loss_suits(model, torch.device("cuda"))
    for name, value in (("vocab_size", DIRECT_VOCABULARY + 1), ("logit_scale", 0.5), ("final_logit_softcapping", 30.0)):
        before = getattr(model.config, name, None)
        setattr(model.config, name, value)
        assert not direct_loss_suits(model, CPU), name
        setattr(model.config, name, before)
