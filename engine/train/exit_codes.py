"""What the exit code of an engine's process says."""

from __future__ import annotations

EXIT_DONE, EXIT_FAILED, EXIT_BAD_INPUT, EXIT_STOPPED = 0, 1, 2, 3
"""Those of every command of this program; stopped means that the run can be resumed."""
EXIT_PEER_LOST = 70
"""Of one of several processes: another one is gone, and the launcher knows which."""
