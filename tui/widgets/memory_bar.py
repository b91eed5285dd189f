"""The consequences pane: memory by part against what is free, time, disk, and what is cut."""

from __future__ import annotations

from textual.content import Content

from tui.steps.consequences import Consequences
from tui.steps.words import METHOD_TITLES, count, duration, gigabytes
from tui.text import clean
from tui.widgets.marks import mark
from tui.widgets.plain import Plain

Piece = tuple[str, str]


def bar(used: float, total: float, width: int) -> list[Piece]:
    """A bar of `width` cells: what is used of what is free. It is full when it does not fit."""
    share = min(1.0, used / total) if total > 0 else 1.0
    filled = max(1, round(share * width)) if used > 0 else 0
    style = "$text-success" if used <= total else "$text-error"
    return [(mark("bar") * filled, style), (mark("rest") * (width - filled), "$text-muted")]


def pane_text(found: Consequences | None, width: int = 28) -> Content:
    """Everything in the pane, one fact per line."""
    if found is None:
        text = "Memory, time and disk show here as soon as the machine and the model are known."
        return Content.assemble(("What it takes\n\n", "bold"), (text, "$text-muted"))
    pieces: list[Piece] = [(f"What {METHOD_TITLES[found.method]} takes\n\n", "bold")]
    pieces += _memory(found, width)
    pieces += _rest(found)
    if found.problem is not None:
        pieces.append((f"\n{mark('check')} {clean(found.problem.what)}\n", "$text-error"))
        if found.problem.remedy is not None:
            pieces.append((f"Press f: {found.problem.remedy.label}.\n", "bold $text-accent"))
        elif found.problem.fix:
            pieces.append((f"{clean(found.problem.fix)}\n", "$text"))
    return Content.assemble(*pieces)


def _memory(found: Consequences, width: int) -> list[Piece]:
    word = "fits" if found.fits else "does not fit"
    sign, style = (mark("good"), "$text-success") if found.fits else (mark("bad"), "$text-error")
    pieces: list[Piece] = [(f"{found.device} ({found.kind})\n", "")]
    pieces += [*bar(found.total_bytes, found.free_bytes, width), ("\n", "")]
    pieces.append((f"{gigabytes(found.total_bytes)} of {gigabytes(found.free_bytes)} free\n", ""))
    pieces.append((f"{sign} {word}\n\n", style))
    for part in found.parts:
        name = part.name.replace("_", " ")
        pieces.append((f"  {name[: width - 12]:<{width - 12}}{gigabytes(part.size_bytes):>10}\n", "$text-muted"))
    return [*pieces, ("\n", "")]


def _rest(found: Consequences) -> list[Piece]:
    lines = []
    if found.seconds:
        lines.append(("Time", f"about {duration(found.seconds)}"))
    if found.steps:
        lines.append(("Steps", f"{found.steps:,}"))
    lines.append(("Disk", f"{gigabytes(found.disk_bytes)} of {gigabytes(found.disk_free_bytes)}"))
    if found.host_bytes:
        lines.append(("RAM", gigabytes(found.host_bytes)))
    if found.rows:
        lines.append(("Rows", f"{found.rows:,}"))
    if found.rows_cut is not None:
        lines.append(("Rows cut", f"{found.rows_cut:,}" if found.rows_cut else "none"))
    if found.trained_tokens:
        lines.append(("Learned", f"{count(found.trained_tokens)} tokens"))
    return [(f"{label:<9} {text}\n", "") for label, text in lines]


class ConsequencesPane(Plain):
    """The pane. It repaints only when what it shows has changed."""

    def __init__(self) -> None:
        super().__init__()
        self._painted: tuple[Consequences | None, int] | None = None
        self._found: Consequences | None = None

    def show(self, found: Consequences | None) -> None:
        """Show these consequences."""
        self._found = found
        self._paint()

    def on_resize(self) -> None:
        self._paint()

    def _paint(self) -> None:
        width = max(20, min(40, self.content_size.width))
        if self._painted != (self._found, width):
            self._painted = (self._found, width)
            self.put(pane_text(self._found, width))
