"""Step 3: which model is trained: a folder, a name on the Hub, or one from the catalogue."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from tui.answers import Answers
from tui.steps.base import Question, Step
from tui.steps.facts import Facts
from tui.steps.option import Option, Problem
from tui.steps.words import count, gigabytes

if TYPE_CHECKING:
    from engine.machine.detect import Machine
    from engine.models.catalog import CatalogModel
    from engine.plan.smallest import Smallest

SLOW_ON_A_PROCESSOR = 5e8
"""Parameters above which a run without a GPU takes hours even for a few hundred rows."""
FIRST_TRY = 9e9
"""Parameters above which a first run takes hours even on a large card."""
HELP = """\
The base model is what training starts from. Three kinds of answer are understood:

a folder on this machine that holds config.json, tokenizer.json and .safetensors files;
a name on the Hugging Face Hub, such as Qwen/Qwen2.5-0.5B-Instruct;
a model from the list.

The word at the right says what fits in the memory that is free now, counted for one row of 1,024 tokens at a time; \
your data and settings are counted on the Method page.

A chat model ("instruct") already follows requests and needs fewer rows. A base model only continues text.

More parameters know more and need more memory and time. When in doubt take a smaller one first: a run that ends in \
ten minutes teaches more about your data than a large one that does not fit."""


FITS_WORDS = {"full": "fits, also full", "lora": "fits with LoRA", "qlora": "fits with QLoRA"}


def fit_of(name: str, facts: Facts) -> Smallest | None:
    """The best method that fits for a model of the catalogue; None for other names and while the machine is unknown."""
    return _fit(name, facts.machine.value) if facts.machine.value is not None else None


@lru_cache(maxsize=1024)
def _fit(name: str, machine: Machine) -> Smallest | None:
    """The list is painted again at every finding, and then nothing is counted again."""
    from engine.models.catalog import catalog_spec
    from engine.plan.smallest import smallest

    spec = catalog_spec(name)
    return smallest(machine, spec) if spec is not None else None


def fit_mark(name: str, facts: Facts) -> tuple[str, bool | None]:
    """The word at the right of a model in the list, and whether it is good news; nothing where nothing is known."""
    found = fit_of(name, facts)
    if found is None:
        return "", None
    if found.method:
        return FITS_WORDS[found.method], True
    return f"needs {gigabytes(found.need_bytes)}", False


def options(answers: Answers, facts: Facts) -> list[Option]:
    """Folders nearby first, then the catalogue, each with its fit mark."""
    from engine.models.catalog import load_catalog

    gpu = facts.machine.value is None or facts.machine.value.best_gpu is not None
    local = [Option(path, path, "A folder on this machine.") for path in nearby_models()]
    catalogue = load_catalog()
    best = _best(catalogue, facts if gpu else Facts())
    return [*local, *(_entry(model, facts, gpu, model is best) for model in catalogue)]


def _entry(model: CatalogModel, facts: Facts, gpu: bool, recommended: bool) -> Option:
    mark, good = fit_mark(model.id, facts)
    if good and not gpu and model.parameters > SLOW_ON_A_PROCESSOR:
        mark, good = "fits, slow without a GPU", None
    access = ", access must be asked for" if model.gated else ""
    text = f"{count(model.parameters)} parameters, {model.kind}, {model.licence}{access}. {model.good_for}"
    return Option(model.id, model.id, text, mark, good, recommended)


def _best(catalogue: tuple[CatalogModel, ...], facts: Facts) -> CatalogModel | None:
    """The largest chat model up to the usual size that LoRA fits with; the smallest when nothing is known or fits."""
    chat = [model for model in catalogue if model.kind == "chat"] or list(catalogue)
    small = [model for model in chat if model.parameters <= FIRST_TRY]
    fitting = [model for model in small if (found := fit_of(model.id, facts)) is not None and found.fits_adapter]
    if fitting:
        return max(fitting, key=lambda model: model.parameters)
    return min(chat, key=lambda model: model.parameters, default=None)


def nearby_models(places: tuple[Path, ...] | None = None, limit: int = 5) -> list[str]:
    """Folders with a config.json in the working directory and its `models` folder."""
    here = Path.cwd()
    found: list[str] = []
    for place in places if places is not None else (here, here / "models"):
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir() and (Path(entry.path) / "config.json").is_file():
                found.append(entry.path)
    return found[:limit]


def apply(answers: Answers, facts: Facts, text: str) -> None:
    """Store a folder or a Hub name. Raises UserError for an empty text or a folder that does not exist."""
    source = text.strip()
    if not source:
        raise UserError("No model is given yet.", "Model", "Type a folder or a Hub name, or choose one below.")
    if _looks_like_path(source):
        folder = Path(source).expanduser()
        if not folder.is_dir():
            what = "This is a file, and a model is a folder." if folder.is_file() else "This folder does not exist."
            raise UserError(what, str(folder), "Check the spelling, or choose one below.")
    elif source.count("/") > 1 or any(letter.isspace() for letter in source):
        raise UserError(f"{source!r} is neither a folder nor a name on the Hub.", "Model",
                        "A Hub name looks like owner/name; a folder starts with / or ./ or ~.")  # fmt: skip
    if source != answers.text("model.source"):
        answers.put("model.source", source, "you", "your choice")


def _looks_like_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or Path(source).exists()


def validate(answers: Answers, facts: Facts) -> list[Problem]:
    """A model is needed, and what was found out about it must be no error."""
    if not answers.text("model.source"):
        return [Problem("No model is chosen yet.", "Model", "Type a folder or a Hub name, or choose one below.")]
    if facts.model.problem is not None:
        return [Problem.of(facts.model.problem)]
    if facts.model.busy:
        fix = "Wait a moment, or go on meanwhile."
        return [Problem("The model is still being looked up.", "Model", fix, waiting=True)]
    return []


def is_locked(facts: Facts) -> bool:
    """Whether the Hub refused the model, so that signing in may help."""
    return facts.model.problem is not None and "hf auth login" in facts.model.problem.fix


def facts_lines(facts: Facts) -> list[str]:
    """What is known of the model, in words."""
    model = facts.model.value
    if model is None:
        return []
    from engine.models.gguf_support import support_line

    spec = model.spec
    lines = [f"{spec.architecture}, {count(spec.parameters)} parameters, up to {spec.context_length:,} tokens"]
    template = "It has a chat template." if model.has_chat_template else "It has no chat template; a plain one is used."
    lines.append(template)
    if model.download_bytes:
        lines.append(f"{gigabytes(model.download_bytes)} will be downloaded when the run starts.")
    return [*lines, support_line(model)]


def summary(answers: Answers, facts: Facts) -> str:
    """One line for the review."""
    source = answers.text("model.source")
    if not source:
        return "not chosen yet"
    model = facts.model.value
    return f"{source} ({count(model.spec.parameters)} parameters)" if model else source


STEP = Step(
    name="model",
    title="Model",
    question="Which model do you want to train?",
    help=HELP,
    questions=(Question("model.source", "Which model do you want to train?", options, apply,
                        free="A folder, or a name on the Hugging Face Hub"),),
    validate=validate,
    summary=summary,
    later=("data", "method", "settings"),
    keys=("model.source", "model.revision"),
)  # fmt: skip
