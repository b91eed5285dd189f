"""Unsloth in a plan: what its checkpointing moves out of the GPU, for which models it is known to help, and whether it
is worth recommending here.

Read in Unsloth 2026.10.9 and its zoo: from 512 tokens on, the input of every layer that is larger than 2 MiB goes to
pinned RAM in the forward pass; that of the last layer stays, and one or two staging buffers of that size are held on
the GPU. Its own chunked loss takes half of what is free, whatever that is, and its adapter kernels keep no less than
what plain TRL keeps at the peak: for those nothing is taken off. Never measured here; the rehearsal measures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.spec import ModelSpec
from engine.plan.preference import grown
from engine.plan.settings import recommended
from engine.plan.words import size_text

if TYPE_CHECKING:
    from engine.plan.memory import Memory, TrainingShape
    from engine.plan.search import Candidate
    from engine.plan.situation import Situation
    from engine.recipe import Answer

LEAST_CAPABILITY = (7, 0)  # Unsloth's requirements page
OFFLOADED_FROM_TOKENS = 512  # unsloth/models/_utils.py, apply_unsloth_gradient_checkpointing
OFFLOADED_FROM_BYTES = 2 << 20  # unsloth_zoo/gradient_checkpointing.py, MINIMUM_SIZE
STAYING = 3  # inputs: the last layer's and two staging buffers
HOST_BUFFERS_BYTES = 200 * (128 << 10) * 2  # pinned from the start
FAMILIES = {
    "llama": "Hugging Face measured 1.9 times the speed and 39 % less memory for Llama-2-7B on an A100, 2.7 times and "
             "58 % for TinyLlama (TRL's page on Unsloth)",
    "mistral": "Hugging Face measured 1.9 times the speed and 66 % less memory for Mistral-7B on an A100 (TRL's page "
               "on Unsloth)",
    "gemma": "", "gemma2": "", "qwen2": "", "qwen3": "",
}  # fmt: skip
"""Model types with a path of their own in unsloth/models/loader.py, and what others measured; all else goes another
way there, of which nothing is known here."""
UNMEASURED = "No measurement by others is known for this family"


def moved_bytes(spec: ModelSpec, shape: TrainingShape) -> int:
    """What the GPU no longer holds at the peak of a step."""
    return max(0, spec.layers - STAYING) * _input_bytes(spec, shape)


def host_bytes(spec: ModelSpec, shape: TrainingShape) -> int:
    """The pinned RAM that holds it instead: at the first step the input of the last layer too."""
    size = _input_bytes(spec, shape)
    return HOST_BUFFERS_BYTES + spec.layers * size if size else 0


def _input_bytes(spec: ModelSpec, shape: TrainingShape) -> int:
    """One layer's input in 16 bits, where it is moved; else 0."""
    size = 2 * shape.tokens * spec.hidden_size
    long_enough = shape.sequence_length >= OFFLOADED_FROM_TOKENS and size > OFFLOADED_FROM_BYTES
    asked = shape.backend == "unsloth" and shape.gradient_checkpointing and shape.method != "full"
    return size if asked and long_enough and spec.model_type in FAMILIES else 0


def corrected(plain: Memory, spec: ModelSpec, shape: TrainingShape) -> Memory:
    """`plain` is the memory of the same step by TRL."""
    moved = min(moved_bytes(spec, shape), plain.parts.get("activations", 0))
    return replace(grown(plain, {"activations": -moved}), exact=False)


def why_not(here: Situation, shape: TrainingShape) -> str:
    """Why Unsloth cannot be used or is not known to help here, as the end of a sentence; "" when it is."""
    gpu, gpus = here.gpu, here.machine.nvidia_gpus
    if gpu is None or gpu not in gpus:
        return "it needs an NVIDIA GPU"
    if (gpu.compute_capability or LEAST_CAPABILITY) < LEAST_CAPABILITY:
        return "this GPU is older than it asks for (compute capability 7.0)"
    if len(gpus) > 1:
        return "it uses one GPU, and several are here"
    if shape.method == "full" or shape.objective != "sft":
        return "it is used here for LoRA and QLoRA that write answers"
    if shape.dora or shape.layers or shape.train_embeddings:
        return "it is used here without DoRA, chosen layers and trained embeddings"
    if here.spec.model_type not in FAMILIES:
        return f"it has no path of its own for {here.spec.model_type}"
    return ""


def option_text(here: Situation) -> str:
    """What is known of Unsloth for this model, for a person who may want it all the same."""
    return FAMILIES[here.spec.model_type] or UNMEASURED


def answer_plain(here: Situation, shape: TrainingShape) -> Answer:
    """Plain TRL, with what Unsloth would be here."""
    hindrance = why_not(here, shape)
    if hindrance:
        return recommended("trl", f"Plain TRL. Unsloth is no choice: {hindrance}.")
    return recommended("trl", "Plain TRL fits. Unsloth is an option here (one GPU, its own environment): "
                              f"{option_text(here)}; not measured here.")  # fmt: skip


def answer_recommended(here: Situation, found: Candidate, trouble: str) -> Answer:
    """Unsloth, since plain TRL has `trouble` and with it the step fits."""
    moved = size_text(moved_bytes(here.spec, found.shape))
    return recommended("unsloth", f"{trouble} Unsloth keeps {moved} of the layers' inputs in RAM, not on the GPU: "
                                  "by formula, not measured here; the rehearsal before the run measures it. "
                                  f"{option_text(here)}.")  # fmt: skip


def answer_to_be_made(found: Candidate, trouble: str, commands: list[str]) -> Answer:
    """Plain TRL for now: it would fit with Unsloth, whose environment is not made yet."""
    need = size_text(found.fit.need_bytes)
    return recommended("trl", f"{trouble} With Unsloth it would need {need}, by formula, which fits; make its "
                              f"environment first: {' && '.join(commands)}")  # fmt: skip
