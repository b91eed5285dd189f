"""Signing in to the Hub with the Hub's own program, in the terminal itself: the token never passes through this one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from textual.app import App, SuspendNotSupported

COMMAND = (sys.executable, "-m", "huggingface_hub.cli.hf", "auth", "login")
INTRODUCTION = """
Signing in to the Hugging Face Hub.

1. Open the model's page in a browser and ask for access, if it wants that.
2. Make a token with the right "Read" at https://huggingface.co/settings/tokens
3. Paste it below. It is not shown, and Tunewright never sees it.
"""


def sign_in(app: App[Any]) -> None:
    """Hand the terminal to `hf auth login` and come back when it ends."""
    try:
        with app.suspend():
            print(INTRODUCTION)
            subprocess.run(COMMAND, check=False)
    except SuspendNotSupported:
        app.notify("Sign in in another terminal with: hf auth login", timeout=15, markup=False)
