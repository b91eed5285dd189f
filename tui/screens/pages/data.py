"""The Data page: the file, how it is read and why, and the first rows as the model will see them."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll

from tui.screens.pages.base import SourcePage
from tui.screens.pages.data_text import found_text, rows_text
from tui.steps import data as step
from tui.steps import data_words, mapping, mask
from tui.steps.base import Question
from tui.steps.option import Option, Problem
from tui.text import clean
from tui.widgets.field import Field, PlainInput, typing_key
from tui.widgets.marks import mark
from tui.widgets.plain import Plain

HIGH = 30
"""Lines of a terminal that have room for the lengths above the rows."""
USE, OTHER_FORMAT, SKIP, ENCODING = "use", "format", "skip", "encoding:"


class DataPage(SourcePage):
    """With a file Enter goes on; without one the field or the files nearby have the focus."""

    NAME = "data"
    COMPACT = True
    BINDINGS = [
        typing_key("a path", "data"),
        Binding("m", "mask", "Row by row", tooltip="See one row at a time, and which of its tokens are learned.",
                id="data.mask"),
        Binding("d", "details", "Details", tooltip="All findings, the lengths of the rows, and what follows from them.",
                id="data.details"),
    ]  # fmt: skip

    _row = 1
    """The row that the mask view showed last."""

    def compose_body(self) -> ComposeResult:
        self._choosing_format = False
        self._format, self._mapping, self._roles = "", dict[str, str](), list[str]()
        text = self.answers.drafts.get("data.source") or self.answers.text("data.source")
        yield Field(self.question.free, text, "/path/to/examples.jsonl", id="source")
        yield Plain("", id="found")
        with VerticalScroll(id="preview"):
            yield Plain("", id="rows")

    def focus_first(self) -> None:
        if self.choices.option_count:
            self.choices.focus()
        else:
            self.field.focus_text()

    def show_facts(self) -> None:
        asking = self._role_question()
        self.query_one(".question", Plain).put(asking.text if asking else self.step.question)
        self.query_one("#found", Plain).put(found_text(self.answers, self.facts))
        rows = rows_text(self.answers, self.facts, self.app.size.height >= HIGH, self.size.width)
        self.query_one("#preview").display = bool(rows.plain)
        self.query_one("#rows", Plain).put(rows)
        offered = self._offered()
        self.choices.display = bool(offered)
        here = self.choices.value
        self.choices.show(offered, here if any(one.value == here for one in offered) else "")

    def _role_question(self) -> Question | None:
        """The column that is asked for now."""
        return mapping.role_question(self._roles[0], self._columns, self._mapping) if self._roles else None

    @property
    def _columns(self) -> list[str]:
        return [str(column) for column in self.lookups.columns]

    def _offered(self) -> list[Option]:
        asking = self._role_question()
        if asking is not None:
            return list(asking.options(self.answers, self.facts))
        if self._choosing_format:
            return step.format_options(self.answers, self.facts)
        if not self.answers.text("data.source"):
            return list(self.question.options(self.answers, self.facts))
        result = self.facts.data.value or {}
        if result and not result.get("format"):
            return [Option(OTHER_FORMAT, "Say how it is read", "Choose the format; columns are asked for one by one.")]
        read_as = f"now read as {data_words.title_of(result)}" if result else "choose the format yourself"
        problem = self.facts.data.problem
        codec, words = step.offered_encoding(self.facts)
        if codec:
            return [Option(f"{ENCODING}{codec}", f"Read it as {codec}", f"if this is right: {clean(words)}")]
        if problem is not None and "data.skip_bad_rows" in problem.fix:
            words = "They are counted and listed, and the file stays as it is."
            return [Option(SKIP, "Leave out rows that cannot be read", words)]
        return [Option(USE, "Use this data"), Option(OTHER_FORMAT, "Read it another way", read_as)]

    def take(self, value: str) -> None:
        if self._roles:
            self._mapping[self._roles.pop(0)] = value
            self._finish_mapping()
        elif self._choosing_format:
            self._choose_format(value)
        elif value == USE:
            self.post_message(self.Confirmed())
        elif value == SKIP:
            self.answers.put("data.skip_bad_rows", True, "you", "chosen on the data page")
            self.post_message(self.Changed())
            self.lookups.refresh()
            self.show_facts()
        elif value.startswith(ENCODING):
            self.answers.put("data.encoding", value.removeprefix(ENCODING), "you", "chosen on the data page")
            self.post_message(self.Changed())
            self.lookups.refresh()
            self.show_facts()
        elif value == OTHER_FORMAT:
            self._choosing_format = True
            self.show_facts()
        else:
            self._store(self.question, value)

    def _choose_format(self, name: str) -> None:
        """Take a format; where the columns' names do not say their roles, ask for them one by one."""
        self._choosing_format = False
        self._format, self._mapping = name, {}
        self._roles = mapping.roles_to_ask(name, self._columns)
        if self._roles:
            self.show_facts()
            self.choices.highlighted = 0
        else:
            self._store(Question("data.format", "", step.format_options, step.apply_format), name)

    def _finish_mapping(self) -> None:
        if self._roles:
            self.show_facts()
            return
        mapping.store(self.answers, self._format, self._mapping)
        self.post_message(self.Changed())
        self.lookups.refresh()
        self.show_facts()
        self.choices.highlighted = 0

    def step_back(self) -> bool:
        """From the formats and the columns back to the page."""
        was = self._choosing_format or bool(self._roles)
        self._choosing_format, self._roles = False, []
        if was:
            self.show_facts()
        return was

    @on(Field.Submitted)
    def _typed(self, event: Field.Submitted) -> None:
        event.stop()
        self.answers.drafts["data.source"] = event.text
        if self._store(self.question, event.text):
            self.answers.drafts.pop("data.source", None)
            self.choices.focus()

    def _store(self, question: Question, text: str) -> bool:
        if not self.store(question, text):
            return False
        self.field.text = self.answers.text("data.source")
        self.lookups.refresh()
        self.show_facts()
        self.choices.highlighted = 0
        return True

    def action_mask(self) -> None:
        """Open the mask view on its own page."""
        if not self.answers.text("data.source"):
            self.notify("Choose the data first.", markup=False)
            return
        from tui.screens.mask_view import MaskScreen

        total = int((self.facts.data.value or {}).get("rows", 0))
        self.app.push_screen(MaskScreen(mask.rows_request(self.answers, self.facts, self._row), total), self._row_left)

    def action_details(self) -> None:
        """Everything that is known of the data, on a page over this one."""
        if self.facts.data.value is None:
            self.notify("The data is not read yet.", markup=False)
            return
        from tui.screens.explain import ExplainScreen

        text = data_words.detail_text(self.answers, self.facts, mark("bar"))
        self.app.push_screen(ExplainScreen("The data in detail", clean(text)))

    def _row_left(self, number: int | None) -> None:
        self._row = number or 1

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The mask view needs data, and letters are text inside the field."""
        if action in ("mask", "details") and isinstance(self.screen.focused, PlainInput):
            return False
        return super().check_action(action, parameters)

    def insist(self, problem: Problem) -> None:
        """What was found out is in sight already, so only what to do is said."""
        known, found = self.facts.data.problem, step.all_findings(self.answers, self.facts)
        if problem.what not in [known.what if known is not None else "", *(one.what for one in found)]:
            self.show_problem(problem)
        self.notify("Mend this first. Digits go to another page.", severity="warning", markup=False)

    def keep(self) -> None:
        text = self.field.text
        if text.strip() and text != self.answers.text("data.source"):
            self.answers.drafts["data.source"] = text
