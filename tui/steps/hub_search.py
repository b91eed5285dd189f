"""Searching the Hugging Face Hub for a model, when the machine is online. Nothing is downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError
from tui.steps.facts import Facts
from tui.steps.model import fit_mark
from tui.steps.option import Option
from tui.steps.words import count

MOST = 25
FIELDS = ("downloads", "gated", "safetensors", "tags")


@dataclass(frozen=True)
class HubResult:
    """One model that the Hub names. `parameters` is 0 where it does not say."""

    id: str
    parameters: int
    downloads: int
    gated: bool
    licence: str


def search_hub(words: str) -> list[HubResult]:
    """Models for text whose name has these words, the most downloaded first. Raises UserError."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise UserError("HF_HUB_OFFLINE forbids asking the Hub.", "", "Unset it, or choose from the list.")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return _search(words)
    except Exception as error:  # every way in which a network fails
        fix = "Check the network, or choose from the list."
        raise UserError(f"The Hub could not be asked ({type(error).__name__}).", "huggingface.co", fix) from error


def _search(words: str) -> list[HubResult]:
    from huggingface_hub import HfApi

    wanted: Any = list(FIELDS)  # some versions of the library type this as a list of literals
    found = HfApi().list_models(search=words, pipeline_tag="text-generation", sort="downloads", limit=MOST,
                                expand=wanted)  # fmt: skip
    return [_result(info) for info in found]


def _result(info: Any) -> HubResult:
    weights = getattr(info, "safetensors", None)
    tags = getattr(info, "tags", None) or []
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "licence not given")
    return HubResult(str(info.id), int(getattr(weights, "total", 0) or 0), int(getattr(info, "downloads", 0) or 0),
                     bool(getattr(info, "gated", False)), str(licence))  # fmt: skip


def options(results: list[HubResult], facts: Facts) -> list[Option]:
    """The results with size, licence, access and fit."""
    return [_option(result, facts) for result in results]


def _option(result: HubResult, facts: Facts) -> Option:
    mark, good = fit_mark(result.id, facts)  # of others nothing is claimed before their config is read
    size = f"{count(result.parameters)} parameters" if result.parameters else "size not given"
    access = "; access must be asked for" if result.gated else ""
    text = f"{size}, {result.licence}, {count(result.downloads)} downloads a month{access}"
    return Option(result.id, result.id, text, mark, good)
