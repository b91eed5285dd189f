"""Activation offloading and paged optimizers, as far as they go without a GPU: the processor stands in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.plan.memory import TrainingShape
from tests.engine.plan.test_simulation import LLAMA

pytest.importorskip("trl")
torch = pytest.importorskip("torch")
from tests.engine.plan.own_trainers import trainer_of  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
SMALL = {**LLAMA, "vocab_size": 1024, "hidden_size": 64, "intermediate_size": 128}


@pytest.fixture
def offloading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """TRL's own code for moving activations with the processor as the device it moves them from; counts what it moved.

    It asks torch for the accelerator, of which there is none; pinned memory and a second stream need a real one.
    """
    from trl.models import activation_offloading as module
    from trl.trainer import dpo_trainer, kto_trainer, sft_trainer

    plain = module.get_act_offloading_ctx_manager
    moved: list[int] = []

    def made(model: Any) -> Any:
        context = plain(model, use_pin_memory=False, use_streams=False, min_offload_size=64, warn_if_no_head=False)
        pack = context.pack_hook

        def counted(activation: Any) -> int:
            number = pack(activation)
            moved.extend([activation.nbytes] if context.tracker[number][1] else [])
            return int(number)

        context.pack_hook = counted
        return context

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_, **__: torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "empty_cache", lambda: None, raising=False)
    for trainer in (sft_trainer, dpo_trainer, kto_trainer):
        monkeypatch.setattr(trainer, "get_act_offloading_ctx_manager", made)
    return moved


@pytest.mark.parametrize("objective", ["sft", "dpo", pytest.param("kto", marks=pytest.mark.long)])
def test_offloaded_activations_give_the_same_steps(objective: str, tmp_path: Path, offloading: list[int]) -> None:
    """The setting reaches TRL's trainer, which moves what the forward pass keeps and fetches it for the backward."""
    shape = TrainingShape("lora", 2, 128, 8, False, precision="fp32", objective=objective)
    losses = []
    for wanted in (False, True):
        torch.manual_seed(0)
        trainer = trainer_of(SMALL, shape, tmp_path, activation_offloading=wanted)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        assert bool(offloading) == wanted
    assert len(losses[0]) == 2 and losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert sum(offloading) > 2 * 2 * 128 * 64 * 4, "more than one hidden state of every step"


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_the_recipes_optimizer_is_bitsandbytes_own(name: str, tmp_path: Path) -> None:
    """Without a GPU nothing is paged, and bitsandbytes says so; the class and its 8-bit state are the same."""
    import bitsandbytes

    shape = TrainingShape("full", 2, 128, 8, False, name, "fp32", objective="dpo", reference="precomputed")
    trainer = trainer_of(SMALL, shape, tmp_path)
    trainer.train()
    optimizer = trainer.optimizer.optimizer
    assert isinstance(optimizer, bitsandbytes.optim.AdamW) and optimizer.args.optim_bits == 8
    assert optimizer.is_paged == name.startswith("paged")
    embeddings = trainer.model.get_input_embeddings().weight
    states = {parameter: state["state1"] for parameter, state in optimizer.state.items() if parameter.numel() >= 4096}
    assert len(states) > 8
    for parameter, state in states.items():  # the planner counts this: engine/plan/weights.py
        assert state.dtype == (torch.float32 if parameter is embeddings else torch.uint8)
