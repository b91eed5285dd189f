"""How many parameters an adapter has, by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.errors import UserError
from engine.models.shapes import LinearShape
from engine.models.spec import ModelSpec

ALL_LINEAR = "all-linear"  # peft's word for every linear layer except the language-model head
ADAPTED_MIXTURES = ("mixtral", "qwen3_moe", "olmoe")  # model types whose experts peft 0.21 gives adapters to
# Choices of layers that tables are compiled for, the smallest first: peft's default for Llama, and all of attention.
TARGET_GROUPS = {"qv": ("q_proj", "v_proj"), "attention": ("q_proj", "k_proj", "v_proj", "o_proj")}


def targeted_linears(spec: ModelSpec, target_modules: Sequence[str]) -> tuple[LinearShape, ...]:
    """The linear layers that get an adapter. UserError when a name fits none of this model's layers."""
    if ALL_LINEAR in target_modules:
        return spec.linears
    known = {linear.name.rpartition(".")[2] for linear in spec.linears} | {linear.name for linear in spec.linears}
    unknown = [name for name in target_modules if name not in known]
    if unknown:
        raise UserError(
            f"This model has no layers called {', '.join(unknown)}.",
            "method.target_modules",
            f"Use {ALL_LINEAR}, or some of: {', '.join(sorted(known))}.",
        )
    wanted = set(target_modules)
    return tuple(item for item in spec.linears if item.name in wanted or item.name.rpartition(".")[2] in wanted)


@dataclass(frozen=True)
class AdapterShape:
    """`count` pairs of A (ranks x rank, inputs) and B (outputs, ranks x rank)."""

    inputs: int
    outputs: int
    count: int
    ranks: int = 1


def adapter_shapes(spec: ModelSpec, target_modules: Sequence[str] = (ALL_LINEAR,)) -> Iterator[AdapterShape]:
    """Every pair of matrices that an adapter consists of. UserError as in `targeted_linears`.

    Of some mixtures "all-linear" also means the experts and the router (peft 0.21, by model type): one pair for all
    experts of a block, with the rank for each of them and twice that where gate and up projection are one.
    """
    for item in targeted_linears(spec, target_modules):
        yield AdapterShape(item.inputs, item.outputs, item.count)
    if ALL_LINEAR in target_modules and spec.model_type in ADAPTED_MIXTURES and spec.experts:
        hidden, inner = spec.hidden_size, spec.intermediate_size
        blocks = spec.parts["experts"] // (3 * spec.experts * hidden * inner)
        yield AdapterShape(hidden, 2 * inner, blocks, 2 * spec.experts)
        yield AdapterShape(inner, hidden, blocks, spec.experts)
        yield AdapterShape(hidden, spec.experts, blocks)


def chosen_layers(text: str, count: int) -> list[int]:
    """The numbers of the layers in a text such as "0-7,12", ascending; none for an empty one, which means all.

    UserError when it is not such a text, or names a layer that a model of `count` layers does not have.
    """
    numbers: set[int] = set()
    for part in filter(None, text.replace(" ", "").split(",")):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise UserError(f"{part!r} is no layer.", "method.layers", "Write numbers and ranges, such as 0-7,12.")
        numbers.update(range(int(first), int(last or first) + 1))
    if numbers and max(numbers) >= count:
        what = f"The model has the layers 0 to {count - 1}, and {max(numbers)} is named."
        raise UserError(what, "method.layers", f"Use numbers up to {count - 1}.")
    return sorted(numbers)


def layer_share(spec: ModelSpec, layers: str) -> float:
    """Which share of the layers gets an adapter. UserError as `chosen_layers`."""
    chosen = chosen_layers(layers, spec.layers)
    return len(chosen) / spec.layers if chosen else 1.0


def adapter_parameters(spec: ModelSpec, rank: int, target_modules: Sequence[str] = (ALL_LINEAR,)) -> int:
    """Parameters of a LoRA adapter."""
    shapes = adapter_shapes(spec, target_modules)
    return sum(item.count * item.ranks * rank * (item.inputs + item.outputs) for item in shapes)


def target_group(spec: ModelSpec, target_modules: Sequence[str]) -> tuple[str, bool]:
    """The smallest choice with a table that holds all targeted layers, "" for all linear layers; whether it is just
    that choice, or larger and so an upper bound."""
    if ALL_LINEAR in target_modules:
        return "", True
    names = {item.name.rpartition(".")[2] for item in targeted_linears(spec, target_modules)}
    for group, members in TARGET_GROUPS.items():
        if names <= set(members):
            return group, names == set(members)
    return "", names == {item.name.rpartition(".")[2] for item in spec.linears}
