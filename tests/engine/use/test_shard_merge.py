"""Merging file by file: bit for bit what peft's own merge gives, for every kind of adapter that it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.errors import UserError  # noqa: E402
from engine.use.export import export_run  # noqa: E402
from engine.use.finished import open_result  # noqa: E402
from engine.use.merge import _merged_in_memory  # noqa: E402
from engine.use.merge_options import DTYPES  # noqa: E402
from engine.use.shard_merge import merge_shards  # noqa: E402
from engine.use.staging import MARK  # noqa: E402
from tests.conftest import PROJECT  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def weights_of(folder: Path) -> dict[str, Any]:
    return {name: weight for file in sorted(folder.glob("*.safetensors")) for name, weight in load_file(file).items()}


def new_adapter(base: Path, folder: Path, dtype: str, **settings: Any) -> Path:
    """An adapter with random weights of every part."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **{"target_modules": "all-linear", **settings})
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=DTYPES[dtype]), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(folder)
    return folder


SHAPES = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 9, "layers.1.mlp.down_proj": 3}},
    "output head": {"target_modules": ["q_proj", "lm_head"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "saved whole": {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]},
    "dora": {"use_dora": True},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("held", "written"), [("fp32", "fp32"), ("bf16", "bf16")])
def test_the_bits_are_those_of_peft(
    make_run: Any, tiny_model: Path, tmp_path: Path, shape: str, held: str, written: str
) -> None:
    run = make_run("lora", training__precision=held)
    new_adapter(tiny_model, run.result_dir / "adapter", held, **SHAPES[shape])
    result = open_result(run.path)
    reply = export_run(run.path, "merged", tmp_path / "out", quiet, dtype=written)
    _merged_in_memory(result, "trained").to(DTYPES[written]).save_pretrained(tmp_path / "peft")
    ours, theirs = weights_of(tmp_path / "out"), weights_of(tmp_path / "peft")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert any("in memory" in note for note in reply["notes"]) == (shape == "dora")
    base = weights_of(tiny_model)
    assert any(not torch.equal(ours[name], base[name].to(ours[name].dtype)) for name in base)


@pytest.mark.parametrize("into", ["trained", "original"])
def test_qlora_has_the_bits_of_peft_too(make_run: Any, tmp_path: Path, into: Any) -> None:
    run = make_run("qlora")
    export_run(run.path, "merged", tmp_path / "out", quiet, dtype="fp32", into=into)
    _merged_in_memory(open_result(run.path), into).to(torch.float32).save_pretrained(tmp_path / "peft")
    ours, theirs = weights_of(tmp_path / "out"), weights_of(tmp_path / "peft")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_many_shards_load_as_one_model(make_run: Any, tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    run = make_run("lora")
    (tmp_path / "many").mkdir()
    adapter = run.result_dir / "adapter"
    written = merge_shards(
        tiny_model, adapter, torch.float32, torch.float32, tmp_path / "many", quiet, shard_bytes=90_000
    )
    AutoConfig.from_pretrained(tiny_model).save_pretrained(tmp_path / "many")
    assert len(written.files) > 3 and written.files[-1].endswith(f"of-{len(written.files):05}.safetensors")
    # no file is larger than asked for, except by its header, or for one weight that is larger alone
    assert max((tmp_path / "many" / name).stat().st_size for name in written.files) < 90_000 + 20_000
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "many").state_dict()
    (tmp_path / "one").mkdir()
    merge_shards(tiny_model, adapter, torch.float32, torch.float32, tmp_path / "one", quiet)
    assert all(torch.equal(again[name], weight) for name, weight in weights_of(tmp_path / "one").items())
    # and a model whose base has many files merges to the same
    (tmp_path / "again").mkdir()
    merge_shards(tmp_path / "many", None, torch.float32, torch.float32, tmp_path / "again", quiet)
    first, second = weights_of(tmp_path / "one"), weights_of(tmp_path / "again")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_added_tokens_are_refused_with_the_reason(make_run: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    run = make_run("lora")
    file = run.result_dir / "adapter" / "adapter_model.safetensors"
    more = {**load_file(file), "base_model.model.lm_head.weight": torch.zeros(333, 64)}
    save_file(more, file)
    with pytest.raises(UserError, match="Tokens were added|shape") as caught:
        merge_shards(open_result(run.path).base, file.parent, torch.float32, torch.float32, tmp_path, quiet)
    assert "Tokens were added" in caught.value.fix


def test_a_whole_head_on_shared_embeddings_is_refused(make_run: Any, tiny_model: Path) -> None:
    from engine.use.merge import _refuse_unmergeable

    run = make_run("lora")
    new_adapter(tiny_model, run.result_dir / "adapter", "fp32", modules_to_save=["lm_head"], target_modules=["q_proj"])
    result = open_result(run.path)
    config = json.loads((result.base / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    _refuse_unmergeable(result)  # not shared: nothing to refuse
    tied = run.path / "tied"
    tied.mkdir()
    (tied / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    object.__setattr__(result, "base", tied)
    with pytest.raises(UserError, match="shares between input and output"):
        _refuse_unmergeable(result)


def test_a_broken_adapter_is_not_merged(make_run: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    run = make_run("lora")
    file = run.result_dir / "adapter" / "adapter_model.safetensors"
    broken = load_file(file)
    name = next(key for key in broken if "lora_B" in key)
    broken[name][0, 0] = float("nan")
    save_file(broken, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        export_run(run.path, "merged", tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_without_memory_for_a_comparison_the_merge_is_made_and_says_so(
    make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.use.merge.missing_memory_bytes", lambda result: 3_000_000_000)
    monkeypatch.setattr("engine.use.merge.load_base", None)  # nothing whole is loaded
    monkeypatch.setattr("engine.use.merge.load_model", None)
    reply = export_run(make_run("lora").path, "merged", None, quiet)
    assert reply["agreement"] == {}
    assert "Not compared with what was trained: that needs 3.0 GB more memory." in reply["notes"]


MERGE = """
import sys
from engine.use.export import export_run
def say(message):
    print(message["progress"]["phase"], flush=True)
export_run(sys.argv[1], "merged", None, say, dtype="fp32")
"""


@pytest.mark.parametrize("phase", [pytest.param("merging", marks=pytest.mark.long), "comparing"])
def test_a_killed_merge_leaves_nothing_whole_and_the_next_one_goes_through(make_run: Any, phase: str) -> None:
    run = make_run("lora")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", MERGE, str(run.path)], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, env=environment) as child:  # fmt: skip
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == phase:
                os.kill(child.pid, signal.SIGKILL)
                break
        assert child.wait() == -signal.SIGKILL
    visible = [path.name for path in run.exports_dir.iterdir() if not path.name.startswith(".")]
    assert visible == []
    started = time.monotonic()
    out = Path(export_run(run.path, "merged", None, quiet, dtype="fp32")["out"])
    assert (out / MARK).is_file() and time.monotonic() - started < 60
    assert sorted(path.name for path in run.exports_dir.iterdir() if path.suffix != ".lock") == ["merged"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 300 kB, which is less than the tiny model needs; skips where nothing may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_nothing_and_with_room_the_merge_goes_through(
    make_run: Any, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("lora")
    with pytest.raises(UserError, match="The export needs"):  # said before anything is written
        export_run(run.path, "merged", small_disk / "out", quiet, dtype="fp32")
    monkeypatch.setattr("engine.use.merge.check_room", lambda folder, needed: None)  # it fills up meanwhile
    with pytest.raises(UserError, match="No space left") as caught:
        export_run(run.path, "merged", small_disk / "out", quiet, dtype="fp32")
    assert "Make room" in caught.value.fix
    assert not (small_disk / "out").exists() and not list(small_disk.glob("**/*.safetensors"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    reply = export_run(run.path, "merged", small_disk / "out", quiet, dtype="fp32")
    assert (small_disk / "out" / MARK).is_file() and reply["agreement"]["same_choice"] == 1.0
