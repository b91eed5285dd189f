"""`python -m tui` is the command `tunewright`."""

import sys

from tui.cli import main

sys.exit(main())
