"""What the end of an events file says of a run whose snapshot is damaged or gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.runs.events import LINE_LIMIT_BYTES, read_events

LINES_LOOKED_AT = 100


def snapshot_of_events(path: Path) -> dict[str, Any]:
    """Phase, step and last word, by the names of the snapshot; empty when nothing was said yet. Who wrote it and when
    it last beat is not known then."""
    try:
        size = path.stat().st_size
    except OSError:
        return {}
    events, _, _ = read_events(path, max(0, size - LINES_LOOKED_AT * LINE_LIMIT_BYTES))
    state: dict[str, Any] = {"phase": "starting", "step": 0, "stop_reason": None} if events else {}
    for event in events:
        if event["type"] in ("step", "rewind", "checkpoint", "end") and isinstance(event.get("step"), int):
            state["step"] = event["step"]
        if event["type"] == "phase":
            state |= {"phase": str(event.get("phase", "")), "stop_reason": None}
        if event["type"] == "end":
            reason = str(event.get("reason", ""))
            state |= {"phase": "done" if reason == "finished" else reason, "stop_reason": reason,
                      "stop_detail": str(event.get("detail", ""))}  # fmt: skip
    return state
