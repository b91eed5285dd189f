"""Any row of a data source by its number, streamed: going on and a little back is quick, and memory is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from engine.data.dataset import SAMPLE_ROWS, choose_format
from engine.data.rows import ReadOptions, ReadReport, Row
from engine.data.sources import open_rows
from engine.errors import UserError

RECENT_ROWS = 256
"""Rows that stay in memory, so that stepping back needs no reading."""
_ASKED_EVERY = 1000


class Abandoned(Exception):
    """Something else was asked for meanwhile."""


class RowWalk:
    """Rows of one source. `wanted` is asked every thousand rows whether to go on looking."""

    def __init__(
        self,
        source: str,
        options: ReadOptions,
        format_name: str = "auto",
        columns: Mapping[str, str] | None = None,
        wanted: Callable[[int], bool] = lambda number: True,
    ) -> None:
        """Raises UserError when the source cannot be read or no format fits."""
        self._source, self._options, self._wanted = source, options, wanted
        self.total = 0
        """How many rows there are; 0 until the end was seen once."""
        sample = _readable(islice(open_rows(source, options, ReadReport()), SAMPLE_ROWS), source)
        self.detected = choose_format(sample, format_name, columns or {}, source)
        self._open()

    def _open(self) -> None:
        self._rows: Iterator[Row] = open_rows(self._source, self._options, ReadReport())
        self._recent: OrderedDict[int, Row] = OrderedDict()
        self._last = 0

    def row(self, number: int) -> Row | None:
        """Row `number` (from 1), or None when there are fewer. Raises Abandoned, and UserError for what is unreadable.

        A row before the ones in memory is found by reading from the start again.
        """
        if number < 1:
            return None
        if number <= self._last and number not in self._recent:
            self._open()
        while number > self._last:
            if not self._read():
                return None
        return self._recent[number]

    def _read(self) -> bool:
        try:
            row = next(self._rows, None)
        except UserError:
            self._open()  # what comes behind cannot be read, what stands before can
            raise
        if row is None:
            self.total = self._last
            return False
        self._last += 1
        self._recent[self._last] = row
        if len(self._recent) > RECENT_ROWS:
            self._recent.popitem(last=False)
        if self._last % _ASKED_EVERY == 0 and not self._wanted(self._last):
            raise Abandoned
        return True


def _readable(rows: Iterator[Row], source: str) -> list[Row]:
    """The rows before the first that cannot be read. Raises UserError when there is none."""
    found: list[Row] = []
    try:
        found.extend(rows)
    except UserError:
        if not found:
            raise
    if not found:
        raise UserError("There are no rows.", source, "Give data with at least one row.")
    return found
