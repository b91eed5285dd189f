"""The Machine page: what is here, the documented tiers line by line, and another machine to pretend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from engine.errors import UserError
from tui.screens.pages.base import Page
from tui.steps import machine as step
from tui.steps.option import Option, Problem
from tui.steps.words import METHOD_TITLES, count
from tui.text import clean
from tui.widgets.marks import mark
from tui.widgets.plain import Plain

if TYPE_CHECKING:
    from engine.machine.tiers import TierCheck
    from tui.widgets.field import Field

MORE, OTHER = ":more", ":other"


class MachinePage(Page):
    """Enter plans for the machine that is here."""

    NAME = "machine"

    def compose_body(self) -> ComposeResult:
        self._all = bool(self.answers.text("pretend.vram_gb"))
        with VerticalScroll(classes="info"):
            yield Plain("Looking at the machine.", id="hardware")

    def show_facts(self) -> None:
        self.query_one("#hardware", Plain).put(self._text())
        offered = list(self.question.options(self.answers, self.facts))
        if not self._all:
            text = "Plan before you rent or buy: choose how much memory its GPU has."
            offered = [offered[0], Option(MORE, "Pretend another GPU", text)]
        else:
            offered.append(
                Option(OTHER, "Pretend another amount", "Type any amount of GPU memory (0 for no GPU), and of RAM.")
            )
        self.choices.show(offered, self._highlight())

    def take(self, value: str) -> None:
        if value == MORE:
            self._all = True
            self.show_facts()
            self.choices.highlighted = 1
            return
        if value == OTHER:
            self._ask_amount()
            return
        super().take(value)

    def _ask_amount(self) -> None:
        """The field is made only now: it would cost a tenth of the time until the first page shows."""
        from tui.widgets.field import Field

        if not self.query("#amount"):
            label = "GB of the GPU, such as 40; 40 64 adds the RAM; 2x24 is two GPUs; 0 is none. Esc goes back."
            field = Field(label, id="amount")
            self.mount(field, before=self.choices)
            self.call_after_refresh(field.focus_text)

    def on_field_submitted(self, event: Field.Submitted) -> None:
        """An amount was typed."""
        event.stop()
        try:
            self.question.apply(self.answers, self.facts, event.text)
        except UserError as error:
            event.field.show_problem(Problem.of(error))
            return
        self.post_message(self.Changed())
        self.post_message(self.Confirmed())

    def step_back(self) -> bool:
        """From the field back to the list."""
        fields = self.query("#amount")
        was = bool(fields)
        fields.remove()
        if was:
            self.choices.focus()
        return was

    def _text(self) -> Content:
        machine = self.facts.machine.value
        if machine is None:
            return Content("Looking at the machine.")
        pieces: list[tuple[str, str]] = []
        for line in step.hardware(machine):
            pieces += [(f"{line.label:<6}", "bold"), (f"{clean(line.text)}\n", "")]
        for note in step.notes(machine):
            pieces.append((f"{clean(note)}\n", "$text-warning" if machine.best_gpu is None else "$text-muted"))
        return Content.assemble(*pieces, *_tier_table(step.tiers(machine)))


def _tier_table(checks: list[TierCheck]) -> list[tuple[str, str]]:
    """The documented tiers, one line each: 62 columns."""
    size = count(checks[0].tier.model_parameters) if checks else ""
    head = f"\nDocumented tiers, {size} parameters ({mark('good')} met, {mark('bad')} not met)\n"
    pieces = [(head, "bold"), (f"{'':<35}{'VRAM':<9}{'RAM':<9}disk\n", "$text-muted")]
    for check in checks:
        sign, style = _sign(check.met)
        method = METHOD_TITLES.get(check.tier.method, check.tier.method)
        pieces.append((f"{sign} {check.tier.name:<13}{method:<18}", style))
        for line, width in zip(check.lines, (9, 9, 0), strict=False):
            sign, style = _sign(line.met)
            pieces.append((f"{sign} {line.need_gb:g} GB".ljust(width), style))
        pieces.append(("\n", ""))
    return pieces


def _sign(met: bool) -> tuple[str, str]:
    return (mark("good"), "$text-success") if met else (mark("bad"), "$text-warning")
