"""What fits at the least settings, and that the catalogue knows the shape of every model it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.machine.detect import Machine
from engine.models.catalog import catalog_spec, load_catalog
from engine.models.find import ModelFiles
from engine.plan.recommend import recommend
from engine.plan.smallest import smallest
from tests.tui.wizard_fakes import machine

ORDER = ("", "qlora", "lora", "full")


@pytest.mark.parametrize("model", load_catalog(), ids=lambda model: model.id)
def test_the_shape_of_a_model_has_its_count_of_parameters(model) -> None:  # type: ignore[no-untyped-def]
    spec = catalog_spec(model.id)
    assert spec is not None and spec.parameters == model.parameters
    assert bool(spec.quantization) == model.quantized


def test_more_memory_never_fits_less_and_longer_rows_never_need_less() -> None:
    spec = catalog_spec("Qwen/Qwen2.5-7B-Instruct")
    assert spec is not None
    found = [ORDER.index(smallest(machine(size), spec).method) for size in (4, 8, 12, 16, 24, 48, 80)]
    assert found == sorted(found) and found[0] == 0 and found[-1] == 3
    short, long = (smallest(machine(4), spec, tokens).need_bytes for tokens in (256, 4096))
    assert short < long


@pytest.mark.parametrize("vram_gb", [0, 8, 24, 80])
@pytest.mark.parametrize("name", ["HuggingFaceTB/SmolLM2-360M-Instruct", "Qwen/Qwen2.5-7B-Instruct"])
def test_what_is_said_to_fit_fits_in_a_whole_plan_too(name: str, vram_gb: int) -> None:
    spec = catalog_spec(name)
    here: Machine = machine(vram_gb)
    assert spec is not None
    method = smallest(here, spec).method
    plan = recommend(here, ModelFiles(name, Path("/m"), "", spec, None, True, 0, False), None)
    assert not method or plan.method(method).fits
