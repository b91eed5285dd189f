"""The catalogue of well-known open models, from assets/models.toml."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from engine.errors import UserError
from engine.models.spec import ModelSpec, spec_from_config


@dataclass(frozen=True)
class CatalogModel:
    """One model that a person may choose. `kind` is "chat" or "base"; `source` says where the numbers come from;
    `quantized` is True for weights that are already in 4 bits (QLoRA only); `context` in tokens."""

    id: str
    family: str
    parameters: int
    context: int
    licence: str
    kind: str
    good_for: str
    source: str
    quantized: bool = False
    gated: bool = False


@cache
def load_catalog() -> tuple[CatalogModel, ...]:
    """All models of the catalogue in its order. UserError when the file is damaged."""
    text = files("assets").joinpath("models.toml").read_text(encoding="utf-8")
    try:
        return tuple(_model(row) for row in tomllib.loads(text)["model"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The catalogue of models cannot be read.", f"assets/models.toml: {error}", "Install the program again."
        ) from error


@cache
def catalog_spec(name: str) -> ModelSpec | None:
    """The sizes of a model of the catalogue, without asking anybody; None for any other name."""
    shape = _shapes().get(name)
    return spec_from_config(shape, f"assets/model_shapes.json: {name}") if shape is not None else None


@cache
def _shapes() -> dict[str, dict[str, Any]]:
    text = files("assets").joinpath("model_shapes.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def _model(row: dict[str, Any]) -> CatalogModel:
    if row["kind"] not in ("chat", "base"):
        raise ValueError(f"{row['id']} has the kind {row['kind']!r}")
    return CatalogModel(
        str(row["id"]),
        str(row["family"]),
        int(row["parameters"]),
        int(row["context"]),
        str(row["licence"]),
        str(row["kind"]),
        str(row["good_for"]),
        str(row["source"]),
        bool(row.get("quantized", False)),
        bool(row.get("gated", False)),
    )
