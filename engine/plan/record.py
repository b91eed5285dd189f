"""What was planned for a run, kept in its folder, so that it can be held against what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.runs.files import read_json, write_atomic

if TYPE_CHECKING:
    from engine.plan.plan import MethodPlan

PLAN_FILE = "plan.json"


def write_plan(folder: Path, method: MethodPlan, goal: str = "") -> None:
    """Write the plan of the method that a run was started with: memory (estimate and, when there was one, simulation),
    RAM, disk and time; and the goal, which is no key of a recipe. Raises OSError."""
    write_atomic(folder / PLAN_FILE, json.dumps({"goal": goal, **method.as_dict()}, indent=1))


def read_plan(folder: Path) -> dict[str, Any]:
    """What `write_plan` wrote; empty for a run that was started without a plan."""
    return read_json(folder / PLAN_FILE)
