"""How heavy work says what it does meanwhile: one JSON object at a time, such as {"progress": {...}}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Emit = Callable[[dict[str, Any]], None]
