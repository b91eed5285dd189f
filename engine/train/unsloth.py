"""Unsloth as the backend: its model, its adapters and its patched trainer; events, checkpoints and control stay ours.

Follows Unsloth's documented quick start: `import unsloth` before anything else, FastLanguageModel.from_pretrained, then
get_peft_model, then TRL's trainer. It patches transformers and trl for the whole process, so it is imported only in an
engine that was started for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.recipe import Recipe

QUIET = {"UNSLOTH_DISABLE_STATISTICS": "1", "UNSLOTH_DISABLE_AUTO_UPDATES": "1", "UNSLOTH_RETURN_LOGITS": "0"}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""What Unsloth's quick start puts adapters on: every linear layer of the models that it knows."""


def import_first() -> None:
    """Import Unsloth before any library that it patches. Raises UserError when it cannot be."""
    os.environ.update(QUIET)
    loaded = [name for name in ("transformers", "trl", "peft") if name in sys.modules]
    assert not loaded, f"Unsloth must be imported before {loaded}"
    try:
        import unsloth  # noqa: F401
    except ImportError as error:
        fix = "Use --set method.backend=trl, or make Unsloth's environment anew."
        what = f"Unsloth cannot be imported: {str(error).splitlines()[0][:200]}"
        raise UserError(what, sys.executable, fix) from error
    except NotImplementedError as error:
        fix = "Use --set method.backend=trl."
        raise UserError(f"Unsloth cannot work here: {error}", sys.executable, fix) from error


def load_model(directory: Path, recipe: Recipe, dtype: Any) -> Any:
    """The base model by Unsloth, in 4 bits for QLoRA. `dtype` is torch's. Raises UserError for what it cannot load."""
    from unsloth import FastLanguageModel

    method = recipe.method.name
    try:
        model, _ = FastLanguageModel.from_pretrained(
            str(directory), max_seq_length=recipe.training.sequence_length, load_in_4bit=method == "qlora", dtype=dtype,
            full_finetuning=method == "full", trust_remote_code=False, local_files_only=True,
        )  # fmt: skip
    except Exception as error:  # whatever it is, plain TRL is the way out
        what = f"Unsloth cannot load this model: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise UserError(what, str(directory), "Use --set method.backend=trl.") from error
    model.config.use_cache = False
    return model


def add_adapter(model: Any, recipe: Recipe) -> Any:
    """A fresh adapter by Unsloth; random by the recipe's seed."""
    from transformers import set_seed
    from unsloth import FastLanguageModel

    method = recipe.method
    names = LINEAR if method.target_modules == ["all-linear"] else method.target_modules
    set_seed(recipe.training.seed)
    try:
        return FastLanguageModel.get_peft_model(
            model, r=method.rank, lora_alpha=method.alpha, lora_dropout=method.dropout, target_modules=names,
            use_rslora=method.rslora, bias="none", random_state=recipe.training.seed,
            use_gradient_checkpointing="unsloth" if recipe.training.gradient_checkpointing else False,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        what = f"Unsloth cannot place the adapter: {(str(error).splitlines() or [''])[0][:200]}"
        raise UserError(what, "method.target_modules", "Use --set method.backend=trl.") from error
