"""Whether several GPUs can share the steps that were chosen, as a problem of the Settings page."""

from __future__ import annotations

from collections.abc import Mapping

from engine.answer import Answer
from tui.steps.option import Problem, Remedy

DEVICES, ACCUMULATION = "training.devices", "training.gradient_accumulation_steps"


def problems(in_force: Mapping[str, Answer]) -> list[Problem]:
    """Steps that cannot be shared evenly, and the nearest number of GPUs by which they can."""
    devices, accumulation = (in_force[key].value if key in in_force else 1 for key in (DEVICES, ACCUMULATION))
    if not isinstance(devices, int) or not isinstance(accumulation, int) or accumulation % devices == 0:
        return []
    fewer = max(count for count in range(1, devices + 1) if accumulation % count == 0)
    what = f"{accumulation} micro-batches of a step cannot be shared evenly by {devices} GPUs."
    fix = f"Use {fewer}, or a gradient accumulation that {devices} divides."
    return [Problem(what, "Settings", fix, remedy=Remedy(f"Use {fewer}", DEVICES, fewer))]
