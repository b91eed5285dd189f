"""One event of a run as one row for a person: when, what, and how serious it is. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.plan.budget import PYTHON_BYTES
from engine.plan.calibration import measured_bytes
from engine.runs.events import Event, number
from tui.charts.scale import number as short
from tui.steps.words import gigabytes
from tui.text import one_line
from tui.watch.words import PHASE_WORDS, Look

TEXT_LIMIT = 400
QUIET_PHASES = ("training", "evaluating", "saving", "done")
"""Phases that the header shows and whose outcome is an event of its own: a row for each would drown the rest."""


@dataclass(frozen=True)
class Note:
    """A row of the event list."""

    clock: str
    text: str
    look: Look


def note_of(event: Event) -> Note | None:
    """The event in words; None for what is not worth a row (steps are on the chart)."""
    maker = _MAKERS.get(str(event.get("type")))
    if maker is None or event.get("phase") in QUIET_PHASES:
        return None
    text, look = maker(event)
    moment = event.get("t")
    clock = time.strftime("%H:%M:%S", time.localtime(moment)) if isinstance(moment, int | float) else ""
    return Note(clock, one_line(text, TEXT_LIMIT), look)


def _phase(event: Event) -> tuple[str, Look]:
    words = PHASE_WORDS.get(str(event.get("phase")), str(event.get("phase")))
    detail = str(event.get("detail") or "")
    return f"{words[:1].upper()}{words[1:]}{': ' + detail if detail else ''}", "dim"


def _eval(event: Event) -> tuple[str, Look]:
    rows = f" on {event['rows']} held-out rows" if event.get("rows") else ""
    parts = [f"loss {number(event.get('loss')):.4g}"]
    if "perplexity" in event:  # else the loss is not one of tokens
        parts.append(f"perplexity {number(event.get('perplexity')):.4g}")
    parts += [f"{word} {number(event[name]):{form}}" for name, word, form in _EVALUATED if name in event]
    return f"Evaluated at step {event.get('step')}{rows}: {', '.join(parts)}", "key"


_EVALUATED = (("margin", "margin", ".3g"), ("accuracy", "in the right order", ".0%"), ("kl", "KL", ".3g"),
              ("right_labels", "right labels", ".1%"), ("macro_f1", "macro F1", ".3g"),
              ("general_loss", "general text", ".4g"))  # fmt: skip


def _checkpoint(event: Event) -> tuple[str, Look]:
    parts = [f"Checkpoint saved at step {event.get('step')}"]
    if isinstance(event.get("bytes"), int | float):
        parts.append(gigabytes(event["bytes"]))
    if isinstance(event.get("seconds"), int | float) and event["seconds"] >= 0.05:
        parts.append(f"in {short(round(event['seconds'], 1))} s")
    return ", ".join(parts), "good"


def _told(look: Look) -> Callable[[Event], tuple[str, Look]]:
    def words(event: Event) -> tuple[str, Look]:
        place = f" ({event['where']})" if event.get("where") else ""
        fix = f" {event['fix']}" if event.get("fix") else ""
        return f"{event.get('what', 'Something happened.')}{place}{fix}", look

    return words


def _rehearsal(event: Event) -> tuple[str, Look]:
    return f"Rehearsed one step. {memory_words(event)}".strip(), "good"


def memory_words(rehearsal: Event) -> str:
    """`Measured 5.1 GiB at the longest batch, estimated 5.0 GiB.` from a rehearsal event; empty without numbers.

    On a CPU the program itself, with its libraries, is in both numbers, as in the plan: a part of them is only loaded
    by the first step, so that the step cannot be measured without.
    """
    measured, estimate = measured_bytes(rehearsal), number(rehearsal.get("estimate_bytes"))
    if measured <= 0:
        return ""
    on_cpu = rehearsal.get("device") == "cpu"
    if on_cpu:
        measured, estimate = int(number(rehearsal.get("allocated_bytes"))), estimate and estimate + PYTHON_BYTES
    expected = f", estimated {gigabytes(estimate)}" if estimate > 0 else ""
    whole = ", the program included" if on_cpu else ""
    of_each = _of_each_device(rehearsal)
    return f"Measured {gigabytes(measured)} at the longest batch{expected}{whole}.{of_each}"


def _of_each_device(rehearsal: Event) -> str:
    """`On 2 devices: 5.1 GiB, 5.0 GiB.` where several shared the run."""
    devices = rehearsal.get("devices")
    if not isinstance(devices, list):
        return ""
    peaks = [number(one.get("allocated_bytes")) for one in devices if isinstance(one, dict)]
    return f" On {len(peaks)} devices: {', '.join(map(gigabytes, peaks))}."


def _control(event: Event) -> tuple[str, Look]:
    accepted = event.get("accepted", True)
    said = str(event.get("detail") or ("accepted" if accepted else "refused"))
    return f"Asked to {event.get('action')}: {said}", "key" if accepted else "warn"


def _rewind(event: Event) -> tuple[str, Look]:
    return f"Went back to step {event.get('step')} and goes on from its checkpoint", "warn"


def _end(event: Event) -> tuple[str, Look]:
    looks: dict[str, Look] = {"finished": "good", "failed": "bad"}
    reason = str(event.get("reason"))
    detail = f": {event['detail']}" if event.get("detail") else ""
    return f"{reason.capitalize()} at step {event.get('step')}{detail}", looks.get(reason, "warn")


_MAKERS: dict[str, Callable[[Event], tuple[str, Look]]] = {
    "phase": _phase,
    "eval": _eval,
    "checkpoint": _checkpoint,
    "rehearsal": _rehearsal,
    "oom": _told("warn"),
    "warning": _told("warn"),
    "error": _told("bad"),
    "control": _control,
    "rewind": _rewind,
    "end": _end,
}
