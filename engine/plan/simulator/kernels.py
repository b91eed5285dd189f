"""Where a CUDA device differs from fake tensors on a CPU: attention kernels, autocast's list, work space inside
kernels.

Each stand-in allocates what the real kernel allocates and nothing else; no numbers are computed. Shapes and sizes were
read in torch 2.13, bitsandbytes 0.50 and trl 1.16 and checked against published measured runs where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from engine.plan.simulator.request import Simulation
from engine.plan.simulator.tracker import Extra, Tracker

HANDLE_WORKSPACE_BYTES = 8_519_680  # cuBLAS's default :4096:2:16:8, per handle and stream; matches T4 and RTX 4080 runs
HOPPER_WORKSPACE_BYTES = 32 << 20  # from compute capability 9.0 on, as documented
FLASH_CAPABILITY = (8, 0)
LARGEST_FLASH_HEAD = 256


class FlashAttention(torch.autograd.Function):  # type: ignore[misc]
    """aten::_scaled_dot_product_flash_attention: output in (B, S, heads, dim) order, log-sum-exp in fp32."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        batch, heads, length, _ = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        summed = query.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, summed)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query, key, value, _, _ = ctx.saved_tensors
        batch, heads, length, width = query.shape
        if not gradient.is_contiguous() and gradient.stride(-1) != 1:
            gradient = gradient.contiguous()
        results = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        rows, columns = -(-length // 128) * 128, -(-width // 32) * 32
        scratch = [
            query.new_empty(batch, heads, rows, dtype=torch.float32),
            query.new_empty(batch, rows, heads, columns, dtype=torch.float32),
        ]
        if key.shape[1] != heads:  # grouped queries: gradients of keys and values per query head, then summed
            scratch += [key.new_empty(batch, length, heads, width), value.new_empty(batch, length, heads, width)]
        del scratch
        return results


class EfficientAttention(torch.autograd.Function):  # type: ignore[misc]
    """aten::_scaled_dot_product_efficient_attention, with a mask or on devices without the flash kernel."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any) -> torch.Tensor:
        batch, heads, length, _ = query.shape
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.empty(mask.shape, dtype=query.dtype)
        out: torch.Tensor = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        summed = query.new_empty(batch, heads, -(-length // 32) * 32, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, summed, mask)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        query, key, value, *_ = ctx.saved_tensors
        batch, heads, length, width = query.shape
        results = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        scratch = (
            query.new_empty(batch, heads, length, dtype=torch.float32),
            query.new_empty(batch, heads, length, width, dtype=torch.float32),
        )
        del scratch
        return *results, None


class CompactRows(torch.autograd.Function):  # type: ignore[misc]
    """`hidden[mask]` as trl takes it on CUDA before the loss: a copy of the trained rows, and zeros of all rows
    back."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(hidden)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(gradient)


class FusedDropout(torch.autograd.Function):  # type: ignore[misc]
    """aten::native_dropout on CUDA: keeps one byte per element, where the CPU keeps the scaled noise."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(torch.empty_like(inputs, dtype=torch.bool))
        return torch.empty_like(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(gradient)


def fused_dropout(inputs: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Stands for torch's dropout on CUDA."""
    result: torch.Tensor = FusedDropout.apply(inputs) if training and p > 0 else inputs
    return result


def attention_of(request: Simulation) -> Any:
    """A stand-in for torch's scaled_dot_product_attention that chooses the kernel as the device would."""
    flash = request.device == "cpu" or request.capability >= FLASH_CAPABILITY

    def attend(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: Any = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            query, key, value = (t.to(dtype) if t.dtype == torch.float32 else t for t in (query, key, value))
        grouped = key.shape[1] != query.shape[1]
        if request.expand_keys and grouped:
            groups = query.shape[1] // key.shape[1]
            key, value, grouped = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3), False
        if request.device == "cpu":
            return FlashAttention.apply(query, key, value)
        if attn_mask is not None:
            return EfficientAttention.apply(query, key, value, attn_mask)
        half = query.dtype in (torch.bfloat16, torch.float16)
        if flash and half and query.shape[-1] <= LARGEST_FLASH_HEAD:
            return FlashAttention.apply(query, key, value)
        if grouped:  # neither kernel takes grouped queries here: the plain product, which keeps all scores
            plain = torch.ops.aten._scaled_dot_product_attention_math
            return plain(query, key, value, None, 0.0, is_causal, None, scale=scale, enable_gqa=True)[0]
        return EfficientAttention.apply(query, key, value, None)

    return attend


def in_fp32(function: Any) -> Any:
    """The function as CUDA's autocast runs it: in fp32, which the CPU's autocast does not do for it."""

    def widened(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        wide = {name: _wide(value) for name, value in kwargs.items()}
        with torch.autocast("cpu", enabled=False):
            return function(*(_wide(value) for value in args), **wide)

    return widened


def _wide(value: Any) -> Any:
    half = isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value


def extras_of(request: Simulation) -> dict[str, Extra]:
    """The inner allocations of kernels, by operation."""
    half_softmax = request.base_dtype == "float16" and not request.prepared_for_kbit

    def softmax_backward(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
        """softmax_backward_cuda_out computes grad * output into a temporary; from fp16 it also narrows its result."""
        size = int(args[0].numel() * args[0].element_size())
        return size - int(result.numel() * result.element_size()) // 2 if half_softmax else size

    extras: dict[str, Extra] = {"bitsandbytes::gemm_4bit": dequantized}
    if request.device == "cuda":
        extras["aten::_softmax_backward_data"] = softmax_backward
    return extras


def dequantized(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """bitsandbytes unpacks a whole weight into the input's type, and its nested scales into two fp32 vectors."""
    inputs, shape, block = args[0], args[2], args[4]
    count = 1
    for size in shape:
        count *= int(size)
    nested = kwargs.get("absmax_8bit", args[7] if len(args) > 7 else None)
    scales = 2 * 4 * -(-count // block) if nested is not None else 0
    return count * int(inputs.element_size()) + scales


def _overwrite_parameters(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """nn.Module._apply that replaces parameters; the original swaps tensors, which fails on fake ones."""
    if recurse:
        for child in self.children():
            child._apply(fn)
    with torch.no_grad():
        for name, parameter in list(self._parameters.items()):
            if parameter is not None and (changed := fn(parameter)) is not parameter:
                self._parameters[name] = nn.Parameter(changed.detach(), requires_grad=parameter.requires_grad)
        for name, buffer in list(self._buffers.items()):
            if buffer is not None:
                self._buffers[name] = fn(buffer)
    return self


@contextmanager
def device_emulation(request: Simulation, tracker: Tracker) -> Iterator[None]:
    """Put the stand-ins in place; everything is undone on leaving."""
    import transformers.masking_utils as masking

    with ExitStack() as stack:
        # On a fake tensor transformers cannot see that rows are not packed, and would build a mask of all pairs.
        stack.enter_context(patch.object(masking, "find_packed_sequence_indices", _nothing))
        stack.enter_context(patch.object(nn.Module, "_apply", _overwrite_parameters))
        stack.enter_context(patch.object(nn.functional, "scaled_dot_product_attention", attention_of(request)))
        if request.device == "cuda":
            stack.enter_context(patch.object(nn.functional, "dropout", fused_dropout))
            for place, name in (
                (nn.functional, "layer_norm"),
                (torch, "pow"),
            ):  # of autocast's fp32 list, what models call
                stack.enter_context(patch.object(place, name, in_fp32(getattr(place, name))))
        if request.shape.chunked_loss:
            stack.enter_context(_loss_emulation(request, tracker))
        yield


@contextmanager
def _loss_emulation(request: Simulation, tracker: Tracker) -> Iterator[None]:
    """trl's chunked loss as the device runs it, its memory counted as "loss"."""
    import trl.trainer.utils as trainer_utils
    from trl.kernels import chunked_logprob as chunked

    function = chunked.ChunkedLogProbFunction
    plain_backward = function.backward

    class Labelled:
        """Stands where trl looks for the function."""

        @staticmethod
        def apply(hidden: torch.Tensor, *rest: Any) -> Any:
            compact = CompactRows.apply(hidden) if request.device == "cuda" else hidden
            with tracker.labelled("loss"):
                return function.apply(compact, *rest)

    def backward(ctx: Any, *gradients: Any) -> Any:
        with tracker.labelled("loss"):
            return plain_backward(ctx, *gradients)

    with ExitStack() as stack:
        stack.enter_context(patch.object(trainer_utils, "_ChunkedLogProbFunction", Labelled))
        stack.enter_context(patch.object(function, "backward", staticmethod(backward)))
        if request.device == "cuda" and request.emulate_device:  # Triton kernels, without torch's temporaries
            for name in ("_forward_tile", "_backward_tile", "_addmm_fp32"):
                stack.enter_context(patch.object(chunked, name, _nothing))
        yield


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Stands for a kernel that allocates nothing."""
