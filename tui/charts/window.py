"""Which stretch of the x axis is shown. Pure: the chart asks for it before each drawing."""

from __future__ import annotations

from tui.charts.scale import nice_step

CLOSEST = 1 / 4096
"""The smallest share of the whole axis that can be shown."""


AHEAD = 2 / 3
"""Where in a zoomed window the newest point stands after a jump: the rest is room for what comes."""


class Window:
    """The whole planned axis, or a zoomed part that stays when points arrive.

    A part that shows the newest point jumps ahead when the point leaves it: a window that crept along
    with every point would redraw the whole chart each time.
    """

    def __init__(self) -> None:
        self.planned_end = 0.0
        self.share = 1.0
        self._start = 0.0
        self._following = True

    @property
    def zoomed(self) -> bool:
        """Whether less than everything is shown."""
        return self.share < 1.0

    def bounds(self, newest: float) -> tuple[float, float]:
        """The first and last x to show when the newest point lies at `newest`."""
        end = self._whole_end(newest)
        if not self.zoomed:
            return 0.0, end
        width = end * self.share
        if self._following and not self._start <= newest <= self._start + width:
            self._start = newest - width * AHEAD
        self._start = min(max(0.0, self._start), end - width)
        return self._start, self._start + width

    def _whole_end(self, newest: float) -> float:
        if newest <= self.planned_end:
            return self.planned_end or 1.0
        return nice_step(newest * 1.05, 1)

    def zoom(self, factor: float, centre: float, newest: float) -> None:
        """Show `factor` times as much of the axis around `centre`; below 1 comes closer."""
        end = self._whole_end(newest)
        self.share = min(1.0, max(CLOSEST, self.share * factor))
        width = end * self.share
        self._start = min(max(0.0, centre - width / 2), end - width)
        self._following = self._start <= newest <= self._start + width

    def show(self, first: float, last: float, newest: float) -> None:
        """Show this stretch."""
        end = self._whole_end(newest)
        self.share = min(1.0, max(CLOSEST, (last - first) / end))
        self._start = max(0.0, first)
        self._following = first <= newest <= last

    def reset(self) -> None:
        """Show everything."""
        self.share, self._start, self._following = 1.0, 0.0, True

    def bring_in(self, x: float, newest: float) -> None:
        """Move a zoomed window so that `x` is inside."""
        first, last = self.bounds(newest)
        if self.zoomed and not first <= x <= last:
            self.zoom(1.0, x, newest)
