"""How many parameters an adapter has, by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import UserError
from engine.models.shapes import LinearShape
from engine.models.spec import ModelSpec

ALL_LINEAR = "all-linear"  # peft's word for every linear layer except the language-model head


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


def adapter_parameters(spec: ModelSpec, rank: int, target_modules: Sequence[str] = (ALL_LINEAR,)) -> int:
    """Parameters of a LoRA adapter: A is (rank, inputs), B is (outputs, rank), for every targeted layer."""
    return sum(item.count * rank * (item.inputs + item.outputs) for item in targeted_linears(spec, target_modules))
