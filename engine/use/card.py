"""The model card of a published model: what it is, what it was trained on and how good it got. Pure text.

Nothing private goes in: no path, no row of the data, no name of a machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from engine.recipe import Answer, Recipe
from engine.recipe_keys import Value

_SHOWN_KEYS = (
    "method.name", "method.rank", "method.alpha", "method.dropout", "training.epochs", "training.learning_rate",
    "training.scheduler", "training.warmup_ratio", "training.optimizer", "training.weight_decay",
    "training.sequence_length", "training.packing", "training.precision", "training.seed",
)  # fmt: skip


@dataclass(frozen=True)
class CardFacts:
    """What the card says. `base` is a Hub id or a bare name; `licence` is empty when it is not known."""

    name: str
    base: str
    licence: str
    kind: str
    recipe: Recipe
    steps: int
    rows_fingerprint: str
    versions: Mapping[str, str]
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    has_curve: bool = False


def model_card(facts: CardFacts) -> str:
    """README.md with the front matter that the Hub reads."""
    parts = [_front_matter(facts), f"# {facts.name}", _about(facts)]
    if facts.evaluation:
        parts.append(_evaluation(facts.evaluation))
    if facts.has_curve:
        parts.append("## Loss while training\n\n![Loss over optimizer steps](loss.svg)")
    parts += [_settings(facts), _use(facts)]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CardFacts) -> str:
    lines = {"library_name": "peft" if facts.kind == "adapter" else "transformers", "pipeline_tag": "text-generation"}
    if "/" in facts.base:
        lines["base_model"] = facts.base
        lines["base_model_relation"] = "adapter" if facts.kind == "adapter" else "finetune"
    if facts.licence:
        lines["license"] = facts.licence
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in lines.items())
    return f"---\n{text}\ntags:\n- tunewright\n- {facts.recipe.method.name}\n---"


def _about(facts: CardFacts) -> str:
    what = "A LoRA adapter for" if facts.kind == "adapter" else "A fine-tuned version of"
    licence = f" The licence of the base model is {facts.licence}." if facts.licence else ""
    return (
        f"{what} `{facts.base}`, trained for {facts.steps} optimizer steps with {facts.recipe.method.name} on private "
        f"data. The rows were turned into tokens whose fingerprint is `{facts.rows_fingerprint[:16]}`; "
        f"none of them is in this repository.{licence}"
    )


def _evaluation(document: Mapping[str, Any]) -> str:
    lines = [
        "## Measured on held-out rows",
        "",
        f"{document['rows']} rows that training never saw; {document['answered_rows']} of them were answered greedily.",
        "",
        "| figure | base | tuned |",
        "| --- | --- | --- |",
    ]
    base, tuned = document["sides"]["base"], document["sides"]["tuned"]
    for name in ("loss", "perplexity", "valid", "exact_match", "accuracy", "macro_f1", "syntax", "rouge_l", "chrf"):
        if name in tuned:
            lines.append(f"| {name.replace('_', ' ')} | {_figure(base[name])} | {_figure(tuned[name])} |")
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in document.get("sentences", []))])


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{100 * value['value']:.1f} % ({100 * value['low']:.1f} to {100 * value['high']:.1f})"
    return f"{value:.4g}"


def _settings(facts: CardFacts) -> str:
    rows = [f"| {key} | {json.dumps(facts.recipe.answers[key].value)} |" for key in _SHOWN_KEYS]
    rows.append(f"| effective batch | {facts.recipe.training.effective_batch} |")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))
    return "\n".join(["## Training", "", "| setting | value |", "| --- | --- |", *rows, "", f"Made with {versions}."])


def _use(facts: CardFacts) -> str:
    if facts.kind == "adapter":
        code = (
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f'model = AutoModelForCausalLM.from_pretrained("{facts.base}")\n'
            f'model = PeftModel.from_pretrained(model, "{facts.name}")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{facts.name}")'
        )
    else:
        code = (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f'model = AutoModelForCausalLM.from_pretrained("{facts.name}")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{facts.name}")'
        )
    return f"## Use\n\nAsk through the chat template that is saved with the tokenizer.\n\n```python\n{code}\n```"


def public_recipe(recipe: Recipe, base: str) -> str:
    """The recipe without anything that tells of the machine: paths become bare names, the run's folder goes."""
    answers = {key: Answer(answer.value, answer.source, "as it ran") for key, answer in recipe.answers.items()}
    values: dict[str, Value] = {"model.source": base, "run.directory": ""}
    for key in ("data.source", "data.validation"):
        if key in answers:
            values[key] = PurePath(str(answers[key].value)).name
    return Recipe.from_answers(answers).changed(values, "you", "as published").dumps()


def loss_curve_svg(steps: Sequence[float], losses: Sequence[float], evals: Sequence[tuple[float, float]]) -> str:
    """The loss over optimizer steps as a picture: a line, and a dot for every evaluation. Needs at least two steps."""
    width, height, left, bottom = 640, 300, 56, 36
    values = [*losses, *(value for _, value in evals)]
    low, high = min(values), max(values)
    span, last = (high - low) or 1.0, max(steps[-1], 1)

    def place(step: float, value: float) -> tuple[float, float]:
        x = left + (width - left - 16) * step / last
        return x, 16 + (height - 16 - bottom) * (high - value) / span

    line = " ".join("{:.1f},{:.1f}".format(*place(s, v)) for s, v in zip(steps, losses, strict=True))
    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="#c2410c"/>'.format(*place(s, v)) for s, v in evals)
    labels = "".join(
        f'<text x="{left - 8}" y="{place(0, value)[1] + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (low, (low + high) / 2, high)
    )
    axis = f'<path d="M{left} 16V{height - bottom}H{width - 16}" fill="none" stroke="#888"/>'
    words = f"optimizer step {last:g}; dots: held-out rows"
    foot = f'<text x="{width - 16}" y="{height - 12}" text-anchor="end">{words}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>{axis}'
        f'<polyline points="{line}" fill="none" stroke="#1d4ed8" stroke-width="1.5"/>{dots}{labels}{foot}</svg>\n'
    )
