"""The simulator: against real allocations on the CPU, against its own closed form, and as a job."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.spec import spec_from_config
from engine.plan.memory import TrainingShape, estimate_memory, needs_mask
from engine.plan.weights import trainable_parameters

pytest.importorskip("trl")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.xdist_group("torch")

LLAMA = {
    "model_type": "llama", "vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3 = LLAMA | {"model_type": "qwen3", "head_dim": 64, "num_hidden_layers": 3, "tie_word_embeddings": True}
GPT2 = {"model_type": "gpt2", "vocab_size": 4096, "n_embd": 256, "n_layer": 3, "n_head": 4, "n_positions": 512}

# (config, method, precision, checkpointing, rows, tokens)
REAL = [
    (LLAMA, "full", "fp32", True, 1, 256), (LLAMA, "full", "bf16", False, 2, 256),
    (LLAMA, "lora", "fp32", False, 2, 256), (LLAMA, "lora", "bf16", True, 1, 256),
    (QWEN3, "full", "fp32", False, 1, 256), (QWEN3, "lora", "fp32", True, 2, 128),
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shape_of(method: str, precision: str, checkpointing: bool, rows: int, tokens: int) -> TrainingShape:
    return TrainingShape(method, rows, tokens, 8, checkpointing, "adamw_torch", precision)


def real_peak(config: dict[str, Any], shape: TrainingShape) -> int:
    """Train two steps on the CPU and read every allocation from torch's profiler: static bytes plus the peak."""
    from torch.profiler import ProfilerActivity, profile
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    settings = AutoConfig.for_model(**config)
    dtype = torch.float32 if shape.precision == "fp32" else torch.bfloat16
    model: Any = AutoModelForCausalLM.from_config(settings, dtype=dtype, attn_implementation="sdpa").train()
    if shape.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if shape.method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=shape.rank, target_modules="all-linear", task_type="CAUSAL_LM"))
        if shape.gradient_checkpointing:
            model.enable_input_require_grads()
    base = model.get_base_model() if shape.method == "lora" else model
    add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1"))
    held = [tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())]
    storages = {storage.data_ptr(): storage.nbytes() for storage in held}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, foreach=True)
    ids = torch.randint(0, config["vocab_size"], (shape.micro_batch_size, shape.sequence_length))
    static = sum(storages.values()) + 2 * ids.nbytes
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16) if shape.precision == "bf16" else nullcontext():
                loss = -model(input_ids=ids, labels=ids, fused_lm_head=True, use_cache=False).log_probs.sum()
            torch.autograd.backward(loss)
            del loss
            torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return static + max(itertools.accumulate(changes))


@pytest.mark.parametrize(("config", "method", "precision", "checkpointing", "rows", "tokens"), REAL)
def test_the_simulated_peak_is_what_the_cpu_really_allocates(
    config: dict[str, Any], method: str, precision: str, checkpointing: bool, rows: int, tokens: int
) -> None:
    from engine.plan.simulate import run
    from engine.plan.simulator.request import Simulation

    shape = shape_of(method, precision, checkpointing, rows, tokens)
    found = run(Simulation(config, shape, device="cpu", steps=2))
    assert found.live_bytes == pytest.approx(real_peak(config, shape), rel=0.001)


# (config, method, device, checkpointing, rows, tokens, accumulation, optimizer)
BOTH = [
    (LLAMA, "qlora", "cuda", True, 1, 512, 2, "paged_adamw_8bit"),
    (LLAMA, "lora", "cuda", False, 2, 256, 1, "adamw_torch"),
    (LLAMA, "full", "cuda", True, 1, 256, 4, "adamw_8bit"),
    (QWEN3, "full", "cuda", True, 2, 128, 1, "adamw_torch_fused"),
    (QWEN3, "lora", "cpu", False, 2, 128, 1, "adamw_torch_fused"),
    (GPT2, "lora", "cpu", True, 1, 128, 1, "adamw_torch_fused"),
    (GPT2, "full", "cuda", False, 2, 128, 1, "adamw_torch_fused"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "method", "device", "checkpointing", "rows", "tokens", "accumulation", "optimizer"), BOTH
)
def test_the_closed_form_agrees_with_the_simulation(
    config: dict[str, Any], method: str, device: Any, checkpointing: bool, rows: int, tokens: int,
    accumulation: int, optimizer: str,
) -> None:  # fmt: skip
    from engine.plan.simulate import run
    from engine.plan.simulator.request import Simulation

    precision = "bf16" if device == "cuda" else "fp32"
    shape = TrainingShape(method, rows, tokens, 8, checkpointing, optimizer, precision, accumulation)
    spec = spec_from_config(config, "built")
    found = run(Simulation(config, shape, device=device, padded=needs_mask(spec, shape)))
    memory = estimate_memory(spec, shape, device)
    assert memory.exact, "there is a compiled table for this structure"
    assert memory.allocated_bytes == pytest.approx(found.live_bytes, rel=0.005)
    assert found.parameters == spec.parameters


GEMMA2 = LLAMA | {"model_type": "gemma2", "head_dim": 64, "num_hidden_layers": 3, "tie_word_embeddings": True}
ONE_KEY_HEAD = GEMMA2 | {"model_type": "gemma3_text", "num_key_value_heads": 1}
EXPERTS = {"num_local_experts": 8, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
MIXTRAL = LLAMA | {"model_type": "mixtral", "intermediate_size": 512, "num_hidden_layers": 3} | EXPERTS
QWEN3_MOE = MIXTRAL | {"model_type": "qwen3_moe", "head_dim": 64}
QV, ATTENTION = ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj")
# (config, method, precision, rows, what else is asked for)
MORE_WAYS: list[tuple[dict[str, Any], str, str, int, dict[str, Any]]] = [
    (LLAMA, "lora", "fp16", 1, {}), (LLAMA, "full", "fp16", 2, {"gradient_checkpointing": False}),
    (LLAMA, "qlora", "fp32", 1, {"gradient_checkpointing": False}),
    (LLAMA, "lora", "bf16", 2, {"target_modules": QV, "gradient_checkpointing": False}),
    (QWEN3, "qlora", "bf16", 1, {"target_modules": ATTENTION}), (QWEN3, "lora", "bf16", 2, {"chunked_loss": False}),
    (GEMMA2, "lora", "bf16", 2, {}), (ONE_KEY_HEAD, "lora", "bf16", 1, {"gradient_checkpointing": False}),
    (MIXTRAL, "lora", "bf16", 1, {}), (QWEN3_MOE, "full", "bf16", 2, {}),
]  # fmt: skip


@pytest.mark.parametrize(("config", "method", "precision", "rows", "more"), MORE_WAYS)
def test_so_it_does_for_other_precisions_layers_losses_and_mixtures(
    config: dict[str, Any], method: str, precision: str, rows: int, more: dict[str, Any]
) -> None:
    from engine.plan.simulate import run
    from engine.plan.simulator.request import Simulation

    shape = TrainingShape(method, rows, 384, 8, precision=precision, **more)
    spec = spec_from_config(config, "built")
    capability = (7, 5) if precision == "fp16" else (8, 0)
    found = run(Simulation(config, shape, capability=capability, padded=needs_mask(spec, shape)))
    memory = estimate_memory(spec, shape)
    assert memory.allocated_bytes == pytest.approx(found.live_bytes, rel=0.005)
    assert memory.exact == (not spec.experts), "a mixture's estimate says that it is less certain"
    assert found.trainable_parameters == trainable_parameters(spec, shape)


def test_the_job_answers_with_a_memory_as_in_a_plan() -> None:
    from engine.plan.memory import memory_of
    from engine.plan.simulate import SETTINGS, simulate_job

    said: list[dict[str, Any]] = []
    settings = dict(
        zip(SETTINGS, ("qlora", 8, ["all-linear"], 1, 128, True, "paged_adamw_8bit", "bf16", 1), strict=True)
    )
    answer = simulate_job({"config": LLAMA, "settings": settings, "context_bytes": 1000}, said.append, iter(()))
    memory = memory_of(answer["memory"])
    assert memory.kind == "simulation" and sum(memory.parts.values()) == memory.total_bytes
    assert memory.allocated_bytes <= memory.reserved_bytes and memory.parts["context"] == 1000
    assert answer["model"]["parameters"] == spec_from_config(LLAMA, "").parameters
    assert [message["progress"]["phase"] for message in said][:2] == ["loading torch", "simulating"]


def test_what_cannot_be_simulated_is_told_in_words() -> None:
    from engine.plan.simulate import run, shape_of, simulate_job
    from engine.plan.simulator.request import Simulation

    with pytest.raises(UserError) as missing:
        shape_of({"method.name": "lora"})
    assert "method.rank" in missing.value.what
    with pytest.raises(UserError) as unknown:
        simulate_job({"config": LLAMA | {"model_type": "odd"}, "settings": {}}, print, iter(()))
    assert "odd" in unknown.value.what
    with pytest.raises(UserError) as broken:
        run(Simulation(LLAMA, TrainingShape("lora", 1, 32, target_modules=("absent",))))
    assert "could not be simulated" in broken.value.what


def test_a_small_vocabulary_on_a_cpu_is_counted_with_the_loss_that_the_engine_takes() -> None:
    from engine.plan.simulate import run
    from engine.plan.simulator.request import Simulation

    config = {**LLAMA, "vocab_size": 512}
    shape = TrainingShape("lora", 4, 512, 16, False, "adamw_torch_fused", "fp32")
    found = run(Simulation(config, shape, device="cpu", padded=True))
    memory = estimate_memory(spec_from_config(config, "test"), shape, "cpu")
    tile = 4 * 4 * 511 * 32_768  # the tile of logits that the chunked loss would take, alone
    assert memory.allocated_bytes == pytest.approx(found.live_bytes, rel=0.03)
    assert memory.allocated_bytes >= found.live_bytes and not memory.exact
    assert found.live_bytes < estimate_memory(spec_from_config(LLAMA, "test"), shape, "cpu").allocated_bytes - tile // 2
