"""What a file is recognised as, and what its rows mean then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.data.detect import detect_format
from engine.data.examples import RowProblem
from engine.data.formats import to_example
from engine.data.rows import Row, WrittenFloat


def rows_of(*fields: dict[str, Any]) -> list[Row]:
    return [Row(number, row, number, "rows.jsonl") for number, row in enumerate(fields, 1)]


def same(*roles: str) -> dict[str, str]:
    """Columns that are called like their roles."""
    return {role: role for role in roles}


def chat(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": f"{role} says"} for role in roles]


@pytest.mark.parametrize(
    ("fields", "name", "roles"),
    [
        ({"instruction": "a", "input": "", "output": "b"}, "instruction", same("instruction", "input", "output")),
        ({"Prompt": "a", "Completion": "b"}, "prompt_completion", {"prompt": "Prompt", "completion": "Completion"}),
        ({"question": "a", "answer": "b"}, "prompt_completion", {"prompt": "question", "completion": "answer"}),
        ({"query": "a", "response": "b"}, "prompt_completion", {"prompt": "query", "completion": "response"}),
        (
            {"question": "a", "context": "c", "answer": "b"},
            "instruction",
            {"instruction": "question", "input": "context", "output": "answer"},
        ),
        ({"input": "a", "output": '{"x": 1}'}, "input_output", {"input": "input", "output": "output"}),
        ({"prompt": "a", "completion": '{"x": 1}'}, "input_output", {"input": "prompt", "output": "completion"}),
        ({"messages": chat("user", "assistant")}, "messages", {"messages": "messages"}),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, "sharegpt", same("conversations")),  # noqa: E501
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference", same("prompt", "chosen", "rejected")),
        ({"prompt": "a", "completion": "b", "label": True}, "kto", same("prompt", "completion", "label")),
        ({"text": "a long text"}, "text", {"text": "text"}),
        ({"story": "a long text"}, "text", {"text": "story"}),
    ],
)  # fmt: skip
def test_names_of_columns_tell_the_format(fields: dict[str, Any], name: str, roles: dict[str, str]) -> None:
    found = detect_format(rows_of(*[fields] * 4))
    assert (found.name, found.map) == (name, roles)
    assert found.confidence > 0.5 and found.reason


@pytest.mark.parametrize("labels", [["ham", "spam"], [0, 1], [True, False], ["😀", "😡"]])
def test_labels_are_recognised_by_repetition(labels: list[Any]) -> None:
    found = detect_format(rows_of(*[{"sentence": f"text {n}", "label": labels[n % 2]} for n in range(12)]))
    assert found.name == "classification"
    example = to_example(Row(1, {"sentence": "x", "label": labels[1]}), found.name, found.map)
    assert example.label == example.expected == (json.dumps(labels[1]) if not isinstance(labels[1], str) else labels[1])


def test_nameless_pairs_are_guessed_with_little_confidence() -> None:
    labelled = detect_format(rows_of(*[{"v1": "ham" if n % 3 else "spam", "v2": f"text {n}"} for n in range(12)]))
    assert labelled.name == "classification" and labelled.map == {"text": "v2", "label": "v1"}
    assert labelled.confidence < 0.7
    asked = detect_format(rows_of(*[{"a": f"q {n}", "b": f"a {n}"} for n in range(12)]))
    assert asked.name == "prompt_completion" and asked.confidence < 0.5


def test_what_fits_nothing_is_said_with_its_columns() -> None:
    found = detect_format(rows_of({"id": 1, "amount": WrittenFloat("2.50"), "items": ["a"]}))
    assert found.name == "" and found.confidence == 0
    assert "amount" in found.reason


def test_mixed_columns_are_counted() -> None:
    mixed = [{"prompt": "a", "completion": "b"}] * 7 + [{"instruction": "a", "output": "b"}] * 3
    found = detect_format(rows_of(*mixed))
    assert found.name == "prompt_completion" and found.confidence < 0.8
    assert [count for _, count in found.schemas] == [7, 3]
    assert "3 of the 10" in found.reason
    with pytest.raises(RowProblem, match='no "prompt"'):
        to_example(Row(8, mixed[8]), found.name, found.map)


def test_values_become_text_as_written() -> None:
    columns = {"prompt": "p", "completion": "c"}
    for value, text in (
        (WrittenFloat("1.50"), "1.50"),
        (7, "7"),
        (True, "true"),
        ({"a": WrittenFloat("1.0")}, '{"a": 1.0}'),
    ):
        assert to_example(Row(1, {"p": "x", "c": value}), "prompt_completion", columns).expected == text


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"prompt": "a", "completion": None}, "null"),
        ({"prompt": "a", "completion": " "}, "empty"),
        ({"prompt": "a"}, "missing column"),
    ],
)
def test_faults_of_a_row_have_a_kind(fields: dict[str, Any], kind: str) -> None:
    with pytest.raises(RowProblem) as caught:
        to_example(Row(1, fields), "prompt_completion", {"prompt": "prompt", "completion": "completion"})
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ([], "no turns"),
        (chat("user"), "no answer"),
        (chat("user", "alien"), "unknown role"),
        ([{"content": "x"}], "unknown role"),
        ("not json", "not JSON"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "not text"),
        ([{"role": "user", "content": None}], "null"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}], "empty"),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}],
            "tool call",
        ),
    ],
)
def test_faults_of_a_conversation_have_a_kind(messages: Any, kind: str) -> None:
    with pytest.raises(RowProblem) as caught:
        to_example(Row(1, {"messages": messages}), "messages", {"messages": "messages"})
    assert caught.value.kind == kind


def test_typed_parts_tools_and_weights() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "value": "b"}]},
        {"role": "assistant", "content": [
            {"type": "reasoning", "value": "hm"},
            {"type": "tool_call", "value": '{"name": "f", "arguments": "{\\"x\\": 1}"}'},
        ]},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "done", "weight": 0},
    ]  # fmt: skip
    example = to_example(
        Row(1, {"messages": messages, "tools": '[{"name": "f"}]'}),
        "messages",
        {"messages": "messages", "tools": "tools"},
    )
    user, call, _, last = example.turns
    assert user.content == "ab"
    assert call.extra["tool_calls"] == [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]
    assert call.extra["reasoning_content"] == "hm"
    assert not last.trained
    assert example.tools == ({"type": "function", "function": {"name": "f"}},)


def test_sharegpt_roles_become_the_usual_ones() -> None:
    turns = [
        {"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "wait"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {}}'}, {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "a"},
    ]  # fmt: skip
    example = to_example(Row(1, {"c": turns}), "sharegpt", {"conversations": "c"})
    assert [turn.role for turn in example.turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert example.turns[2].content == "wait" and example.turns[2].extra["tool_calls"]
    assert example.expected == "a"


def test_preference_transcripts_share_their_beginning() -> None:
    chosen = [*chat("user", "assistant"), {"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}]
    rejected = [*chosen[:3], {"role": "assistant", "content": "bad"}]
    example = to_example(
        Row(1, {"chosen": chosen, "rejected": rejected}), "preference", {"chosen": "chosen", "rejected": "rejected"}
    )
    assert [turn.content for turn in example.rejected] == ["bad"]
    assert example.expected == "good" and len(example.prompt_turns) == 3
    assert [turn.trained for turn in example.turns] == [False, False, False, True]
    with pytest.raises(RowProblem, match="same"):
        to_example(
            Row(1, {"chosen": chosen, "rejected": chosen}), "preference", {"chosen": "chosen", "rejected": "rejected"}
        )


def test_history_and_system_come_first() -> None:
    fields = {"instruction": "i", "input": "more", "output": "o", "system": "s", "history": [["q", "a"]]}
    roles = {role: role for role in fields}
    example = to_example(Row(1, fields), "instruction", roles)
    assert [(turn.role, turn.content) for turn in example.turns] == [
        ("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "i\n\nmore"), ("assistant", "o"),
    ]  # fmt: skip
