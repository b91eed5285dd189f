"""The "rows" job: one row of a data source as the model will see it, and the next one with a problem. It stays."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.data.examples import Example, RowProblem
from engine.data.formats import to_example
from engine.data.limits import limit_this_process
from engine.data.preview import bare_preview, mark_specials, preview
from engine.data.render import Renderer
from engine.data.rendered import Rendered
from engine.data.row_walk import Abandoned, RowWalk
from engine.data.rows import ReadOptions, Row, as_text, snippet
from engine.data.token_facts import stops_at_end
from engine.emit import Emit
from engine.errors import UserError

Request = dict[str, Any]
SAID_EVERY_SECONDS = 0.25
_AT_ONCE = 64
"""Rows that are rendered together while a problem is looked for."""


def serve_rows(request: Request, emit: Emit, requests: Iterator[Request]) -> dict[str, Any]:
    """Show rows until nobody asks any more.

    The first request is that of the "data" job, with `row` (the number to begin with, 1). Each further one asks for
    `row` or, with `after`, for the next row behind that number which has a problem: refused, cut, nothing learned, no
    end of turn. Answers: `row` (see `RowView.show_many`), or `end` with the number of rows when there is none such.
    While it looks `progress` counts rows; a newer request ends an older one. Errors are answers too (`error`).
    """
    limit_this_process()
    asked = _Asked(requests)
    told = time.monotonic()

    def wanted(number: int) -> bool:
        nonlocal told
        if time.monotonic() - told > SAID_EVERY_SECONDS:
            told = time.monotonic()
            emit({"progress": number})
        return not asked.more

    with RowView(request, wanted) as view:
        following: Request | None = {"row": int(request.get("row") or 1)}
        while following is not None:
            try:
                emit(view.answer(following))
            except Abandoned:
                pass
            except UserError as error:
                emit({"error": error.as_dict()})
            following = asked.next()
    return {}


class _Asked:
    """Requests that a thread takes in, so that `more` can be looked at during the work."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        threading.Thread(target=self._take, args=(requests,), daemon=True, name="asked").start()

    def _take(self, requests: Iterator[Request]) -> None:
        for request in requests:
            self._waiting.put(request)
        self._waiting.put(None)

    @property
    def more(self) -> bool:
        """Whether something newer waits."""
        return not self._waiting.empty()

    def next(self) -> Request | None:
        """The newest request: what was asked before it is answered no more. None when nobody asks any more."""
        request = self._waiting.get()
        while request is not None and not self._waiting.empty():
            request = self._waiting.get()
        return request


class RowView:
    """Rows of one source through one model's template and tokenizer. Close it (it is a context manager)."""

    def __init__(self, request: Mapping[str, Any], wanted: Callable[[int], bool] = lambda number: True) -> None:
        """Raises UserError as the "data" job does."""
        self._wanted = wanted
        self.walk = RowWalk(
            str(request.get("source") or ""), ReadOptions.from_request(request), str(request.get("format") or "auto"),
            dict(request.get("map") or {}), wanted,
        )  # fmt: skip
        is_text = self.walk.detected.name == "text"  # long texts are split into pieces, so nothing of them is cut
        self.limit: int | None = None if is_text else request.get("sequence_length") or None
        self.renderer: Renderer | None = None
        if request.get("model"):
            self.renderer = Renderer.load(Path(str(request["model"])), str(request.get("template") or "model"))

    def __enter__(self) -> RowView:
        return self

    def __exit__(self, *_: object) -> None:
        if self.renderer is not None:
            self.renderer.close()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What one request gets. Raises Abandoned and UserError."""
        if "after" in request:
            return self._next_problem(int(request["after"]))
        number = max(1, int(request.get("row") or 1))
        row = self.walk.row(number)
        return self._none() if row is None else {"row": self.show_many([row])[0]}

    def _none(self) -> dict[str, Any]:
        return {"end": self.walk.total}

    def _next_problem(self, number: int) -> dict[str, Any]:
        while rows := self._some(number + 1):
            number += len(rows)
            if not self._wanted(number):
                raise Abandoned
            shown = next((one for one in self.show_many(rows) if one["problems"]), None)
            if shown is not None:
                return {"row": shown}
        return self._none()

    def _some(self, number: int) -> list[Row]:
        """Some rows from `number` on; an unreadable one is raised only once it is the first."""
        rows: list[Row] = []
        while len(rows) < _AT_ONCE:
            try:
                row = self.walk.row(number + len(rows))
            except UserError:
                if not rows:
                    raise
                break
            if row is None:
                break
            rows.append(row)
        return rows

    def show_many(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Previews (see `engine.data.preview`), each with its `number` and `problems` (whole sentences).

        `pieces` are split where a special token stands (`special` True); `specials` counts them by text.
        """
        examples = [self._converted(row) for row in rows]
        good = [one for one in examples if isinstance(one, Example)]
        results = self.renderer.render_many(good, self.limit) if self.renderer is not None else [None] * len(good)
        rendered = iter(zip(good, results, strict=True))
        return [
            {**(self._shown(*next(rendered)) if isinstance(one, Example) else _refused(row, one)), "number": row.number}
            for row, one in zip(rows, examples, strict=True)
        ]

    def _converted(self, row: Row) -> Example | RowProblem:
        try:
            return to_example(row, self.walk.detected.name, self.walk.detected.map)
        except RowProblem as problem:
            return problem

    def _shown(self, example: Example, result: Rendered | RowProblem | None) -> dict[str, Any]:
        if result is None or self.renderer is None:
            return {**bare_preview(example), "problems": []}
        shown = preview(example, result)
        if isinstance(result, RowProblem):
            return {**shown, "problems": [shown.pop("problem")]}
        pieces = mark_specials(shown["pieces"], self.renderer.tokenizer.special_texts)
        counts = Counter(piece["text"] for piece in pieces if piece.get("special"))
        return {**shown, "pieces": pieces, "specials": counts, "problems": _problems(result, self.renderer)}


def _refused(row: Row, problem: RowProblem) -> dict[str, Any]:
    return {"where": row.where, "problems": [str(problem)], "turns": _cells(row)}


def _problems(result: Rendered, renderer: Renderer) -> list[str]:
    """What is wrong with the tokens of a row, the gravest first."""
    kept = len(result.input_ids)
    found: list[str] = []
    if result.trained_tokens == 0:
        behind = f"The answer begins behind the cut at {kept:,} tokens." if result.truncated else ""
        found.append(f"Nothing of this row is learned. {behind}".strip())
    elif result.answer_truncated:
        found.append(f"The answer loses its end: the row has {result.tokens_whole:,} tokens and {kept:,} are kept.")
    elif result.truncated:
        found.append(f"The row is cut: it has {result.tokens_whole:,} tokens and {kept:,} are kept.")
    if result.trained_tokens and not result.truncated and not stops_at_end(result, renderer):
        found.append("The last learned token is not an end of turn, so the model would not learn to stop.")
    return found


def _cells(row: Row) -> list[dict[str, Any]]:
    """The columns of a row that is in no format, in the shape of turns."""
    return [
        {"role": snippet(str(name), 40), "content": snippet(as_text(value), 400), "trained": False}
        for name, value in list(row.fields.items())[:50]
    ]
