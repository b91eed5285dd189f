"""What is wrong, as it is painted."""

from __future__ import annotations

from textual.content import Content

from tui.steps.option import Problem
from tui.text import clean
from tui.widgets.marks import mark


def problem_text(problem: Problem) -> Content:
    """What is wrong, where, and how to mend it."""
    style = "$text-error" if problem.blocking else "$text-warning"
    pieces: list[tuple[str, str]] = [(f"{mark('check')} {clean(problem.what)}", style)]
    if problem.where and problem.where not in problem.what:
        pieces.append((f" ({clean(problem.where)})", "$text-muted"))
    if problem.fix:
        pieces.append((f"\n  {clean(problem.fix)}", "$text"))
    return Content.assemble(*pieces)
