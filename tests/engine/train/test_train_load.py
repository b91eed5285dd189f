"""What is loaded and what is not: a repository's own code never runs, and no weight is made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.errors import UserError
from tests.engine.train.carried import RunFactory

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from engine.train.load import load_model  # noqa: E402


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_code_in_a_repository_is_not_run_where_transformers_knows_the_type(
    copied: Path, tmp_path: Path, make_run: RunFactory, method: str
) -> None:
    trace = tmp_path / "it-ran"
    (copied / "modeling_own.py").write_text(f"open({str(trace)!r}, 'w')\nclass Own: pass\n")
    names = {"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.Own"}
    change_config(copied, auto_map=names)
    recipe = make_run(f"own-code-{method}", method__name=method).recipe()
    model = load_model(copied, recipe, torch.device("cpu"))
    assert type(model).__name__ == "LlamaForCausalLM" and not trace.exists()


def test_code_of_an_unknown_type_is_refused(copied: Path, make_run: RunFactory) -> None:
    change_config(copied, auto_map={"AutoModelForCausalLM": "modeling_own.Own"}, model_type="homemade")
    with pytest.raises(UserError, match="never allowed"):
        load_model(copied, make_run("own-type").recipe(), torch.device("cpu"))


@pytest.mark.parametrize("change", ["missing", "renamed", "other shape"])
def test_a_weight_that_is_not_there_is_never_made_up(copied: Path, make_run: RunFactory, change: str) -> None:
    path, name = copied / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    weights = load_file(path)
    value = weights.pop(name)
    if change == "renamed":
        weights["model.layers.1.ffn.up.weight"] = value
    if change == "other shape":
        weights[name] = value[:64].clone()
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(UserError) as refused:
        load_model(copied, make_run(f"gap-{change.split()[0]}").recipe(), torch.device("cpu"))
    assert "up_proj" in refused.value.what or change == "other shape"  # that one transformers refuses by itself
