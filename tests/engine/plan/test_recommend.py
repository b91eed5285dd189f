"""Recommendations, read as a user would: machine x model x data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import UserError
from engine.machine.detect import Machine
from engine.models.find import ModelFiles
from engine.plan.fit import judge
from engine.plan.recommend import recommend
from engine.recipe import Answer, Recipe
from engine.recipe_keys import KEYS

Model = Callable[[str], ModelFiles]
Build = Callable[..., Machine]
GIB = 1 << 30


@pytest.mark.parametrize("name", ["llama-2-7b", "mistral-7b", "qwen2.5-7b"])
@pytest.mark.parametrize(("vram", "method"), [(8, "qlora"), (24, "lora"), (80, "full")])
def test_the_documented_tiers_hold_for_models_of_seven_billion(
    model: Model, machine: Build, name: str, vram: int, method: str
) -> None:
    plan = recommend(machine(vram), model(name), None)
    assert plan.recommended == method and plan.best.fits
    assert plan.best.memory.total_bytes * 1.03 + 150 * 2**20 <= plan.best.free_bytes
    if method == "full":
        assert plan.best.value("training.precision") == "bf16"
        assert plan.best.value("training.optimizer") in ("adamw_torch_fused", "adamw_8bit")


@pytest.mark.parametrize("name", ["llama-2-7b", "qwen2.5-7b"])
def test_on_eighty_gigabytes_small_data_gets_lora_and_full_is_offered(
    model: Model, machine: Build, facts: type, name: str
) -> None:
    plan = recommend(machine(80), model(name), facts())
    assert plan.recommended == "lora" and plan.method("full").fits


def test_data_that_an_adapter_cannot_hold_gets_full_where_it_fits(model: Model, machine: Build, facts: type) -> None:
    much = facts(rows=400_000, trained_tokens=10**9, total_tokens=2 * 10**9)
    plan = recommend(machine(80), model("llama-2-7b"), much)
    assert plan.recommended == "full" and "more than an adapter" in plan.reason
    assert recommend(machine(24), model("llama-2-7b"), much).recommended == "lora"


def test_a_rank_that_does_not_fit_is_halved_before_the_method_is_given_up(
    model: Model, machine: Build, facts: type
) -> None:
    much = facts(rows=400_000, trained_tokens=10**9, total_tokens=2 * 10**9)
    plan = recommend(machine(8), model("qwen2.5-7b"), much)
    assert plan.recommended == "qlora" and plan.best.fits and plan.best.value("method.rank") < 128
    assert "largest that fits" in plan.best.answers["method.rank"].reason


def test_what_does_not_fit_says_by_how_much_and_what_would_make_it_fit(model: Model, machine: Build) -> None:
    plan = recommend(machine(8), model("llama-2-7b"), None)
    full = plan.method("full")
    assert not full.fits and full.shortfall_bytes > 10 * GIB
    assert "GiB" in full.reason and "GPU with" in full.reason
    assert full.shortfall_bytes == judge(full.memory.total_bytes, full.free_bytes).shortfall_bytes
    assert "LoRA would need" in plan.reason


def test_when_nothing_fits_a_smaller_model_is_named(model: Model, machine: Build) -> None:
    plan = recommend(machine(4), model("llama-3-8b"), None)
    assert not plan.best.fits and "Nothing fits" in plan.reason and "A model of about" in plan.reason


def test_a_length_that_would_fit_is_named_when_the_data_is_long(model: Model, machine: Build, facts: type) -> None:
    plan = recommend(machine(8), model("llama-2-7b"), facts(longest=4000, p99=4000, p95=3900))
    reason = plan.method("qlora").reason
    assert plan.method("qlora").fits or "sequence length of" in reason


def test_every_setting_has_a_value_a_source_and_a_reason(model: Model, machine: Build, facts: type) -> None:
    wanted = {key for key in KEYS if key.split(".")[0] in ("method", "training", "evaluation", "checkpoints")}
    for vram in (0, 8, 80):
        for plan in recommend(machine(vram), model("tiny"), facts()).methods:
            assert set(plan.answers) == wanted
            for key, answer in plan.answers.items():
                assert KEYS[key].check(answer.value) == answer.value
                assert answer.source in ("recommended", "you") and answer.reason.endswith((".", "!"))


def test_the_answers_make_a_recipe(model: Model, machine: Build, facts: type) -> None:
    answers = dict(recommend(machine(24), model("llama-2-7b"), facts()).best.answers)
    answers |= {"model.source": Answer("m", "you", ""), "data.source": Answer("d", "you", "")}
    recipe = Recipe.from_answers(answers)
    assert recipe.method.name == "lora" and recipe.training.effective_batch == 16


def test_without_a_gpu_small_models_train_and_large_ones_are_told_the_time(
    model: Model, machine: Build, facts: type
) -> None:
    small = recommend(machine(0, cpus=2), model("tiny"), facts(rows=360))
    assert small.recommended == "lora" and small.best.value("training.precision") == "fp32"
    assert "no GPU" in small.reason and "minute" in small.reason or "second" in small.reason
    large = recommend(machine(0, cpus=2), model("llama-2-7b"), facts())
    assert "days" in large.reason and "smaller model" in large.reason


def test_the_persons_own_answers_stay_and_the_rest_follows(model: Model, machine: Build, facts: type) -> None:
    own: dict[str, Any] = {
        "method.rank": 64, "training.micro_batch_size": 3, "training.gradient_checkpointing": True,
        "training.sequence_length": 256, "training.learning_rate": 1e-3,
    }  # fmt: skip
    given = {key: Answer(value, "you", "Set by hand.") for key, value in own.items()}
    plan = recommend(machine(24), model("llama-2-7b"), facts(), overrides=given).method("lora")
    assert {key: plan.value(key) for key in own} == own
    assert plan.answers["method.rank"].source == "you" and plan.value("method.alpha") == 128
    assert plan.shape is not None and plan.shape.micro_batch_size == 3 and plan.shape.sequence_length == 256


def test_a_chosen_method_is_kept_even_where_it_does_not_fit(model: Model, machine: Build) -> None:
    plan = recommend(machine(8), model("llama-2-7b"), None, method="full")
    assert plan.recommended == "full" and not plan.best.fits and plan.reason.startswith("You chose")
    assert plan.best.answers["method.name"].source == "you"
    named = {"method.name": Answer("full", "you", "")}
    assert recommend(machine(8), model("llama-2-7b"), None, overrides=named).recommended == "full"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"goal": "fame"}, "goal"), ({"method": "magic"}, "method"),
        ({"overrides": {"training.speed": Answer(1, "you", "")}}, "training.speed"),
        ({"overrides": {"method.rank": Answer(0, "you", "")}}, "method.rank"),
    ],
)  # fmt: skip
def test_bad_wishes_are_refused_in_words(model: Model, machine: Build, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        recommend(machine(24), model("tiny"), None, **arguments)
    assert words in str(caught.value)


def test_a_model_in_four_bits_trains_with_qlora_only(model: Model, machine: Build) -> None:
    files = model("llama-2-7b")
    files = replace(files, spec=replace(files.spec, quantization="nf4"))
    plan = recommend(machine(24), files, None)
    assert plan.recommended == "qlora"
    assert not plan.method("lora").available and "4 bits" in plan.method("lora").reason
    assert not plan.method("full").fits


def test_an_old_gpu_computes_fp16_and_clips_harder(model: Model, machine: Build, facts: type) -> None:
    here = machine(16)
    gpu = replace(here.gpus[0], compute_capability=(7, 5), supports_bf16=False, kind="cuda", name="Tesla T4")
    plan = recommend(replace(here, gpus=(gpu,)), model("qwen2.5-0.5b"), facts()).method("lora")
    assert plan.value("training.precision") == "fp16" and plan.value("training.max_grad_norm") == 0.3
    assert plan.memory.parts["context"] < 200 * 2**20


def test_short_disk_and_memory_are_warned_of(model: Model, machine: Build) -> None:
    plan = recommend(machine(80, ram=3, disk=10), model("llama-2-7b"), None).method("full")
    assert any("RAM" in text for text in plan.warnings) and any("disk" in text for text in plan.warnings)


def test_the_document_is_plain_json_with_the_agreed_fields(model: Model, machine: Build, facts: type) -> None:
    document = json.loads(json.dumps(recommend(machine(24), model("mistral-7b"), facts()).as_dict()))
    assert set(document) >= {"machine", "model", "recommended", "reason", "methods"}
    assert document["model"]["parameters"] == 7_241_732_096
    assert [method["name"] for method in document["methods"]] == ["full", "lora", "qlora"]
    for method in document["methods"]:
        assert set(method) >= {
            "name", "fits", "reason", "settings", "memory", "host_memory_bytes", "disk_bytes", "seconds",
        }  # fmt: skip
        memory = method["memory"]
        assert memory["kind"] == "estimate" and sum(memory["parts"].values()) == memory["total_bytes"]
