"""The LoRA adapter of a run: a fresh one on the base model, or one that was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from engine.errors import UserError, first_line
from engine.plan.adapters import chosen_layers
from engine.recipe_parts import MethodPart


def add_adapter(model: PreTrainedModel, method: MethodPart, seed: int, task: str = "CAUSAL_LM") -> Any:
    """Put a fresh LoRA adapter on `model`; its weights are random by `seed` and held in fp32.

    In 16 bits Adam's second moment would stand still (a change of one part in a thousand is below their precision).
    """
    from peft import get_peft_model
    from transformers import set_seed

    set_seed(seed)
    try:
        adapted = get_peft_model(model, lora_config(model, method, task))
    except ValueError as error:
        fix = 'Use ["all-linear"], or names of linear layers of this model.'
        raise UserError(f"The adapter cannot be placed: {first_line(error)}", "method.target_modules", fix) from error
    return adapted


def lora_config(model: PreTrainedModel, method: MethodPart, task: str = "CAUSAL_LM") -> Any:
    """peft's configuration of a recipe's adapter. UserError for layers that the model does not have."""
    from peft import LoraConfig

    layers = chosen_layers(method.layers, int(model.config.get_text_config().num_hidden_layers))
    whole = method.target_modules == ["all-linear"]
    names = linear_names(model) if whole and layers else method.target_modules  # peft wants names to choose layers
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    options: dict[str, Any] = {}
    if method.train_embeddings:
        options = {"modules_to_save": embedding_names(model, tied), "ensure_weight_tying": tied}
    return LoraConfig(
        r=method.rank, lora_alpha=method.alpha, lora_dropout=method.dropout, task_type=task, bias="none",
        target_modules="all-linear" if whole and not layers else names, layers_to_transform=layers or None,
        use_dora=method.dora, use_rslora=method.rslora, **options,
    )  # fmt: skip


def linear_names(model: PreTrainedModel) -> list[str]:
    """The names (last part) of all linear layers but the output head: what peft means by all-linear."""
    head = model.get_output_embeddings()
    found = {name.rpartition(".")[2] for name, module in model.named_modules()
             if isinstance(module, torch.nn.Linear) and module is not head}  # fmt: skip
    return sorted(found)


def embedding_names(model: PreTrainedModel, tied: bool) -> list[str]:
    """The names of the token embeddings and, where it is a weight of its own, the output head."""
    wanted = [model.get_input_embeddings(), *([] if tied else [model.get_output_embeddings()])]
    return [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is one for one in wanted)]


def open_adapter(model: PreTrainedModel, directory: Path) -> Any:
    """Put an adapter that was trained before on its base model, to train it further."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, directory, is_trainable=True)
    except (OSError, ValueError, RuntimeError) as error:
        what = f"The adapter cannot be opened: {first_line(error)}"
        raise UserError(what, str(directory), "Check that it belongs to this base model.") from error


def hold_trainable_in_fp32(model: torch.nn.Module) -> None:
    """Give every trainable adapter weight fp32: TRL turns those of a quantized model into bf16 when it is built.

    A resumed run would hold them in fp32 in any case, so without this it would not go on where it stopped.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
