"""Modelfiles as Ollama reads them."""

import pytest

from engine.errors import UserError
from engine.use.modelfile import Modelfile, read_modelfile

TEMPLATE = "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}\n{{ end }}"


def test_golden_text() -> None:
    made = Modelfile(".", TEMPLATE, 'You are "terse".', ["<|im_end|>", '"stop"'], 2048, True, ["One", "Two\nThree"])
    assert made.dumps() == (
        "# One\n# Two\n# Three\n"
        "FROM .\n"
        'TEMPLATE """{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}\n{{ end }}"""\n'
        'SYSTEM """You are "terse"."""\n'
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop """"stop""""\n'
        "PARAMETER num_ctx 2048\n"
        "PARAMETER temperature 0\n"
    )


@pytest.mark.parametrize(
    "text", ["\n\nlead", "trail \n", 'ends with "', '"', " ", "#\n# not a comment", "FROM x\nSYSTEM y", "a\tb"]
)
def test_texts_are_read_back_unchanged(text: str) -> None:
    made = Modelfile("./my model.gguf", TEMPLATE, text, [text])
    assert read_modelfile(made.dumps()) == made.commands()


@pytest.mark.parametrize("where", ["template", "system", "stops"])
@pytest.mark.parametrize("text", ['a """ b', 'a"""', "zero\u200bwidth", "no\xa0break", "bell\x07"])
def test_refuses_what_ollama_would_cut_or_drop(where: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        Modelfile(".", **{where: [text] if where == "stops" else text}).dumps()
    assert "quotation marks" in caught.value.what or "U+" in caught.value.what


def test_three_quotation_marks_really_end_a_text_in_ollamas_reader() -> None:
    read = read_modelfile('FROM .\nSYSTEM """a"""\nTEMPLATE b"""\n')
    assert read == [("from", "."), ("system", "a"), ("template", 'b"""')]


def test_a_path_with_a_line_end_is_refused() -> None:
    with pytest.raises(UserError, match="path"):
        Modelfile("./a\nSYSTEM evil").dumps()
