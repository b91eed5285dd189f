"""The summed loss of one micro-batch, by the path that suits device and vocabulary."""

from __future__ import annotations

from typing import Any

import torch

from engine.plan.formulas import takes_direct_loss


def direct_loss_suits(model: Any, device: torch.device) -> bool:
    """Whether to compute the logits of the trained positions at once.

    TRL's fused head projects only trained positions where Triton runs, and all of them, padding included, elsewhere;
    its tiles of 32,768 tokens never pay for a small vocabulary. Heads that scale or cap their logits keep TRL's path.
    """
    config = model.config.get_text_config()
    scaled = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
    plain = all(getattr(config, name, None) is None for name in scaled)
    return plain and takes_direct_loss(int(config.vocab_size), "cpu" if device.type == "cpu" else "cuda")


def direct_loss(base: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """(summed cross entropy in nats, number of trained tokens); `base` is the causal model below any adapter wrapper.

    A label of -100 is not learned, and the first label of a row is never predicted.
    """
    inputs = dict(inputs)
    labels = inputs.pop("labels")[:, 1:]
    hidden = base.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
    trained = labels != -100
    logits = base.get_output_embeddings()(hidden[trained]).float()
    return torch.nn.functional.cross_entropy(logits, labels[trained], reduction="sum"), trained.sum()
