"""Merged models and their hand-over to Ollama, with real weights."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from tests.engine.use.fake_ollama import fake_ollama

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")


from engine.use import export as export_module  # noqa: E402
from engine.use.agreement import compare, logits_of, probe_ids  # noqa: E402
from engine.use.chat import Chat, ask  # noqa: E402
from engine.use.export import export_run  # noqa: E402
from engine.use.finished import open_result  # noqa: E402
from engine.use.load import Pair, load_model  # noqa: E402
from engine.use.merge import _refuse_unmergeable  # noqa: E402
from engine.use.ollama_template import render_as_ollama  # noqa: E402
from engine.use.prompts import Prompts  # noqa: E402
from engine.use.staging import MARK  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def trained_logits(run: Any, side: str = "tuned") -> tuple[list[Any], list[list[int]]]:
    result = open_result(run.path)
    ids = probe_ids(Prompts.of(result))
    with Pair(result, "cpu").switched(side) as model:
        return logits_of(model, ids), ids


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_merged_lora_equals_its_adapter(make_run: Any, dtype: str) -> None:
    run = make_run("lora")
    reply = export_run(run.path, "merged", None, quiet, dtype=dtype)
    trained, ids = trained_logits(run)
    merged = load_model(Path(reply["out"]), "cpu")
    difference = compare(trained, logits_of(merged, ids)).largest_difference
    assert merged.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    assert difference == pytest.approx(reply["agreement"]["largest_difference"], rel=0.2, abs=1e-6)
    assert difference < {"fp32": 1e-4, "bf16": 0.2}[dtype]
    assert difference * 10 < compare(trained, trained_logits(run, "base")[0]).largest_difference


def test_a_merged_qlora_goes_into_the_base_it_was_trained_on(make_run: Any) -> None:
    run = make_run("qlora")
    into = {
        kind: export_run(run.path, "merged", run.path / kind, quiet, into=kind, dtype="fp32")
        for kind in ("trained", "original")
    }
    differences = {kind: reply["agreement"]["largest_difference"] for kind, reply in into.items()}
    assert differences["trained"] * 15 < differences["original"]
    config = json.loads((run.path / "trained" / "config.json").read_text())
    assert "quantization_config" not in config


def test_full_is_copied(make_run: Any) -> None:
    reply = export_run(make_run("full").path, "merged", None, quiet, dtype="fp32")
    assert reply["agreement"]["largest_difference"] == 0


def test_the_merged_directory_is_complete_for_other_programs(make_run: Any) -> None:
    from transformers import AutoTokenizer

    out = Path(export_run(make_run("lora").path, "merged", None, quiet)["out"])
    config = json.loads((out / "config.json").read_text())
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (500000.0, "bfloat16")
    assert "_name_or_path" not in config
    assert settings["chat_template"] == (out / "chat_template.jinja").read_text()
    assert (
        AutoTokenizer.from_pretrained(out)
        .apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
        .startswith("<|im_start|>user")
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o644}
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


def test_ollama_files(make_run: Any) -> None:
    run = make_run("lora")
    request = {"run": str(run.path), "to": "ollama", "road": "directory", "system": "Answer in JSON."}
    reply = export_module.job(request, quiet, iter(()))
    text = (Path(reply["out"]) / "Modelfile").read_text()
    lines = text.splitlines()
    assert "FROM ." in lines and "PARAMETER num_ctx 512" in lines
    assert 'PARAMETER stop "<|im_end|>"' in lines and 'SYSTEM """Answer in JSON."""' in lines
    assert reply["commands"][0] == ["ollama", "create", "lora", "-f", reply["modelfile"]]
    assert reply["created"] is False


def test_text_that_would_break_the_modelfile_is_refused_and_leaves_nothing(make_run: Any) -> None:
    run = make_run("lora")
    with pytest.raises(UserError, match="quotation marks"):
        export_run(run.path, "ollama", None, quiet, road="directory", system='a """ b')
    assert list(run.exports_dir.iterdir()) == []


def test_an_interrupted_merge_leaves_nothing_that_looks_whole(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.use.merge as merge

    run = make_run("lora")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merge, "finish_model_directory", die)
    with pytest.raises(KeyboardInterrupt):
        export_run(run.path, "merged", None, quiet)
    assert list(run.exports_dir.iterdir()) == []
    monkeypatch.undo()
    assert Path(export_run(run.path, "merged", None, quiet)["out"]).is_dir()


def test_an_adapter_on_shared_embeddings_is_not_merged(make_run: Any) -> None:
    run = make_run("lora")
    path = run.result_dir / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "target_modules": ["lm_head"]}))
    result = open_result(run.path)
    tied = run.path / "tied"
    tied.mkdir()
    (tied / "config.json").write_text(json.dumps({"tie_word_embeddings": True}))
    with pytest.raises(UserError, match="shares between input and output"):
        _refuse_unmergeable(dataclasses.replace(result, base=tied))


def test_a_model_is_created_in_ollama_and_asked_the_same_questions(make_run: Any, monkeypatch: Any) -> None:
    run = make_run("lora")
    chat = Chat(run.path, device="cpu")

    def answer(model: dict[str, Any], messages: list[dict[str, str]]) -> str:
        """What a faithful Ollama would say: its template, the same weights."""
        conversation = [(message["role"], message["content"]) for message in messages]
        assert render_as_ollama(model["template"], conversation) == chat.prompts.text(conversation)
        turns = [{"role": role, "content": content} for role, content in conversation]
        return str(ask(chat, {"turns": turns, "which": "tuned", "max_tokens": 48}, lambda side, text: None)["tuned"])

    with fake_ollama() as (fake, address):
        monkeypatch.setenv("OLLAMA_HOST", address)
        fake.answer = answer
        settings: dict[str, Any] = {"road": "directory", "create": True}
        reply = export_run(run.path, "ollama", None, quiet, **settings, system='Say """hi""".', name="My Orders!")
        assert reply["created"] and reply["ollama"]["same"] == reply["ollama"]["compared"] == 5
        assert "There is no Modelfile" in " ".join(reply["notes"])
        assert not (Path(reply["out"]) / "Modelfile").exists()
        assert set(fake.models["my-orders"]["files"]) >= {"config.json", "tokenizer.json", "model.safetensors"}
        assert MARK not in fake.models["my-orders"]["files"]
        fake.answer = lambda model, messages: "something else"
        assert export_run(run.path, "ollama", None, quiet, **settings)["ollama"]["same"] == 0
        fake.answer = answer
        reply = export_run(run.path, "ollama", None, quiet, create_from=reply["out"], name="again")
        assert reply["created"] and reply["ollama"]["same"] == 5 and "again" in fake.models
        with pytest.raises(UserError, match="holds no export"):
            export_run(run.path, "ollama", None, quiet, create_from=str(run.path))


def test_without_ollama_the_export_is_kept(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("lora")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(UserError, match="No Ollama answers"):
        export_run(run.path, "ollama", None, quiet, road="directory", create=True)
    assert (run.exports_dir / "ollama" / "Modelfile").is_file()
