"""Text, ids and masks equal what transformers and TRL make of the same rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.examples import Example, RowProblem, Turn
from engine.data.render import Renderer
from engine.data.rendered import IGNORED
from engine.data.spans import SpanFinder
from engine.data.template import ChatTemplate, TemplateFault
from engine.data.tokenizer import ModelTokenizer

from .conftest import CHATML, MARKED, SPECIALS, byte_tokenizer

pytestmark = pytest.mark.xdist_group("transformers")  # one process pays for the imports
pytest.importorskip("transformers")

TOOLS = [
    {
        "type": "function",
        "function": {"name": "w", "description": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]
CALL = {"type": "function", "function": {"name": "w", "arguments": {"a": "ö<&>"}}}
TALKS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi! How are you?"}],
    "system": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": " more \n"},
        {"role": "assistant", "content": "Yes, cafe\u0301 ☕ fine."},
    ],
    "tools": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"t": 1}', "name": "w"},
        {"role": "assistant", "content": "Sunny", "reasoning_content": "It shines."},
    ],
}
TOKENIZERS = ("models/tokenizers/Qwen--Qwen2.5", "models/tokenizers/meta-llama--Llama-3.2", "models/stories260K")
_TOKENS = re.compile(r"<[^<>\s{}'\"]{1,40}>|\[\|?/?[A-Za-z_]+\|?\]")


def templates(shared: Path) -> list[Path]:
    found = sorted((shared / "data" / "chat_templates").glob("*/*.jinja*"))
    assert len(found) > 90
    return found


def example_of(messages: list[dict[str, Any]]) -> Example:
    turns = [
        Turn(m["role"], m["content"], {key: m[key] for key in m if key not in {"role", "content"}}) for m in messages
    ]
    return Example(tuple(turns), 1)


def theirs(tokenizer: Any, messages: list[dict[str, Any]], template: str, **how: Any) -> tuple[str, list[int]] | None:
    """What transformers gives, or None where the template refuses."""
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template, **how)
        ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, chat_template=template, **how)
    except Exception:
        return None
    return text, ids["input_ids"]


@pytest.mark.parametrize(
    "folder", [TOKENIZERS[2], *(pytest.param(folder, marks=pytest.mark.long) for folder in TOKENIZERS[:2])]
)
def test_every_shared_template_gives_the_same_text_and_ids(shared: Path, folder: str) -> None:
    from transformers import AutoTokenizer

    hub, own = AutoTokenizer.from_pretrained(shared / folder), ModelTokenizer.load(shared / folder)
    compared = 0
    for path in templates(shared):
        source = path.read_text()
        template = ChatTemplate(source, own.specials, None)
        for name, messages in TALKS.items():
            tools = TOOLS if name == "tools" else None
            for generation in (False, True):
                wanted = theirs(hub, messages, source, tools=tools, add_generation_prompt=generation)
                try:
                    text = template.render(messages, tools, generation)[0]
                    got = (text, own.encode(text))
                except TemplateFault:
                    got = None
                assert got == wanted, f"{path.name} {name}"
                compared += wanted is not None
    assert compared > 300


def test_every_mask_is_either_right_or_refused(shared: Path, tmp_path: Path) -> None:
    """Templates with generation marks: equal to transformers' mask. Others: each answer and its end, nothing else."""
    from transformers import PreTrainedTokenizerFast

    equal = found = 0
    for path in templates(shared):
        source = path.read_text()
        core = byte_tokenizer()
        specials = sorted({*_TOKENS.findall(source), *SPECIALS})
        core.add_special_tokens(specials)
        names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
        hub = PreTrainedTokenizerFast(tokenizer_object=core, **names)
        own = ModelTokenizer(tmp_path, core, names, (), False, "", frozenset(specials))
        renderer = Renderer(own, "plain", source, today=None)
        for name, messages in TALKS.items():
            result = renderer.render_many([example_of(messages)])[0]
            if isinstance(result, RowProblem) or "llava.jinja" in path.name:  # its mark begins in the middle of a token
                continue
            if ChatTemplate(source, own.specials).has_marks:
                wanted = hub.apply_chat_template(
                    messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, chat_template=source
                )
                assert wanted["input_ids"] == result.input_ids, path.name
                assert wanted["assistant_masks"] == [int(label != IGNORED) for label in result.labels], (
                    f"{path.name} {name}"
                )
                equal += 1
                continue
            pieces = [result.text[start:end] for start, end, kind in result.spans if kind == "trained"]
            answers = [m for m in messages if m["role"] == "assistant"]
            asked = [m["content"].strip() for m in messages if m["role"] != "assistant"]
            assert len(pieces) == len(answers), f"{path.name} {name}"
            if "idefics3" not in path.name:  # it drops plain text content altogether
                assert all(m["content"] in piece for m, piece in zip(answers, pieces, strict=True)), (
                    f"{path.name} {pieces}"
                )
            assert not any(text in piece for text in asked for piece in pieces), f"{path.name} {name} {pieces}"
            found += 1
    assert equal > 70 and found > 140


@pytest.fixture(scope="module")
def trl_labels(shared: Path) -> Callable[..., list[tuple[list[int], list[int]]]]:
    """A function that gives the (input_ids, labels) that TRL's own trainer makes of rows."""
    pytest.importorskip("trl")
    import datasets
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    torch.set_num_threads(1)

    def labels(
        folder: Path, rows: list[dict[str, Any]], output: Path, **options: Any
    ) -> list[tuple[list[int], list[int]]]:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        )
        settings = SFTConfig(output_dir=str(output), report_to=[], use_cpu=True, bf16=False, max_length=None, **options)
        trainer = SFTTrainer(
            model=LlamaForCausalLM(config),
            args=settings,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        made = [trainer.data_collator([row]) for row in trainer.train_dataset]
        return [(batch["input_ids"][0].tolist(), batch["labels"][0].tolist()) for batch in made]

    return labels


def ours(folder: Path, examples: list[Example], template: str = "model") -> list[tuple[list[int], list[int]]]:
    with Renderer.load(folder, template, today=None) as renderer:
        rows = [renderer.render(example) for example in examples]
    return [(row.input_ids, row.labels) for row in rows]


PAIRS = [("What is 2?", "Two."), ("Say é", "é ☕\nand more"), ("x" * 50, '{"a": 1}')]


@pytest.mark.parametrize("folder", ["models/tokenizers/Qwen--Qwen2.5", "models/tokenizers/meta-llama--Llama-3.2"])
def test_conversational_prompt_and_completion_equal_trl(
    shared: Path, tmp_path: Path, trl_labels: Any, folder: str
) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": q}], "completion": [{"role": "assistant", "content": a}]}
        for q, a in PAIRS
    ]
    examples = [Example((Turn("user", q), Turn("assistant", a)), 1) for q, a in PAIRS]
    assert ours(shared / folder, examples) == trl_labels(shared / folder, rows, tmp_path)


def test_assistant_only_messages_equal_trl(tmp_path: Path, trl_labels: Any, make_model: Callable[..., Path]) -> None:
    folder = make_model(MARKED)
    rows = [
        {
            "messages": [
                m
                for pair in PAIRS
                for m in ({"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]})
            ]
        }
    ]
    examples = [example_of(rows[0]["messages"])]
    assert ours(folder, examples) == trl_labels(folder, rows, tmp_path / "out", assistant_only_loss=True)


def test_qwen_messages_equal_what_trl_trains_with_its_own_template(
    shared: Path, tmp_path: Path, trl_labels: Any
) -> None:
    folder = shared / TOKENIZERS[0]
    messages = [m for q, a in PAIRS for m in ({"role": "user", "content": q}, {"role": "assistant", "content": a})]
    ((ids, labels),) = ours(folder, [example_of(messages)])
    ((their_ids, their_labels),) = trl_labels(folder, [{"messages": messages}], tmp_path, assistant_only_loss=True)
    assert ids == their_ids
    more = [place for place, (own, other) in enumerate(zip(labels, their_labels, strict=True)) if own != other]
    newline = ids[labels.index(next(label for label in labels if label != IGNORED)) - 1]
    # TRL's own template for Qwen also marks the line end behind "assistant", which the prompt already holds
    assert len(more) == len(PAIRS) and all(labels[place] == IGNORED and ids[place] == newline for place in more)


@pytest.mark.parametrize("folder", [*TOKENIZERS, "models/tokenizers/openai-community--gpt2"])
def test_text_equals_trl(shared: Path, tmp_path: Path, trl_labels: Any, folder: str) -> None:
    texts = ["Once upon a time.", "é ☕\n\nmore  spaces", "x"]
    examples = [Example((Turn("text", text),), 1) for text in texts]
    assert ours(shared / folder, examples) == trl_labels(shared / folder, [{"text": text} for text in texts], tmp_path)


@pytest.mark.parametrize("folder", ["models/stories260K", "models/tokenizers/openai-community--gpt2"])
def test_the_plain_template_equals_trl_on_the_same_strings(
    shared: Path, tmp_path: Path, trl_labels: Any, folder: str
) -> None:
    """The plain template written out by hand as prompt and completion, which TRL ends with eos itself."""
    if "gpt2" not in folder:
        pytest.skip("TRL writes no begin token before a bare prompt")
    rows = [{"prompt": f"### Instruction:\n{q}\n\n### Response:\n", "completion": a} for q, a in PAIRS]
    examples = [Example((Turn("user", q), Turn("assistant", a)), 1) for q, a in PAIRS]
    assert ours(shared / folder, examples, "plain") == trl_labels(shared / folder, rows, tmp_path)


def test_the_plain_template_renders_the_same_in_transformers(shared: Path) -> None:
    from transformers import AutoTokenizer

    for folder in (*TOKENIZERS, "models/tokenizers/openai-community--gpt2"):
        hub = AutoTokenizer.from_pretrained(shared / folder)
        with Renderer.load(shared / folder, "plain") as renderer:
            for name in ("one", "system", "tools"):
                rendered = renderer.render(example_of(TALKS[name]))
                assert (rendered.text, rendered.input_ids) == theirs(hub, TALKS[name], renderer.template_text)
            if renderer.tokenizer.adds_bos:
                assert rendered.input_ids[:2].count(rendered.input_ids[0]) == 1, "one begin token"
                assert rendered.input_ids[0] == hub("a")["input_ids"][0]
            else:
                assert rendered.text.startswith("###")


def test_marks_and_spans_agree(make_model: Callable[..., Path]) -> None:
    """The same conversation through a marked template and through its twin without marks."""
    own = ModelTokenizer.load(make_model(CHATML))
    marked, bare = ChatTemplate(MARKED, own.specials), ChatTemplate(CHATML, own.specials)
    messages = TALKS["system"]
    text, spans = SpanFinder(marked).render(messages, None, [2, 4])
    twin, found = SpanFinder(bare).render(messages, None, [2, 4])
    assert text == twin
    assert [text[start:end] for start, end in spans] == [twin[start:end].rstrip("\n") for start, end in found]
