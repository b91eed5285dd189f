"""What is unusual in the order of the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.data.examples import Turn

ORDER_CHECKS: tuple[tuple[str, str, Callable[[list[str]], bool]], ...] = (
    ("no answer", "No turn is by the assistant, so there is nothing to learn.", lambda roles: "assistant" not in roles),
    (
        "no question",
        "The assistant speaks before any user.",
        lambda roles: roles[:1] == ["assistant"] or roles[:2] == ["system", "assistant"],
    ),
    ("two users", "Two user turns stand in a row.", lambda roles: _twice(roles, "user")),
    ("two answers", "Two assistant turns stand in a row.", lambda roles: _twice(roles, "assistant")),
    ("late system", "A system message stands in the middle.", lambda roles: "system" in roles[1:]),
    (
        "ends without answer",
        "The last turn is not by the assistant.",
        lambda roles: bool(roles) and roles[-1] != "assistant",
    ),
)
"""Name, sentence and test of what can be wrong with the order of turns; only the first stops a row."""


def _twice(roles: list[str], role: str) -> bool:
    return any(first == second == role for first, second in zip(roles, roles[1:], strict=False))


def order_problems(turns: Iterable[Turn]) -> list[tuple[str, str]]:
    """What is unusual in the order of roles, as (kind, sentence)."""
    roles = [turn.role for turn in turns]
    return [(kind, sentence) for kind, sentence, is_wrong in ORDER_CHECKS if is_wrong(roles)]
