"""What a plan is: every method with its settings, its needs and its verdict, and the one that is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.machine.detect import Machine
from engine.models.spec import ModelSpec
from engine.plan.fit import Verdict, judge
from engine.plan.memory import Memory, TrainingShape, memory_dict
from engine.plan.several_gpus import sharings
from engine.plan.words import size_text
from engine.recipe import Answer


@dataclass(frozen=True)
class MethodPlan:
    """One method on this machine. `answers` has every key of method, training, evaluation and checkpoints.

    `fits` is True when the margin is kept; `verdict` tells "tight" from "no". `available` is False when the method
    cannot be used here at all, `reason` then says why. `process_bytes` share the device's memory (the process itself on
    a CPU), and so do `sharing_bytes`, by which several GPUs talk.
    `warnings` name what else is short (RAM, disk, time). `estimate` is what the closed form said when `memory` is
    simulated or measured.
    """

    name: str
    fits: bool
    shortfall_bytes: int
    reason: str
    answers: dict[str, Answer]
    memory: Memory
    host_memory_bytes: int
    disk_bytes: int
    seconds: float
    available: bool = True
    verdict: Verdict = "fits"
    free_bytes: int = 0
    warnings: tuple[str, ...] = ()
    shape: TrainingShape | None = None
    process_bytes: int = 0
    sharing_bytes: int = 0
    estimate: Memory | None = None

    @property
    def need_bytes(self) -> int:
        """All that has to be free on the device: the step, and what is around it."""
        return self.memory.total_bytes + self.process_bytes + self.sharing_bytes

    def with_memory(self, memory: Memory) -> MethodPlan:
        """The same plan with its memory simulated or measured, judged anew against what is free.

        A model that is divided among GPUs is neither simulated nor judged by what the whole of it needs.
        """
        if self.divided:
            return self
        fit = judge(memory.total_bytes + self.process_bytes + self.sharing_bytes, self.free_bytes)
        fits = self.available and fit.verdict == "fits"
        words = {"simulation": "Simulated", "rehearsal": "Measured"}.get(memory.kind, "Estimated")
        reason = f"{words}: needs {size_text(fit.need_bytes)} of the {size_text(fit.free_bytes)} that are free."
        if not fits and self.available:
            reason += f" With the usual margin {size_text(fit.shortfall_bytes)} are missing."
        return replace(
            self,
            memory=memory,
            estimate=self.estimate or self.memory,
            host_memory_bytes=self._host_bytes(memory),
            fits=fits,
            verdict=fit.verdict,
            shortfall_bytes=fit.shortfall_bytes,
            reason=reason if self.available else self.reason,
        )

    @property
    def divided(self) -> bool:
        """Whether several GPUs hold a part of the model each."""
        sharding = self.answers.get("training.sharding")
        return sharding is not None and sharding.value != "none"

    def _host_bytes(self, memory: Memory) -> int:
        """On a CPU the step's own need is part of the process's RAM, unless loading needs more than the step."""
        if not self.process_bytes:
            return self.host_memory_bytes
        loading = self.host_memory_bytes - self.process_bytes
        return self.process_bytes + max(memory.total_bytes, loading if loading > self.memory.total_bytes else 0)

    def value(self, key: str) -> Any:
        """The value of one setting."""
        return self.answers[key].value

    def as_dict(self) -> dict[str, Any]:
        """The form of `plan --json`."""
        return {
            "name": self.name,
            "available": self.available,
            "fits": self.fits,
            "verdict": self.verdict,
            "shortfall_bytes": self.shortfall_bytes,
            "reason": self.reason,
            "warnings": list(self.warnings),
            "settings": {key: answer.value for key, answer in self.answers.items()},
            "reasons": {key: {"source": a.source, "reason": a.reason} for key, a in self.answers.items()},
            "memory": {
                **memory_dict(self.memory),
                "free_bytes": self.free_bytes,
                "estimate_bytes": (self.estimate or self.memory).total_bytes,
            },
            "host_memory_bytes": self.host_memory_bytes,
            "disk_bytes": self.disk_bytes,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Plan:
    """All methods in the order full, LoRA, QLoRA; `recommended` names one of them and `reason` says why in a sentence
    or two."""

    recommended: str
    reason: str
    methods: tuple[MethodPlan, ...]
    machine: Machine
    spec: ModelSpec
    notes: tuple[str, ...] = ()

    def method(self, name: str) -> MethodPlan:
        """The plan of one method. KeyError for a name that is no method."""
        for plan in self.methods:
            if plan.name == name:
                return plan
        raise KeyError(name)

    def with_memory(self, name: str, memory: Memory) -> Plan:
        """The same plan with one method's memory simulated or measured."""
        return replace(
            self, methods=tuple(plan.with_memory(memory) if plan.name == name else plan for plan in self.methods)
        )

    @property
    def best(self) -> MethodPlan:
        """The recommended method's plan."""
        return self.method(self.recommended)

    def as_dict(self) -> dict[str, Any]:
        """The document that `plan --json` prints."""
        return {
            "machine": machine_dict(self.machine),
            "model": model_dict(self.spec),
            "recommended": self.recommended,
            "reason": self.reason,
            "notes": list(self.notes),
            "methods": [plan.as_dict() | self._shared(plan) for plan in self.methods],
        }

    def _shared(self, plan: MethodPlan) -> dict[str, Any]:
        """What several GPUs would need, where there are several."""
        found = sharings(plan, self.spec, self.machine.nvidia_gpus)
        return {"several_gpus": [one.as_dict() for one in found]} if found else {}


def machine_dict(machine: Machine) -> dict[str, Any]:
    """A machine as JSON."""
    return {
        "gpus": [asdict(gpu) for gpu in machine.gpus],
        "host": asdict(machine.host),
        "notes": list(machine.notes),
        "driver_version": machine.driver_version,
        "cuda_version": machine.cuda_version,
        "pretended": machine.pretended,
    }


def model_dict(spec: ModelSpec) -> dict[str, Any]:
    """A model's sizes as JSON."""
    parts: Mapping[str, int] = spec.parts
    return {
        "architecture": spec.architecture,
        "model_type": spec.model_type,
        "parameters": spec.parameters,
        "parameters_exact": spec.exact,
        "note": spec.note,
        "parts": dict(parts),
        "hidden_size": spec.hidden_size,
        "layers": spec.layers,
        "heads": spec.heads,
        "kv_heads": spec.kv_heads,
        "head_dim": spec.head_dim,
        "intermediate_size": spec.intermediate_size,
        "vocab_size": spec.vocab_size,
        "tied_embeddings": spec.tied_embeddings,
        "context_length": spec.context_length,
        "dtype": spec.dtype,
        "quantization": spec.quantization,
        "experts": spec.experts,
        "linear_parameters": spec.linear_parameters,
    }
