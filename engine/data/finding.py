"""One thing that a person should know about training data: how grave, how often, where first, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["block", "warn", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing a person should know. `what` is a whole sentence, `where` the first row, `fix` what to do.

    `remedy` is a change of answers that mends it by one key (recipe key -> value), empty when there is none.
    """

    kind: str
    severity: Severity
    count: int
    what: str
    where: str = ""
    fix: str = ""
    remedy: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among findings."""
    order: tuple[Severity, ...] = ("block", "warn", "note")
    present = {finding.severity for finding in findings}
    return next((severity for severity in order if severity in present), None)
