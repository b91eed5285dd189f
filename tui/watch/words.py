"""The state of a run in words: the header of the training screen and its rows of numbers. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Literal

from engine.runs.history import History
from engine.runs.liveness import Liveness
from tui.charts.scale import number
from tui.steps.words import gigabytes
from tui.text import one_line
from tui.watch.cells import cells
from tui.watch.telemetry import GpuReading, Reading

Look = Literal["plain", "strong", "dim", "good", "warn", "bad", "key"]
Piece = tuple[str, Look]
"""Text and how it looks; `tui.widgets.line` paints a row of them."""

WIDE = 100
"""Cells from which on there is room for long labels."""
PHASE_WORDS = {
    "": "starting",
    "reading data": "reading the data",
    "loading model": "loading the model",
    "rehearsal": "trying out one step",
    "training": "training",
    "evaluating": "evaluating",
    "saving": "saving",
    "exporting": "exporting",
    "done": "finished",
}
END_WORDS: dict[str, Piece] = {
    "finished": ("finished", "good"),
    "stopped": ("stopped and saved", "warn"),
    "failed": ("failed", "bad"),
}


def state_of(history: History, alive: Liveness | None) -> Piece:
    """The state in words, and how serious it is. An end that was said comes first, then what the process table says."""
    if alive is not None and alive.state == "queued":
        return one_line(alive.detail, 70), "warn"
    if history.ended is not None:
        return END_WORDS.get(str(history.ended.get("reason")), ("ended", "warn"))
    if alive is not None:
        if alive.state == "lost":
            return "ended without a word", "bad"
        if alive.state == "stalled":
            return "no sign of life", "bad"
        if alive.state == "elsewhere":
            return "on another machine", "warn"
        if alive.state in END_WORDS:
            return END_WORDS[alive.state]
    return PHASE_WORDS.get(history.phase, one_line(history.phase, 30)), "key"


def elapsed(seconds: float) -> str:
    """A running clock in words: `8 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, int(seconds)) if isfinite(seconds) else 0
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def header(name: str, history: History, alive: Liveness | None, seconds: float, left: str, width: int) -> list[Piece]:
    """`demo-1  training  step 120 of 400  epoch 0.60  1 min 12 s  about 3 min left`, in `width` cells: what does not
    fit is left out whole, the epoch first, then the time that went by."""
    words, look = state_of(history, alive)
    pieces: list[Piece] = [(f" {one_line(name, 40 if width >= WIDE else 20)}", "strong"), (f"  {words}", look)]
    if history.total_steps:
        pieces.append((f"  step {history.step:,} of {history.total_steps:,}", "plain"))
    elif history.step:
        pieces.append((f"  step {history.step:,}", "plain"))
    epoch: Piece | None = (f"  epoch {history.epoch:.2f}", "plain") if history.epoch else None
    clock: Piece | None = (f"  {elapsed(seconds)}", "dim") if seconds >= 1 else None
    last: Piece | None = (f"  {left}", "plain") if left and look == "key" else None
    for chosen in ((epoch, clock, last), (clock, last), (last,)):
        whole = [*pieces, *filter(None, chosen)]
        if sum(cells(text) for text, _ in whole) <= width:
            return whole
    return pieces


NUMBERS = (
    ("lr", "learning rate", "lr", "{}"),
    ("tokens_per_second", "speed", "speed", "{} tokens/s"),
    ("grad_norm", "gradient norm", "gradient", "{}"),
    ("margin", "margin", "margin", "{}"),
)


def numbers(history: History, wide: bool) -> list[Piece]:
    """One row with the newest learning rate, speed and gradient norm."""
    pieces: list[Piece] = []
    for name, long_label, short_label, form in NUMBERS:
        value = history.last(name)
        if value is not None:
            pieces.append((f" {long_label if wide else short_label} ", "dim"))
            pieces.append((f"{form.format(value_words(name, value))} ", "plain"))
    if history.tokens and (wide or history.last("margin") is None):  # no room for both at 80 columns
        pieces += [(" trained on ", "dim"), (f"{history.tokens:,} tokens ", "plain")]
    return pieces


def value_words(name: str, value: float) -> str:
    """A value of a curve as short as it can be read."""
    if not isfinite(value):
        return "not a number"
    if name == "mem":
        return gigabytes(value)
    if name == "tokens_per_second":
        return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
    return number(float(f"{value:.3g}"))


def machine(reading: Reading, history: History, wide: bool) -> list[Piece]:
    """One row with each GPU, the memory and the disk."""
    pieces: list[Piece] = []
    for gpu in reading.gpus[: 4 if wide else 1]:
        pieces += gpu_words(gpu, wide)
    if not reading.gpus:
        pieces += [(" CPU ", "dim"), (f"{reading.cpu_percent:.0f} % ", "plain")]
    used_share = reading.ram_used_bytes / max(1, reading.ram_total_bytes)
    ram = f"{gigabytes(reading.ram_used_bytes)} of {gigabytes(reading.ram_total_bytes)} "
    pieces += [(" RAM ", "dim"), (ram, "warn" if used_share > 0.95 else "plain")]
    memory = history.last("mem")
    if memory and not several_devices(history):
        pieces += [(" training " if wide else " run ", "dim"), (f"{gigabytes(memory)} ", "plain")]
    low = reading.disk_free_bytes < 2 * 1024**3
    pieces += [(" disk free " if wide else " disk ", "dim")]
    pieces += [(f"{gigabytes(reading.disk_free_bytes)} ", "warn" if low else "plain")]
    return pieces


def several_devices(history: History) -> bool:
    """Whether the run says what each of several devices holds."""
    return len(history.device_bytes) > 1


def devices(history: History, width: int) -> list[Piece]:
    """One row with the training memory of each device, or its range where `width` cells do not hold them all; empty
    where one device carries the run out. Numbered as the run's processes are: several hosts count on."""
    if not several_devices(history):
        return []
    held = [gigabytes(one) if isfinite(one) else "unknown" for one in history.device_bytes]
    pieces: list[Piece] = [(" Training memory ", "dim")]
    for index, words in enumerate(held):
        pieces += [(f" device {index} ", "dim"), (f"{words} ", "plain")]
    return pieces if sum(len(text) for text, _ in pieces) <= width else _range_of_devices(history)


def _range_of_devices(history: History) -> list[Piece]:
    known = [one for one in history.device_bytes if isfinite(one)]
    pieces: list[Piece] = [(" Training memory ", "dim"), (f" {len(history.device_bytes)} devices ", "plain")]
    if known:
        most = history.device_bytes.index(max(known))
        pieces += [
            (f" {gigabytes(min(known))} to {gigabytes(max(known))} ", "plain"),
            (f" most on device {most} ", "dim"),
        ]
    return pieces


def gpu_words(gpu: GpuReading, wide: bool) -> list[Piece]:
    """`GPU 0 11.2 GB of 24.0 GB  97 %  310 of 350 W  71 °C`. A GPU that waits shows 100 % too; power tells."""
    memory = f"{gigabytes(gpu.used_bytes)} of {gigabytes(gpu.total_bytes)} "
    full = gpu.used_bytes > 0.97 * gpu.total_bytes
    pieces: list[Piece] = [(f" GPU {gpu.index} ", "dim"), (memory, "warn" if full else "plain")]
    if gpu.utilisation_percent is not None:
        pieces.append((f"{gpu.utilisation_percent} % ", "plain"))
    if wide and gpu.power_watts is not None:
        limit = f" of {gpu.power_limit_watts:.0f}" if gpu.power_limit_watts else ""
        pieces.append((f"{gpu.power_watts:.0f}{limit} W ", "plain"))
    if gpu.temperature_celsius is not None:
        hot = gpu.temperature_celsius >= 85
        pieces.append((f"{gpu.temperature_celsius} \u00b0C ", "warn" if hot else "plain"))
    if gpu.throttled:
        pieces.append((f"{gpu.throttled} ", "warn"))
    return pieces
