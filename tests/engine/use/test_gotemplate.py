"""The interpreter of Go's template language, on the part of it that our templates use."""

import pytest

from engine.use.go_strings import GoTemplateError, literal
from engine.use.gotemplate import render

MESSAGES = [{"Role": "user", "Content": "a"}, {"Role": "assistant", "Content": "b"}]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}", "user:a;assistant:b;"),
        ("a\n{{- if .System }} x{{ end }}\n{{- .System }}", "a xS"),
        ('{{ if not .System }}1{{ else if eq .System "S" }}2{{ else }}3{{ end }}', "2"),
        (
            '{{ $last := "" }}{{ range .Messages }}{{ if ne $last "" }},{{ end }}'
            "{{ .Content }}{{ $last = .Role }}{{ end }}",
            "a,b",
        ),
        ('{{ if and .System (eq .Empty "") }}yes{{ end }}{{ if or .Empty .System }}or{{ end }}', "yesor"),
        ('{{ "{{" }}{{ "\\u00a0\\n\\U0001f600" }}', "{{\xa0\n\U0001f600"),
        ("{{ range .Messages }}{{ $.System }}{{ end }}", "SS"),
        ('x  {{- " y " -}}  z', "x y z"),
    ],
)
def test_renders_like_go(template: str, expected: str) -> None:
    assert render(template, {"Messages": MESSAGES, "System": "S", "Empty": ""}) == expected


@pytest.mark.parametrize("template", ["{{ range .A }}", "{{ end }}", "{{ printf 1 }}", "{{ .A | len }}", "{{ }}"])
def test_refuses_what_it_does_not_know(template: str) -> None:
    with pytest.raises(GoTemplateError):
        render(template, {"A": []})


@pytest.mark.parametrize(
    "text", ["{{ .Role }}", "a{{b}}c", "<|im_start|>\n\t ", "｜▁é", "\u200b\xa0\r\U000e0020", '"\\']
)
def test_a_literal_renders_to_itself(text: str) -> None:
    assert render(literal(text), {}) == text
