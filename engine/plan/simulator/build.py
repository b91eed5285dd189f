"""The model on fake tensors, prepared as training prepares it: quantized, with adapters, with the chunked loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.plan.preference import holds_reference
from engine.plan.simulator.objectives import HEAD_OUTPUTS, LABELS
from engine.plan.simulator.request import Simulation

ADAPTER_MARKS = ("lora_", "modules_to_save")


@dataclass
class Built:
    """`parameters` are (name, parameter) without duplicates; `quantized` maps a parameter's id to its quantization
    state; `reference` is the second model that a full fine-tune compares with, else None."""

    model: Any
    parameters: list[tuple[str, nn.Parameter]]
    quantized: dict[int, Any]
    reference: Any = None


def config_of(request: Simulation) -> Any:
    """The transformers config of a config.json."""
    from transformers import AutoConfig

    fields = dict(request.config)
    model_type = fields.pop("model_type")
    for name in ("quantization_config", "auto_map", "transformers_version"):
        fields.pop(name, None)
    config = AutoConfig.for_model(model_type, **fields)
    config.use_cache = False
    return config


def base_dtype(request: Simulation) -> torch.dtype:
    """How the base is held: as the engine loads it, or as asked for."""
    if request.base_dtype:
        found = getattr(torch, request.base_dtype)
        assert isinstance(found, torch.dtype)
        return found
    precision = request.shape.precision
    if precision == "fp32" or (precision == "fp16" and request.shape.method == "full"):
        return torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float16


def build(request: Simulation) -> Built:
    """Build the model. Must be called inside a FakeTensorMode."""
    shape = request.shape
    model = _bare_model(request)
    model.train()
    quantized: dict[int, Any] = {}
    if shape.method == "qlora":
        _quantize(model, request, quantized)
    if shape.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if shape.method != "full":
        model = _with_adapter(model, request)
    if shape.chunked_loss and shape.objective in HEAD_OUTPUTS:
        _fuse_head(model.get_base_model() if shape.method != "full" else model, HEAD_OUTPUTS[shape.objective])
    return Built(model, _distinct(model), quantized, _reference(request))


def _bare_model(request: Simulation) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.initialization import no_init_weights

    config, kind = config_of(request), AutoModelForCausalLM
    if request.shape.objective == "classify":
        kind, config.num_labels = AutoModelForSequenceClassification, LABELS
        config.pad_token_id = config.pad_token_id or 0
    with no_init_weights():
        model = kind.from_config(config, dtype=base_dtype(request), attn_implementation=request.attention)
    model.tie_weights()  # no_init_weights leaves this out
    return model


def _fuse_head(base: Any, outputs: tuple[str, ...]) -> None:
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(base, outputs=outputs)


def _reference(request: Simulation) -> Any:
    """The untrained model that is held beside the trained one."""
    if not holds_reference(request.shape):
        return None
    model = _bare_model(request).eval().requires_grad_(False)
    _fuse_head(model, ("log_probs",))
    return model


def is_adapter(name: str) -> bool:
    """True for the name of an adapter's parameter."""
    return any(mark in name for mark in ADAPTER_MARKS)


def quantized_tensors(state: Any) -> list[torch.Tensor]:
    """The tensors that belong to a 4-bit weight beside its packed bytes: scales, nested scales, code books, offset."""
    found = [state.absmax, state.code, state.offset]
    if state.state2 is not None:
        found += [state.state2.absmax, state.state2.code]
    return [tensor for tensor in found if isinstance(tensor, torch.Tensor)]


def _with_adapter(model: Any, request: Simulation) -> Any:
    from peft import LoraConfig, get_peft_model

    shape = request.shape
    targets: Any = list(shape.target_modules)
    task = "SEQ_CLS" if shape.objective == "classify" else "CAUSAL_LM"
    config = LoraConfig(
        r=shape.rank, lora_alpha=2 * shape.rank, lora_dropout=0.0, task_type=task,
        target_modules="all-linear" if targets == ["all-linear"] else targets,
    )  # fmt: skip
    model = get_peft_model(model, config)
    dtype = getattr(torch, request.adapter_dtype)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != dtype:
            parameter.data = parameter.data.to(dtype)
    if shape.gradient_checkpointing:
        model.enable_input_require_grads()
    return model


def _quantize(model: Any, request: Simulation, quantized: dict[int, Any]) -> None:
    """Replace every linear layer but the head by bitsandbytes' 4-bit one, with the tensors that it would hold."""
    from transformers.pytorch_utils import Conv1D
    from transformers.utils.quantization_config import QuantizationMethod

    books: dict[str, torch.Tensor] = {}
    head = model.get_output_embeddings() or getattr(model, "score", None)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear | Conv1D) and child is not head:
                setattr(module, name, _four_bit(child, request, quantized, books))
    model.is_loaded_in_4bit = model.is_quantized = True
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        half = parameter.dtype in (torch.float16, torch.bfloat16)
        if request.prepared_for_kbit and half:
            parameter.data = parameter.data.to(torch.float32)


def _four_bit(linear: Any, request: Simulation, quantized: dict[int, Any], books: dict[str, torch.Tensor]) -> nn.Module:
    """bitsandbytes' Linear4bit with fake contents; Params4bit itself cannot wrap a fake tensor."""
    import bitsandbytes as bnb

    weight = linear.weight.data if isinstance(linear, nn.Linear) else linear.weight.data.t()
    new = bnb.nn.Linear4bit.__new__(bnb.nn.Linear4bit)
    nn.Module.__init__(new)
    new.out_features, new.in_features = weight.shape
    new.register_parameter("bias", linear.bias)
    new.compute_dtype, new.compute_type_is_set, new.quant_state = weight.dtype, True, None
    new.quant_storage, new.support_avx512bf16_for_cpu = torch.uint8, False
    packed = nn.Parameter(torch.empty((weight.numel() + 1) // 2, 1, dtype=torch.uint8), requires_grad=False)
    state = _quantization_state(weight, request.double_quantization, books)
    packed.quant_state, packed.quant_type = state, "nf4"
    packed.compress_statistics, packed.bnb_quantized, packed.blocksize = request.double_quantization, True, 64
    new.weight = packed
    quantized[id(packed)] = state
    return new


def _quantization_state(weight: torch.Tensor, double: bool, books: dict[str, torch.Tensor]) -> Any:
    """What Params4bit keeps per weight: one scale per 64 elements, in 8 bits with a second level per 256 when
    doubled."""
    import bitsandbytes.functional as functional

    blocks = -(-weight.numel() // 64)
    common = {"shape": weight.shape, "dtype": weight.dtype, "blocksize": 64, "quant_type": "nf4"}
    code = books.setdefault("nf4", torch.empty(16, dtype=torch.float32))
    if not double:
        return functional.QuantState(absmax=torch.empty(blocks, dtype=torch.float32), code=code, **common)
    second = functional.QuantState(
        absmax=torch.empty(-(-blocks // 256), dtype=torch.float32),
        code=books.setdefault("dynamic", torch.empty(256, dtype=torch.float32)),
        blocksize=256,
        dtype=torch.float32,
    )
    return functional.QuantState(
        absmax=torch.empty(blocks, dtype=torch.uint8), code=code, offset=torch.empty((), dtype=torch.float32),
        state2=second, **common,
    )  # fmt: skip


def _distinct(model: Any) -> list[tuple[str, nn.Parameter]]:
    """Parameters once each, the base before the adapters, as they are loaded."""
    seen: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        seen.setdefault(id(parameter), (name, parameter))
    return sorted(seen.values(), key=lambda pair: is_adapter(pair[0]))


def elements(parameter: nn.Parameter, state: Any) -> int:
    """Elements of the weight that a parameter stands for."""
    return math.prod(state.shape) if state is not None else parameter.numel()
