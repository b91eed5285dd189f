"""Loading base and tuned model for use: one model with its adapter on or off, or two models after full fine-tuning."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.use.combining import check_combinable, without_scale
from engine.use.finished import Result

Side = str
"""Who answers: "base", "tuned", or the name of an adapter that was added."""
RESERVED = ("both", "finish", "tokens", "seconds", "id")
"""Words of a request or a reply, which no adapter may have as its name."""
SIDES: tuple[Side, Side] = ("base", "tuned")


def _peft_name(side: Side) -> str:
    """The adapter's name inside peft: its own word for the first, and one that is no attribute of a torch module."""
    return "default" if side == "tuned" else f"added_{side}"


def quiet_libraries() -> None:
    """No telemetry, no progress bars and no chatter from the libraries: what is said is said by jobs."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def gpu_note() -> str:
    """A sentence when something else fills most of the GPU, so that loading may fail and answers be slow."""
    import torch

    if not torch.cuda.is_available():
        return ""
    free, total = torch.cuda.mem_get_info()
    if free > total / 2:
        return ""
    return f"The GPU is busy: {free / 1e9:.1f} of {total / 1e9:.1f} GB are free. A run may be training on it."


def device_name() -> str:
    """Where models for use are put: "cuda", "mps" or "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_base(result: Result, device: str | None = None) -> Any:
    """The base model as it stood under the adapter in training (in 4 bits for QLoRA), in evaluation mode."""
    import torch

    from engine.train.load import load_model as load_for_training

    quiet_libraries()
    model: Any = load_for_training(result.base, result.recipe, torch.device(device or device_name()))
    model.config.use_cache = True
    return model.to(device or device_name()).eval() if result.method != "qlora" else model.eval()


def load_model(folder: Path, device: str) -> Any:
    """A whole model from a local directory, in the format it is stored in. Raises UserError when it does not load."""
    import torch
    from transformers import AutoModelForCausalLM

    quiet_libraries()
    options = {"dtype": "auto", "local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        return AutoModelForCausalLM.from_pretrained(str(folder), **options).to(device).eval()
    except torch.OutOfMemoryError as error:
        raise _no_room(folder) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        fix = "Check that config.json and the .safetensors files belong together."
        raise UserError(f"The model does not load: {_first_line(error)}", str(folder), fix, exit_code=1) from error


def with_adapter(model: Any, adapter: Path) -> Any:
    """`model` with the adapter on it, switched on. Raises UserError when they do not belong together."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=False).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        fix = "Use the base model with which the adapter was trained."
        raise UserError(
            f"The adapter does not fit on the base model: {_first_line(error)}", str(adapter), fix, exit_code=1
        ) from error


class Pair:
    """Base and tuned model of one result.

    With an adapter this is one model in memory, the adapter switched on or off. After full fine-tuning it is two;
    each is loaded when it is first asked for.
    """

    def __init__(self, result: Result, device: str | None = None) -> None:
        self.result = result
        self.device = device or device_name()
        self._models: dict[Side, Any] = {}
        if result.is_adapter:
            shared = with_adapter(load_base(result, self.device), result.weights)
            self._models = {"base": shared, "tuned": shared}

    @property
    def shares_one_model(self) -> bool:
        return self.result.is_adapter

    def model(self, side: Side) -> Any:
        """The model of `side`. With an adapter, run it inside `switched`."""
        if side not in self._models:
            load_trained = side == "tuned"
            self._models[side] = (
                load_model(self.result.weights, self.device) if load_trained else load_base(self.result, self.device)
            )
        return self._models[side]

    @contextlib.contextmanager
    def switched(self, side: Side) -> Iterator[Any]:
        """The model of `side`, ready to run inside the block. Switching takes about a millisecond."""
        model = self.model(side)
        if not self.shares_one_model:
            yield model
        elif side == "base":
            with model.disable_adapter():
                yield model
        else:
            if model.active_adapter != _peft_name(side):
                model.set_adapter(_peft_name(side))
            yield model

    @property
    def sides(self) -> list[Side]:
        """Everybody who can answer."""
        return [*SIDES, *(name for name in self._models if name not in SIDES)]

    def add(self, name: str, other: Result) -> None:
        """Load the adapter of another result (or checkpoint) beside the first. Raises UserError when it cannot fit."""
        self._refuse_name(name)
        if not (self.shares_one_model and other.is_adapter) or (other.method, other.base) != (
            self.result.method,
            self.result.base,
        ):
            what = f"The adapter of {other.run.name} was not trained on the same base in the same way."
            raise UserError(what, str(other.weights), "Compare adapters of one base model and one method.")
        try:
            self._models["tuned"].load_adapter(str(other.weights), adapter_name=_peft_name(name))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            what = f"The adapter does not load: {_first_line(error)}"
            raise UserError(what, str(other.weights), "Use another one.", exit_code=1) from error
        self._models[name] = self._models["tuned"].eval()

    def combine(self, name: str, weights: dict[Side, float]) -> None:
        """A new adapter from several, each with its weight: exact, since their ranks are put side by side.

        Raises UserError for adapters with which that would not be exact.
        """
        self._refuse_name(name)
        unknown = [side for side in weights if side == "base" or side not in self._models]
        if unknown or len(weights) < 2 or not self.shares_one_model:
            fix = f"Name at least two of: {', '.join(side for side in self.sides if side != 'base')}."
            raise UserError("These adapters cannot be combined.", ", ".join(weights), fix)
        names = [_peft_name(side) for side in weights]
        model = self._models["tuned"]
        configs = [model.peft_config[each].to_dict() for each in names]
        check_combinable(list(zip(weights, configs, strict=True)))
        model.add_weighted_adapter(names, list(weights.values()), _peft_name(name), combination_type="cat")
        without_scale(model, _peft_name(name))
        self._models[name] = model.eval()

    def _refuse_name(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,31}", name) or name in {*self._models, *RESERVED}:
            fix = "Use letters, digits, dashes and underscores, and a name that is not taken."
            raise UserError(f"{name!r} cannot be the name of an adapter here.", "name", fix)

    def context_tokens(self) -> int:
        """The longest sequence that the model takes, in tokens."""
        config = self.model("tuned").config
        return int(getattr(config, "max_position_embeddings", 0) or 2**31)


def _no_room(folder: Path) -> UserError:
    fix = "Close other programs that use the GPU (nvidia-smi lists them), or hide it: CUDA_VISIBLE_DEVICES= ."
    return UserError("The GPU has no room for this model.", str(folder), fix, exit_code=1)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
