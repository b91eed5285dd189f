"""The one exception that a person is shown."""

from __future__ import annotations

from typing import Any


class UserError(Exception):
    """Something a person can mend: what happened, where, and how to mend it.

    `what` and `fix` are whole sentences; `where` names a place (file:line, step, GPU) and may be empty.
    `exit_code` is what a headless command ends with: 2 for bad input, 1 for work that failed.
    """

    def __init__(self, what: str, where: str = "", fix: str = "", exit_code: int = 2) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  mend:  {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The form in which it crosses a process border."""
        return {"what": self.what, "where": self.where, "fix": self.fix, "exit_code": self.exit_code}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> UserError:
        """Rebuild what `as_dict` wrote; missing fields become empty."""
        return cls(
            str(fields.get("what", "Something failed without saying why.")),
            str(fields.get("where", "")),
            str(fields.get("fix", "")),
            int(fields.get("exit_code", 1)),
        )


def first_line(error: BaseException, limit: int = 300) -> str:
    """What a library's error says, for a sentence: its first line, at most `limit` letters, else the error's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit]
