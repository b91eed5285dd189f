"""A path that arrives all at once in the wizard's list lands in the field, whatever its letters do as keys."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.terminal import Terminal

COMMAND = [sys.executable, "-m", "tui"]
PATH = "/no/such/model/3cstf"
"""Its letters are keys of the page: search, memory, mend, type; its digit is a step."""


@pytest.mark.parametrize("pasted", [False, True])
def test_a_path_in_one_burst_is_the_answer(pasted: bool, own_home: Path) -> None:
    environment = {"TUNEWRIGHT_HOME": str(own_home / "tunewright"), "XDG_STATE_HOME": str(own_home / "state")}
    with Terminal(COMMAND, environment=environment, directory=PROJECT) as terminal:
        terminal.wait_for("New fine-tune")
        terminal.send("n")
        terminal.wait_for("Step 1 of 7")
        terminal.send("3")
        terminal.wait_for("Which model")
        terminal.settle()
        terminal.send(f"\x1b[200~{PATH}\x1b[201~" if pasted else PATH)
        terminal.wait_for(PATH)
        terminal.settle(quiet=0.6)
        terminal.send("enter")
        terminal.wait_for("! ")
        assert "Step 3 of 7" in terminal.text()
        assert PATH in terminal.text()
