"""The text and tokens that training sees, and which of them are learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.data.examples import Example, RowProblem, Turn
from engine.data.render import Renderer
from engine.data.rendered import IGNORED, Rendered, text_pieces
from engine.data.template_process import TemplateProcess
from engine.data.template_rendering import Request
from engine.errors import UserError

from .conftest import CHATML, MARKED

MakeModel = Callable[..., Path]


def talk(*contents: str) -> Example:
    roles = ("user", "assistant")
    return Example(tuple(Turn(roles[place % 2], content) for place, content in enumerate(contents)), 1, "rows.jsonl:1")


def learned(rendered: Rendered) -> list[str]:
    return [rendered.text[start:end] for start, end, kind in rendered.spans if kind == "trained"]


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_only_answers_are_learned_with_their_end(make_model: MakeModel, template: str) -> None:
    with Renderer.load(make_model(template)) as renderer:
        rendered = renderer.render(talk("Hi", "Höllo 😀", "More?", "Yes"))
        answers = [piece.rstrip("\n") for piece in learned(rendered)]
        assert answers == ["Höllo 😀<|im_end|>", "Yes<|im_end|>"]
        kept = [token for token in rendered.labels if token != IGNORED]
        assert renderer.tokenizer.decode(kept, with_specials=True) == "".join(learned(rendered))
        assert [a for a, b in zip(rendered.input_ids, rendered.labels, strict=True) if b not in (a, IGNORED)] == []
        assert renderer.kind == "model" and renderer.note == ""


def test_a_base_model_gets_the_plain_template(make_model: MakeModel) -> None:
    with Renderer.load(make_model()) as renderer:
        rendered = renderer.render(talk("Add", "3", "Again", "4"))
        assert rendered.text == (
            "### Instruction:\nAdd\n\n### Response:\n3<|end|>\n\n### Instruction:\nAgain\n\n### Response:\n4<|end|>"
        )
        assert learned(rendered) == ["3<|end|>", "4<|end|>"]
        assert renderer.kind == "plain" and "no chat template" in renderer.note
        assert rendered.text.startswith(renderer.prompt([Turn("user", "Add")]))
        assert renderer.stop_token_ids == (renderer.encode("<|end|>")[0],)


def test_the_saved_template_renders_the_same(make_model: MakeModel) -> None:
    folder = make_model()
    with Renderer.load(folder) as renderer:
        saved, text = renderer.template_text, renderer.render(talk("a", "b")).text
    (folder / "chat_template.jinja").write_text(saved)
    with Renderer.load(folder) as again:
        assert again.kind == "model" and again.render(talk("a", "b")).text == text


def test_the_end_of_turn_of_the_template_stops_generation(make_model: MakeModel) -> None:
    with Renderer.load(make_model(CHATML)) as renderer:
        assert set(renderer.stop_token_ids) == {renderer.encode("<|end|>")[0], renderer.encode("<|im_end|>")[0]}


def test_cut_rows_say_what_they_lost(make_model: MakeModel) -> None:
    with Renderer.load(make_model()) as renderer:
        whole = renderer.render(talk("Hi", "0123456789"))
        prompt = len(renderer.encode(renderer.prompt([Turn("user", "Hi")])))
        cut = renderer.render(talk("Hi", "0123456789"), prompt + 4)
        assert (cut.truncated, cut.answer_truncated, cut.trained_tokens) == (True, True, 4)
        assert cut.tokens_whole == len(whole.input_ids) and len(cut.input_ids) == prompt + 4
        assert cut.spans[-1][2] == "cut" and cut.text[cut.spans[-1][0] :] == "456789<|end|>"
        nothing = renderer.render(talk("Hi", "0123456789"), prompt - 2)
        assert nothing.trained_tokens == 0 and nothing.answer_truncated
        assert not renderer.render(talk("Hi", "0123456789"), len(whole.input_ids)).truncated


def test_text_is_learned_whole_and_ends(make_model: MakeModel) -> None:
    with Renderer.load(make_model(CHATML)) as renderer:
        rendered = renderer.render(Example((Turn("text", "abcdefg"),), 1))
        assert rendered.text == "abcdefg<|end|>"
        assert rendered.labels == rendered.input_ids
        pieces = text_pieces(rendered, 3)
        assert [len(piece.input_ids) for piece in pieces] == [3, 3, 2]
        assert sum((piece.input_ids for piece in pieces), []) == rendered.input_ids
        assert renderer.prompt([Turn("text", "ab")]) == "ab"


def test_turns_that_are_not_to_be_learned_are_context(make_model: MakeModel) -> None:
    turns = (Turn("user", "a"), Turn("assistant", "first", {}, False), Turn("user", "b"), Turn("assistant", "second"))
    for number, template in enumerate((CHATML, MARKED)):
        with Renderer.load(make_model(template, name=f"m{number}")) as renderer:
            assert [piece.strip() for piece in learned(renderer.render(Example(turns, 1)))] == ["second<|im_end|>"]


REWRITES = CHATML.replace(
    "message['content'] + '<|im_end|>\n'",
    "('<think></think>' if loop.last and message['role'] == 'assistant' else '') + message['content'] + '<|im_end|>\n'",
)


def test_a_template_that_rewrites_earlier_turns_still_gives_every_answer(make_model: MakeModel) -> None:
    with Renderer.load(make_model(REWRITES)) as renderer:
        assert learned(renderer.render(talk("q", "one", "q", "two"))) == [
            "one<|im_end|>\n",
            "<think></think>two<|im_end|>\n",
        ]


def test_answers_that_cannot_be_found_are_refused(make_model: MakeModel) -> None:
    upper = CHATML.replace("message['content']", "message['content'] | upper")
    odd = upper.replace("{% if add", "{{ messages | length }}{% if add")
    with Renderer.load(make_model(odd)) as renderer, pytest.raises(RowProblem, match="template"):
        renderer.render(talk("q", "one", "q", "two"))


def test_the_words_of_a_refusing_template_are_passed_on(make_model: MakeModel) -> None:
    strict = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system message, please.') }}{% endif %}"
        + CHATML
    )
    with Renderer.load(make_model(strict)) as renderer:
        system = Example((Turn("system", "s"), *talk("a", "b").turns), 2)
        good, bad = renderer.render_many([talk("a", "b"), system])
        assert isinstance(good, Rendered) and isinstance(bad, RowProblem)
        assert "No system message, please." in str(bad)
        with pytest.raises(UserError, match="No system message"):
            renderer.prompt(system.turns[:2])


def test_a_template_that_hangs_or_eats_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.template_process.SECONDS_PER_ROW", 0)  # the parent waits one second beyond it
    ask = [Request([{"role": "user", "content": "x"}])]
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}"
    for source, words in (
        (loops, "did not end"),
        ("{{ 'x' * 9999999999 }}", "memory"),
        ("{{ 9 ** (messages | length + 99999998) }}", "did not end"),
    ):
        child = TemplateProcess(source, {})
        assert words in child.render_many(ask)[0].fault
        child.close()
    child = TemplateProcess("{% if messages[0].content == 'bad' %}{{ 'x' * 9999999999 }}{% endif %}fine", {})
    good, bad = Request([{"role": "user", "content": "x"}]), Request([{"role": "user", "content": "bad"}])
    assert [rendering.text for rendering in child.render_many([good, bad, good])] == ["fine", "", "fine"]
    child.close()


def test_a_template_that_does_not_compile_is_the_models_fault(make_model: MakeModel) -> None:
    with Renderer.load(make_model("{% for %}")) as renderer, pytest.raises(UserError, match="does not compile"):
        renderer.render(talk("a", "b"))


def test_a_child_that_cannot_start_is_no_fault_of_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.template_process.sys.executable", "/bin/false")
    child = TemplateProcess("{{ messages[0].content }}", {})
    with pytest.raises(UserError, match=r"ended at its start \(exit code 1\)"):
        child.render_many([Request([{"role": "user", "content": "x"}])])


def test_the_sandbox_holds() -> None:
    child = TemplateProcess("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})
    assert "unsafe" in child.render_many([Request([{"role": "user", "content": "x"}])])[0].fault
    child.close()


def test_models_without_tokenizer_or_end_token_are_refused(make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer.json"):
        Renderer.load(tmp_path)
    with pytest.raises(UserError, match="no end token"):
        Renderer.load(make_model(eos=""))
