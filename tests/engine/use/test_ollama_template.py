"""Ollama TEMPLATEs derived from chat templates: equal character for character, or refused with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.data.template import ChatTemplate, TemplateFault
from engine.errors import UserError
from engine.use.ollama_template import Conversation, derive_template, render_as_ollama

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
LOOP = "{% for m in messages %}"
ASK = "{% if add_generation_prompt %}<a>{% endif %}"


def renderer(source: str):  # noqa: ANN201
    template = ChatTemplate(source, SPECIALS)

    def render(conversation: Conversation) -> str:
        messages = [{"role": role, "content": content} for role, content in conversation]
        return template.render(messages, add_generation_prompt=True)[0]

    return render


def test_chatml_is_readable_and_exact() -> None:
    source = (
        LOOP
        + "{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    made = derive_template(renderer(source))
    assert made.text == (
        '{{ $last := "" }}{{ range .Messages }}'
        '{{ if eq .Role "system" }}<|system|>\n{{ .Content }}<|end|>\n'
        '{{ else if eq .Role "user" }}{{ if eq $last "assistant" }}<|end|>\n{{ end }}<|user|>\n{{ .Content }}<|end|>\n'
        '{{ else if eq .Role "assistant" }}<|assistant|>\n{{ .Content }}{{ end }}{{ $last = .Role }}{{ end }}'
        '{{ if ne $last "assistant" }}<|assistant|>\n{{ end }}'
    )
    assert made.proven == 32
    assert "two questions in a row" in made.notes[0]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            LOOP + "{% if loop.index == 3 %}!{% endif %}{{ m.role + m.content }}{% endfor %}" + ASK,
            "changes with what stands before",
        ),
        ("{% for m in messages|reverse %}{{ m.role + m.content }}{% endfor %}" + ASK, "moves a message"),
        (LOOP + "{{ m.role }}{% endfor %}" + ASK, "leaves out the user message"),
        (LOOP + "{{ m.content + m.content }}{% endfor %}" + ASK, "repeats the user message"),
        (LOOP + "{{ m.content|replace('ü', 'u') }}{% endfor %}" + ASK, "render differently"),
        (LOOP + "{{ m.role + m.content }}{% if loop.index == 5 %}!{% endif %}{% endfor %}" + ASK, "render differently"),
        ("{{ raise_exception('no') }}", "refuses a single question"),
    ],
)
def test_refuses_with_the_reason(source: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        derive_template(renderer(source))


def test_the_begin_token_is_written_once() -> None:
    render = renderer("{{ bos_token }}" + LOOP + "[{{ m.role }}]{{ m.content }}{% endfor %}" + ASK)
    assert derive_template(render, "<s>").text.count("<s>") == 0
    assert derive_template(render, "").text.count("<s>") == 3  # before the first message, whoever speaks


def test_a_default_system_message_and_a_folded_one() -> None:
    default = renderer(
        "{% if messages[0].role != 'system' %}[sys]Be kind{% endif %}"
        + LOOP
        + "[{{ m.role }}]{{ m.content }}{% endfor %}"
        + ASK
    )
    assert render_as_ollama(derive_template(default).text, [("user", "x")]) == "[sys]Be kind[user]x<a>"
    folded = renderer(
        LOOP
        + "{% if m.role == 'system' %}[user]{{ m.content }}\n\n{% else %}"
        + "{% if loop.first or messages[loop.index0 - 1].role != 'system' %}[{{ m.role }}]{% endif %}"
        + "{{ m.content }}{% endif %}{% endfor %}"
        + ASK
    )
    assert render_as_ollama(derive_template(folded).text, [("system", "s"), ("user", "x")]) == "[user]s\n\nx<a>"


def test_single_question_templates_are_named_as_such() -> None:
    made = derive_template(
        renderer("{% if messages|length > 1 %}{{ raise_exception('one') }}{% endif %}Q: {{ messages[0].content }}\nA:")
    )
    assert made.proven == 6
    assert any("single questions only" in note for note in made.notes)
    assert any("takes no system message" in note for note in made.notes)


def _families(shared: Path) -> Sequence[Path]:
    return sorted((shared / "data" / "chat_templates" / "trl").glob("*.jinja"))


REFUSED = {
    "idefics3.jinja": "leaves out the user message",
    "idefics3_training.jinja": "leaves out the user message",
    "llava_next.jinja": "leaves out the user message",
    "llava_next_training.jinja": "leaves out the user message",
}
"""Templates of vision models: they read lists of parts and pass over plain text."""


def test_every_family_is_equal_or_named(shared: Path) -> None:
    paths = _families(shared)
    assert len(paths) > 50
    for path in paths:
        render = renderer(path.read_text(encoding="utf-8"))
        if path.name in REFUSED:
            with pytest.raises(UserError, match=REFUSED[path.name]):
                derive_template(render)
            continue
        start = "<s>" if render([("user", "x")]).startswith("<s>") else ""
        made = derive_template(render, start)
        assert made.proven >= 8, path.name


CONVERSATIONS: list[Conversation] = [
    [("user", "x")],
    [("system", "Be terse."), ("user", "Grüße, 世界 \U0001f600")],
    [("user", "1"), ("assistant", '{"a": [1, "b"]}'), ("user", "{{ .X }}")],
    [("system", "two\nlines"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"), ("user", "5")],
    [("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e")],
    [("user", "")],
]


def test_the_interpreter_agrees_with_go(render_in_go: Any) -> None:
    templates = [
        "{{ range .Messages }}[{{ .Role }}]{{ .Content }}{{ end }}{{ .System }}",
        '{{ $last := "" }}{{ range .Messages }}{{ if eq $last .Role }}!{{ else if ne .Role "user" }}?{{ else }}.'
        "{{ end }}{{ $last = .Role }}{{ end }}{{ $last }}",
        '  {{- if and .System (not (eq .System "x")) }} s {{ end -}}  {{ if or .Missing .System }}y{{ end }}',
        '{{ "\\u00a0\\U0001f600\\"{{" }}\n{{- range .Messages }} {{ $.System }} {{- end }}',
    ]
    requests = [(template, conversation) for template in templates for conversation in CONVERSATIONS]
    assert render_in_go(requests) == [render_as_ollama(*request) for request in requests]


def test_go_renders_every_family_like_its_chat_template(shared: Path, render_in_go: Any) -> None:
    requests, wanted, names = [], [], []
    for path in _families(shared):
        if path.name in REFUSED:
            continue
        render = renderer(path.read_text(encoding="utf-8"))
        start = "<s>" if render([("user", "x")]).startswith("<s>") else ""
        text = derive_template(render, start).text
        for conversation in CONVERSATIONS[:4]:
            try:
                wanted.append(render(conversation).removeprefix(start))
            except TemplateFault:
                continue
            requests.append((text, conversation))
            names.append(path.name)
    found = render_in_go(requests)
    assert len(requests) > 190
    assert [name for name, a, b in zip(names, found, wanted, strict=True) if a != b] == []
