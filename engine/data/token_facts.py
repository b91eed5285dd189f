"""What is remembered of a rendered row once its tokens are gone: a few numbers, so that a hundred thousand rows fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.data.examples import Example, RowProblem
from engine.data.preferences import rejected_example
from engine.data.render import Renderer
from engine.data.rendered import IGNORED, Rendered

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Of one whole row: its `tokens`, how many are `trained`, the indexes of the first trained token that can be
    predicted and behind the last one (`first`, `end`, both 0 when nothing is trained).

    `ends` says that the last answer ends with a token that stops generation, `merged` that an answer begins inside a
    token of the prompt, `lost` names what the template does not write, `specials` a special token that stands in the
    row's text.
    """

    example: Example
    tokens: int
    trained: int
    first: int
    end: int
    ends: bool
    merged: bool
    lost: str
    specials: str


def token_facts(
    renderer: Renderer, examples: Sequence[Example], progress: Callable[[int], None] | None = None
) -> tuple[list[TokenFacts], list[tuple[Example, RowProblem]]]:
    """Facts of the rows that render, and the rows that the template refuses."""
    facts: list[TokenFacts] = []
    refused: list[tuple[Example, RowProblem]] = []
    for start in range(0, len(examples), _AT_ONCE):
        some = examples[start : start + _AT_ONCE]
        for example, result in zip(some, renderer.render_many(some), strict=True):
            if isinstance(result, RowProblem):
                refused.append((example, result))
            else:
                facts.append(_facts(example, result, renderer))
        if progress:
            progress(start + len(some))
    return facts, refused


def longer_of_pairs(renderer: Renderer, facts: Sequence[TokenFacts]) -> list[TokenFacts]:
    """The facts of pairs, from those of their chosen answers: the longer answer counts, and both are learned from."""
    found: list[TokenFacts] = []
    for start in range(0, len(facts), _AT_ONCE):
        some = facts[start : start + _AT_ONCE]
        others = renderer.render_many([rejected_example(row.example) for row in some])
        for row, other in zip(some, others, strict=True):
            rejected = row if isinstance(other, RowProblem) else _facts(row.example, other, renderer)
            found.append(_longer(row, rejected))
    return found


def _longer(chosen: TokenFacts, rejected: TokenFacts) -> TokenFacts:
    return replace(
        chosen, tokens=max(chosen.tokens, rejected.tokens), end=max(chosen.end, rejected.end),
        trained=chosen.trained + rejected.trained,
    )  # fmt: skip


def _facts(example: Example, rendered: Rendered, renderer: Renderer) -> TokenFacts:
    places = [place for place, label in enumerate(rendered.labels) if label != IGNORED]
    predicted = [place for place in places[:2] if place > 0]
    return TokenFacts(
        example, len(rendered.input_ids), rendered.trained_tokens, predicted[0] if predicted else 0,
        places[-1] + 1 if places else 0, stops_at_end(rendered, renderer),
        rendered.merged_start, _lost(example, rendered.text), _special_inside(example, renderer),
    )  # fmt: skip


def stops_at_end(rendered: Rendered, renderer: Renderer) -> bool:
    """Whether the last answer ends with a token that stops generation."""
    return any(token in renderer.stop_token_ids for token in renderer.last_learned(rendered))


def _lost(example: Example, text: str) -> str:
    """What of the row the template does not write: the content of a turn, its reasoning, its tool calls."""
    for turn in example.turns:
        if turn.content.strip() not in text:
            return f"the content of a turn by {turn.role}"
        reasoning = turn.extra.get("reasoning_content") or turn.extra.get("thinking") or turn.extra.get("reasoning")
        if isinstance(reasoning, str) and reasoning.strip() not in text:
            return "reasoning"
        for call in turn.extra.get("tool_calls", ()):
            if call["function"]["name"] not in text:
                return "tool calls"
    return ""


def _special_inside(example: Example, renderer: Renderer) -> str:
    for content in _contents(example):
        for special in renderer.tokenizer.special_texts:
            if special in content:
                return special
    return ""


def _contents(example: Example) -> Iterator[str]:
    return (turn.content for turn in example.turns if "<" in turn.content or "[" in turn.content)
