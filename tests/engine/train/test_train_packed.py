"""Models whose files hold 4-bit weights already (`*-bnb-4bit`): found, planned, trained by QLoRA, merged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.models.find import find_model
from engine.runs.unsloth_place import VARIABLE
from tests.engine.train import material
from tests.engine.train.carried import Carried, carry

torch = pytest.importorskip("torch")
pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.xdist_group("torch")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model, and the same with its linear layers packed; whoever packed it names bf16 for computing."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    root = tmp_path_factory.mktemp("packed")
    plain = material.write_model(root / "plain")
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=torch.bfloat16)  # fmt: skip
    AutoModelForCausalLM.from_pretrained(plain, quantization_config=four, dtype=torch.float32).save_pretrained(
        root / "packed"
    )
    for name in TOKENIZER:
        shutil.copy(plain / name, root / "packed" / name)
    return {"plain": plain, "packed": root / "packed", "rows": material.write_rows(root / "rows.jsonl")}


def trained(models: dict[str, Path], folder: Path, name: str, model: str, **changes: Any) -> Carried:
    values = {"method__name": "qlora", "training__max_steps": 4, "evaluation__every_steps": 2, **changes}
    return carry(material.make_run(folder, name, models[model], models["rows"], **values))


def test_the_packed_model_learns_as_the_one_that_is_packed_on_loading(models: dict[str, Path], tmp_path: Path) -> None:
    """In the run's own precision, also after an evaluation."""
    from engine.use.export import export_run

    both = {name: trained(models, tmp_path, name, name) for name in ("plain", "packed")}
    losses = {name: [event["loss"] for event in done.of("step")] for name, done in both.items()}
    assert both["packed"].code == 0 and len(losses["packed"]) == 4
    assert losses["packed"] == pytest.approx(losses["plain"], rel=1e-6)
    replies = {name: export_run(done.run.path, "merged", tmp_path / f"{name}-merged", lambda _: None, dtype="fp32")
               for name, done in both.items()}  # fmt: skip
    assert replies["packed"]["agreement"]["largest_difference"] < 1e-4, "merged into the unpacked base"
    assert "quantization_config" not in json.loads((tmp_path / "packed-merged" / "config.json").read_text())
    weights = [weights_of(tmp_path / f"{name}-merged") for name in both]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-5) for name in weights[0])


def weights_of(folder: Path) -> dict[str, Any]:
    import safetensors.torch

    files = [safetensors.torch.load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    return {name: weight for file in files for name, weight in file.items()}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_only_qlora_trains_on_it(models: dict[str, Path], tmp_path: Path, method: str) -> None:
    refused = trained(models, tmp_path, method, "packed", method__name=method)
    assert refused.code == 2 and "already in 4 bits" in refused.of("error")[0]["what"]


def test_it_is_found_and_planned_as_it_is(models: dict[str, Path]) -> None:
    from engine.machine.detect import Machine
    from engine.machine.host import Host
    from engine.plan.recommend import recommend

    files = find_model(str(models["packed"]), "")
    plain = find_model(str(models["plain"]), "")
    assert files.spec.quantization == "nf4" and files.spec.parameters == plain.spec.parameters
    machine = Machine((), Host(8 << 30, 8 << 30, 2, 100 << 30, "/", ()), ())
    plan = recommend(machine, files, None)
    assert plan.recommended == "qlora"
    assert [found.available for found in plan.methods] == [False, False, True]
    assert "already in 4 bits" in plan.method("lora").reason
    assert plan.method("qlora").memory.parts["weights"] == recommend(machine, plain, None).method(
        "qlora").memory.parts["weights"]  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no interpreter with Unsloth")
def test_unsloth_learns_the_same_from_it(models: dict[str, Path], tmp_path: Path) -> None:
    from engine.runs import process
    from engine.runs.process import launch

    run = material.make_run(tmp_path, "unsloth", models["packed"], models["rows"], method__name="qlora",
                            method__backend="unsloth", method__dropout=0.0, training__max_steps=4)  # fmt: skip
    launch(run)
    for child in process._children:
        child.wait(300)
    assert run.state()["stop_reason"] == "finished", run.log_path.read_text()[-2000:]
    ours = trained(models, tmp_path, "trl", "packed", method__dropout=0.0)
    losses = [[event["loss"] for event in done.of("step")] for done in (Carried(run), ours)]
    assert losses[0] == pytest.approx(losses[1], rel=5e-4)
