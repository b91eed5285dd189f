"""The catalogue of models is complete and its numbers are the counted ones."""

from __future__ import annotations

import csv
from pathlib import Path

from engine.models.catalog import load_catalog


def test_about_forty_models_of_several_families_and_sizes() -> None:
    models = load_catalog()
    assert len(models) >= 40 and len({model.id for model in models}) == len(models)
    assert len({model.family for model in models}) >= 8
    assert min(model.parameters for model in models) < 2e8 and max(model.parameters for model in models) > 7e10
    assert any(model.quantized for model in models) and {model.kind for model in models} == {"chat", "base"}
    for model in models:
        assert model.licence and model.good_for and model.source in ("config", "card") and model.context >= 1024


def test_counted_numbers_equal_the_index(shared: Path) -> None:
    with (shared / "data" / "model-configs" / "index.csv").open(encoding="utf-8") as stream:
        counted = {row["name"].replace("--", "/"): row["meta_params"] for row in csv.DictReader(stream)}
    checked = [model for model in load_catalog() if model.id in counted]
    assert len(checked) >= 25
    assert [model.id for model in checked if str(model.parameters) != counted[model.id]] == []
