"""Adapters of several runs: listed, served, combined."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("torch-use")
torch = pytest.importorskip("torch")

from engine.errors import UserError  # noqa: E402
from engine.use.adapters import combine, job, list_adapters, vllm_commands  # noqa: E402
from engine.use.lora_delta import read_lora  # noqa: E402
from engine.use.staging import MARK  # noqa: E402
from tests.engine.use.test_shard_merge import new_adapter  # noqa: E402


def quiet(message: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


def change(adapter: Path, name: str, shape: tuple[int, int]) -> Any:
    with ExitStack() as stack:
        return read_lora(adapter, stack).applied(name, torch.zeros(shape))


def test_only_runs_with_an_adapter_are_listed(make_run: Any) -> None:
    lora, full = make_run("lora"), make_run("full")
    figures = {"sides": {"tuned": {"loss": 1.0, "exact_match": {"value": 0.5, "hits": 1, "count": 2}}}}
    (lora.path / "evaluation.json").write_text(json.dumps(figures))
    (found,) = list_adapters([str(lora.path), str(full.path), "/nowhere"])
    assert (found["run"], found["rank"], found["method"]) == ("lora", 8, "lora")
    assert found["measured"] == {"name": "exact_match", "value": 0.5}
    assert (found["objective"], found["uncombinable"], found["run_directory"]) == ("sft", "", str(lora.path))
    assert found["data"].endswith("orders.jsonl")
    vllm = found["commands"][0]
    assert vllm[:2] == ["vllm", "serve"] and vllm[-1] == f"lora={found['directory']}"
    assert vllm[vllm.index("--max-lora-rank") + 1] == "8"
    assert job({"runs": [str(full.path)]}, quiet, iter(())) == {"adapters": []}


def test_a_combined_adapter_adds_up_what_its_parts_do(make_run: Any, tiny_model: Path, tmp_path: Path) -> None:
    first, second = make_run("lora"), make_run("lora")
    new_adapter(tiny_model, second.result_dir / "adapter", "fp32")
    reply = combine({str(first.path): 0.75, str(second.path): -0.5}, tmp_path / "both", quiet)
    assert reply["rank"] == 8 + 4 and (tmp_path / "both" / MARK).is_file()
    assert (tmp_path / "both" / "tokenizer.json").is_file()
    assert reply["commands"][0][-1] == f"both={tmp_path / 'both'}"
    name, shape = "model.layers.1.mlp.down_proj.weight", (64, 128)
    parts = [change(run.result_dir / "adapter", name, shape) for run in (first, second)]
    expected = 0.75 * parts[0] - 0.5 * parts[1]
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(change(tmp_path / "both", name, shape), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first", ["plain", "rank-stabilised"])
def test_a_combination_with_a_rank_stabilised_adapter_adds_up(
    make_run: Any, tiny_model: Path, tmp_path: Path, first: str
) -> None:
    """peft would multiply all of it by the root of the rank when the first one is such an adapter."""
    runs = {"plain": make_run("lora"), "rank-stabilised": make_run("lora")}
    new_adapter(tiny_model, runs["rank-stabilised"].result_dir / "adapter", "fp32", use_rslora=True)
    order = sorted(runs, key=lambda each: each != first)
    combine({str(runs[each].path): 1.0 for each in order}, tmp_path / "both", quiet)
    name, shape = "model.layers.0.self_attn.q_proj.weight", (64, 64)
    expected = sum(change(run.result_dir / "adapter", name, shape) for run in runs.values())
    torch.testing.assert_close(change(tmp_path / "both", name, shape), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"use_dora": True}, "DoRA"), ({"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]}, "whole layers"),
     ({"target_modules": ["v_proj"], "layers_to_transform": [0]}, "different layers")],
)  # fmt: skip
def test_what_would_be_lost_in_a_combination_is_refused(
    make_run: Any, tiny_model: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    plain, other = make_run("lora"), make_run("lora")
    new_adapter(tiny_model, other.result_dir / "adapter", "fp32", **settings)
    for runs in ((plain, other), (other, plain)):
        with pytest.raises(UserError, match=words):
            combine({str(run.path): 1.0 for run in runs}, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_vllm_takes_no_rank_above_its_largest() -> None:
    assert vllm_commands(Path("/b"), "n", Path("/a"), 513) == []
    assert vllm_commands(Path("/b"), "n", Path("/a"), 33)[0][5] == "64"


def test_what_does_not_belong_together_is_refused(make_run: Any, tmp_path: Path) -> None:
    lora, full, qlora = make_run("lora"), make_run("full"), make_run("qlora")
    for others, words in (((), "at least two"), ((full,), "no adapter"), ((qlora,), "same base in the same way")):
        with pytest.raises(UserError, match=words):
            combine({str(run.path): 1.0 for run in (lora, *others)}, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()
