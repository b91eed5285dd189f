"""What was found out about each step, as plain lines without colours: what the app shows beside its questions."""

from __future__ import annotations

from collections.abc import Iterator

from tui.steps import data_words, machine, model
from tui.steps.facts import Facts

KIND_WORDS = {"trained": "[learned] ", "cut": "[cut off] "}


def known_lines(step: str, facts: Facts) -> list[str]:
    """The lines to read before the questions of `step`: what the step before has led to."""
    if step == "machine":
        return list(_machine(facts))
    if step == "data":
        return model.facts_lines(facts)
    if step == "method":
        reason = [facts.plan.value.reason] if facts.plan.value else []
        return [*data_words.facts_lines(facts), *_first_row(facts), *reason]
    return []


def _machine(facts: Facts) -> Iterator[str]:
    here = facts.machine.value
    if here is None:
        return
    yield from (f"{line.label}: {line.text}" for line in machine.hardware(here))
    yield from machine.notes(here)
    for check in machine.tiers(here):
        needs = (f"{line.what} {line.need_gb:g} GB {'met' if line.met else 'not met'}" for line in check.lines)
        yield f"{machine.tier_title(check)}: {'met' if check.met else 'not met'} ({', '.join(needs)})"


def _first_row(facts: Facts) -> list[str]:
    for preview in (facts.data.value or {}).get("previews", ()):
        pieces = [KIND_WORDS.get(kind, "") + text for text, kind in data_words.preview_pieces(preview)]
        return ["The first row as the model sees it:", "".join(pieces)]
    return []
