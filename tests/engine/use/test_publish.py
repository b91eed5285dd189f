"""Publishing: what goes out, what never does, and pushes that break off. The Hub is a fake one on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.runs.store import Run
from engine.use.card import loss_curve_svg
from engine.use.finished import open_result
from engine.use.private import refuse_private
from engine.use.publish import export_hub
from tests.conftest import PROJECT
from tests.engine.use.fake_hub import fake_hub

pytest.importorskip("torch")
pytestmark = pytest.mark.xdist_group("torch-use")

PUSH = """
import json, sys
from engine.errors import UserError
from engine.use.finished import open_result
from engine.use.publish import export_hub
result = open_result(sys.argv[1])
try:
    print(json.dumps(export_hub(result, result.run.exports_dir / "hub", lambda m: None, json.loads(sys.argv[2]))))
except UserError as error:
    print(json.dumps(error.as_dict()))
"""


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def push(run: Run, address: str, token: str = "hf_test", **options: Any) -> dict[str, Any]:
    """Push in a process of its own: huggingface_hub reads its settings when it is imported."""
    told, _ = begin_push(run, address, token, **options).communicate(timeout=120)
    answer: dict[str, Any] = json.loads(told.splitlines()[-1])
    return answer


def begin_push(run: Run, address: str, token: str = "hf_test", **options: Any) -> subprocess.Popen[str]:
    """The process that pushes, as it begins."""
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_TOKEN": token, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-W", "ignore", "-c", PUSH, str(run.path), json.dumps({"repo": "me/orders", **options})]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def run(make_run: Any) -> Run:
    """A finished run with an evaluation, a curve and private things around."""
    made: Run = make_run("lora")
    sides = {
        side: {"loss": 1.0, "perplexity": 2.7, "examples": [{"prompt": "SECRET ROW"}], "confusion": {"SECRET": {}}}
        for side in ("base", "tuned")
    }
    document = {"rows": 6, "answered_rows": 6, "sides": sides, "sentences": ["Loss per token: better."]}
    (made.path / "evaluation.json").write_text(json.dumps(document))
    events = [{"v": 1, "type": "step", "step": n, "loss": 3.0 / n, "seq": n, "t": n, "mono": n} for n in (1, 2, 3)]
    made.events_path.write_text("".join(json.dumps(event) + "\n" for event in events))
    (made.result_dir / "adapter" / "README.md").write_text(str(made.path))
    (made.result_dir / "adapter" / "training_args.bin").write_bytes(b"pickle")
    return made


def test_the_folder_holds_what_others_need_and_nothing_private(run: Run) -> None:
    reply = export_hub(open_result(run.path), run.exports_dir / "hub", quiet, {})
    folder = Path(reply["out"])
    assert reply["files"] == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "evaluation.json",
        "loss.svg", "recipe.toml", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    everything = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".safetensors").decode()
    for private in ("SECRET", str(run.path), run.recipe().data.source):
        assert private not in everything
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    card = (folder / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "peft"') and "| loss | 1 | 1 |" in card and "license" not in card
    assert any("licence" in note for note in reply["notes"])


def test_the_licence_of_the_base_is_inherited_and_a_foreign_one_is_questioned(run: Run, tiny_model: Path) -> None:
    card = tiny_model / "README.md"
    card.write_text("---\nlicense: llama3.2\ntags:\n- x\n---\n# Tiny\n")
    try:
        result, out = open_result(run.path), run.exports_dir / "hub"
        inherited = export_hub(result, out, quiet, {"base": "meta/Tiny"})
        assert 'license: "llama3.2"' in (out / "README.md").read_text()
        assert 'base_model: "meta/Tiny"' in (out / "README.md").read_text()
        assert "has conditions" in inherited["notes"][0]
        assert "you gave mit" in export_hub(result, out, quiet, {"licence": "mit", "base": "x"})["notes"][0]
    finally:
        card.unlink()


@pytest.mark.parametrize("secret", ["{run}/x", "hf_" + "a" * 30])
def test_something_private_stops_the_export(run: Run, tmp_path: Path, secret: str) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "README.md").write_text("see " + secret.format(run=run.path))
    with pytest.raises(UserError, match="something private"):
        refuse_private(folder, open_result(run.path))


@pytest.mark.parametrize(("options", "what"), [({"repo": "a b"}, "repository"), ({"what": "zip"}, "what is")])
def test_wrong_requests(run: Run, options: dict[str, str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        export_hub(open_result(run.path), run.exports_dir / "hub", quiet, options)


def test_full_has_no_adapter_to_publish(make_run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no adapter"):
        export_hub(open_result(make_run("full").path), tmp_path / "hub", quiet, {"what": "adapter"})


def test_a_push_is_private_and_whole_and_a_broken_one_shows_nothing(run: Run) -> None:
    with fake_hub() as (hub, address):
        assert "status 401" in push(run, address, token="hf_wrong")["what"]
        hub.fail_commit = 400
        assert "status 400" in push(run, address)["what"]
        assert hub.repositories["me/orders"]["files"] == {}
        assert len(hub.large) == 1
        hub.fail_commit = 0
        hub.drop_large = True  # what was sent before is not sent again
        reply = push(run, address)
        files = hub.repositories["me/orders"]["files"]
        assert reply["url"].endswith("/me/orders/commit/abc") and reply["private"]
        assert hub.repositories["me/orders"].get("visibility", "private") == "private"
        assert sorted(files) == reply["files"]
        weights = "adapter_model.safetensors"
        assert files[weights] == (run.exports_dir / "hub" / weights).read_bytes()
        assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "tiny"


def test_a_push_that_is_killed_shows_nothing_and_is_whole_when_asked_again(run: Run) -> None:
    with fake_hub() as (hub, address):
        hub.hold_large = True
        with begin_push(run, address) as process:
            assert hub.came.wait(60)
            process.kill()
        assert hub.repositories["me/orders"]["files"] == {}
        hub.hold_large = False
        reply = push(run, address)
        assert sorted(hub.repositories["me/orders"]["files"]) == reply["files"]
        assert not list(run.exports_dir.glob(".*.part"))


def test_the_curve_is_a_picture_without_surprises() -> None:
    svg = loss_curve_svg([1, 2, 3], [3.0, 1.0, 2.0], [(2, 1.5)])
    assert svg.startswith("<svg") and svg.count("<circle") == 1 and "nan" not in svg
    assert "nan" not in loss_curve_svg([1, 1], [2.0, 2.0], [])
