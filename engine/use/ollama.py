"""The hand-over to Ollama: a Modelfile beside the weights, and the commands that create and run the model.

Template and stop words come from the tokenizer and the trained stop tokens, never from a table of model names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.use.modelfile import Modelfile
from engine.use.ollama_template import OllamaTemplate, derive_template
from engine.use.prompts import Prompts

DEFAULT_CONTEXT_TOKENS = 4096
"""num_ctx when the model takes more: memory for the context grows with it (docs.ollama.com/context-length)."""


@dataclass(frozen=True)
class OllamaOptions:
    """What a person may choose: the model's name in Ollama, a system message, greedy answers, the context, and
    whether the model is created at once."""

    name: str
    system: str = ""
    greedy: bool = False
    context_tokens: int = 0
    create: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], run_name: str) -> OllamaOptions:
        """From the fields of an export request."""
        return cls(
            name=model_name(str(options.get("name") or run_name)),
            system=str(options.get("system") or ""),
            greedy=bool(options.get("greedy")),
            context_tokens=int(options.get("context_tokens") or 0),
            create=bool(options.get("create")),
        )


@dataclass(frozen=True)
class OllamaPlan:
    """What a Modelfile will say, settled before any long work begins. `template` is None when there is no true one."""

    options: OllamaOptions
    template: OllamaTemplate | None
    stops: tuple[str, ...]
    notes: tuple[str, ...]

    def modelfile(self, source: str, config_folder: Path, adapter: str = "") -> Modelfile:
        """For the weights at `source` (as it stands in FROM); `config_folder` holds the model's config.json.

        `adapter` is the file that stands in ADAPTER, to be put on those weights.
        """
        return Modelfile(
            source=source,
            template=self.template.text if self.template else "",
            system=self.options.system,
            stops=self.stops,
            context_tokens=context_tokens(config_folder, self.options.context_tokens),
            greedy=self.options.greedy,
            notes=_heading(self.template),
            adapter=adapter,
        )

    def commands(self, folder: Path) -> list[list[str]]:
        """Argument lists that create and run the model by hand."""
        name = self.options.name
        return [["ollama", "create", name, "-f", str(folder / "Modelfile")], ["ollama", "run", name]]


def plan_ollama(prompts: Prompts, options: OllamaOptions, weights_hold_template: bool) -> OllamaPlan:
    """Settle template and stop texts, and refuse what cannot be written, before the long work.

    Where the weights hold the chat template (GGUF), a template that cannot be expressed is left to a recent Ollama.
    Raises UserError otherwise, and for texts that would break out of a Modelfile when that is the only road.
    """
    template, notes = None, []
    try:
        template = derive_for(prompts)
        notes = list(template.notes)
    except UserError as error:
        if not weights_hold_template:
            raise
        notes = [f"{error.what} Ollama 0.30 and later use the chat template inside the file instead."]
    plan = OllamaPlan(options, template, tuple(prompts.stop_texts), tuple(notes))
    if not options.create:
        plan.modelfile("./model", prompts.folder).dumps()
    return plan


def write_modelfile(folder: Path, modelfile: Modelfile, may_fail: bool) -> list[str]:
    """Write `folder`/Modelfile. What a Modelfile cannot hold goes through the API only, when `may_fail`; notes."""
    try:
        text = modelfile.dumps()
    except UserError as error:
        if not may_fail:
            raise
        return [f"There is no Modelfile: {error.what}"]
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return []


def api_settings(modelfile: Modelfile) -> dict[str, Any]:
    """The same as fields of a create request (ollama/docs/api.md)."""
    parameters: dict[str, Any] = {"stop": list(modelfile.stops)} if modelfile.stops else {}
    parameters |= {"num_ctx": modelfile.context_tokens} if modelfile.context_tokens else {}
    parameters |= {"temperature": 0} if modelfile.greedy else {}
    fields = {"template": modelfile.template, "system": modelfile.system, "parameters": parameters}
    return {name: value for name, value in fields.items() if value}


def derive_for(prompts: Prompts) -> OllamaTemplate:
    """The Ollama TEMPLATE for the trained way of asking, proven on a set of conversations. Raises UserError."""
    if prompts.writes_date():
        raise UserError(
            "This chat template cannot be written as an Ollama TEMPLATE: it writes today's date into every prompt.",
            "chat template",
            "Export to GGUF: a recent Ollama then uses the chat template inside the file.",
            exit_code=1,
        )
    return derive_template(prompts.text, prompts.begin_text if prompts.begins else "")


def context_tokens(folder: Path, wanted: int) -> int:
    """num_ctx: what was asked for, at most what the model takes."""
    config: Mapping[str, Any] = {}
    if (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    limit = int(config.get("max_position_embeddings") or DEFAULT_CONTEXT_TOKENS)
    return min(wanted or DEFAULT_CONTEXT_TOKENS, limit)


def model_name(text: str) -> str:
    """A name that Ollama takes, made from `text`."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:60] or "tuned"


def _heading(template: OllamaTemplate | None) -> list[str]:
    lines = ["Written by Tunewright from the tokenizer's chat template and the trained stop tokens."]
    if template is None:
        return [*lines, "The chat template inside the weights is used: this needs Ollama 0.30 or later."]
    lines.append(f"The TEMPLATE rendered the same text as the chat template on {template.proven} conversations.")
    return lines + [f"Known difference: {note}." for note in template.notes]
