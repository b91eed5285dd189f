"""The Settings page: every value with its source and reason; Enter on one edits it in place."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding

from engine.errors import UserError
from engine.recipe_keys import KEYS
from tui.screens.pages.base import Page
from tui.steps import setting_rows
from tui.steps import settings as step
from tui.steps.option import Option, Problem
from tui.steps.setting_rows import Row
from tui.widgets.field import Field, PlainInput

EMPTY = {"run.name": "chosen at the start", "run.directory": "the usual place"}
"""What an empty text means where it means something."""


class SettingsPage(Page):
    """The first line takes all values, so that plain Enter goes on."""

    NAME = "settings"
    BINDINGS = [
        Binding("e", "expert", "Expert", tooltip="Show or hide the values that experts change.",
                id="settings.expert"),
        Binding("r", "reset", "Reset", tooltip="Set the highlighted value, or all of them, back to the recommended.",
                id="settings.reset"),
    ]  # fmt: skip

    def compose_body(self) -> ComposeResult:
        self._expert, self._editing = False, ""
        yield Field("", id="editor")

    @property
    def editor(self) -> Field:
        return self.query_one("#editor", Field)

    def prepare(self) -> None:
        self.editor.display = False

    def show_facts(self) -> None:
        rows = setting_rows.rows(self.answers, self.facts, self._expert)
        first = Option(step.CONTINUE, "Use these values", "Move down and press Enter to change one.")
        self.choices.show([first, *map(self._entry, rows)], self.choices.value)

    def _entry(self, row: Row) -> Option:
        draft = self.answers.drafts.get(row.key.name)
        unit = f" {row.key.unit}" if row.key.unit else ""
        known = f"{row.value}{unit}" if row.value else EMPTY.get(row.key.name, "not set")
        value = f"{draft} (typed, not a value yet)" if draft else known
        source = "yours" if row.answer.source == "you" else row.answer.source
        reason = row.answer.reason + (f"; recommended is {row.recommended}" if row.own and row.recommended else "")
        return Option(row.key.name, f"{row.key.title:<22} {value}", reason, source, False if draft else None)

    def take(self, value: str) -> None:
        if value == step.CONTINUE:
            problems = [one for one in self.step.validate(self.answers, self.facts) if one.blocking]
            self.show_problem(problems[0] if problems else None)
            if not problems:
                self.post_message(self.Confirmed())
            return
        self._edit(value)

    def _edit(self, name: str) -> None:
        key, row = (
            KEYS[name],
            next(row for row in setting_rows.rows(self.answers, self.facts, True) if row.key.name == name),
        )
        self._editing = name
        allowed = f"one of: {', '.join(key.choices)}" if key.choices else key.range_text()
        if key.kind == "bool":
            allowed = "true or false"
        hint = "" if key.kind in ("text", "list", "table") else f" ({allowed})"
        self.editor.label(f"{key.title}{hint}. Enter keeps it, Esc goes back, an empty field takes the recommended.")
        self.editor.text = self.answers.drafts.get(name) or row.value
        self.editor.show_problem(None)
        self.editor.display = True
        self.editor.focus_text()

    @on(Field.Submitted)
    def _typed(self, event: Field.Submitted) -> None:
        event.stop()
        try:
            changed = step.set_value(self.answers, self.facts, self._editing, event.text)
        except UserError as error:
            self.editor.show_problem(Problem.of(error))
            return
        self._close_editor()
        self.show_problem(None)
        if changed:
            self.post_message(self.Changed())
        self.show_facts()

    def _close_editor(self) -> None:
        self._editing = ""
        self.editor.display = False
        self.choices.focus()

    def step_back(self) -> bool:
        """From the editor back to the list; what was typed stays a draft when it differs."""
        if not self._editing:
            return False
        self.keep()
        self._close_editor()
        self.show_facts()
        return True

    def keep(self) -> None:
        if self._editing:
            rows = {row.key.name: row.value for row in setting_rows.rows(self.answers, self.facts, True)}
            if self.editor.text.strip() and self.editor.text != rows.get(self._editing):
                self.answers.drafts[self._editing] = self.editor.text

    def explanation(self) -> tuple[str, str]:
        name = self._editing or self.choices.value
        if name in KEYS:
            return KEYS[name].title, step.explain(KEYS[name])
        return super().explanation()

    def action_expert(self) -> None:
        """Show or hide the experts' values in place."""
        self._expert = not self._expert
        self.show_facts()

    def action_reset(self) -> None:
        """Set the highlighted value back; on the first line, all of them."""
        name = self.choices.value
        if step.reset(self.answers, name if name in KEYS else None):
            self.post_message(self.Changed())
        self.show_problem(None)
        self.show_facts()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters are text while a value is edited."""
        return not (action in ("expert", "reset") and isinstance(self.screen.focused, PlainInput))
