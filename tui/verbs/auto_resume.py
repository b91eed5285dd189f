"""`tunewright run --auto-resume`: go on with every run that was lost, for machines that restart."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.runs.recover import Outcome, resume_lost
from tui.verbs.output import print_json, say
from tui.verbs.places import root_of, word_for

UNIT = """\
# Save as ~/.config/systemd/user/tunewright.service, then:
#   systemctl --user enable tunewright.service
#   loginctl enable-linger      (so that it starts with the machine, before anybody logs in)
[Unit]
Description=Go on with the Tunewright runs that ended with the machine
RequiresMountsFor={mount}

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
Environment={environment}
ExecStart={command}

[Install]
WantedBy=default.target"""
CRONTAB = """\
# Add this line with: crontab -e
@reboot {environment} {command}"""

CARRIED = ("PATH", "TUNEWRIGHT_HOME", "HF_HOME", "HF_HUB_CACHE", "CUDA_VISIBLE_DEVICES")
"""What a start of the machine would not know, and a run may need to find its model, its tools and its GPU."""


def run(arguments: Namespace) -> int:
    """Start an engine for each lost run. Exit code 1 when one of them could not go on."""
    if arguments.print_unit:
        text = unit(arguments.print_unit, root_of(arguments))
        if arguments.json:
            print_json({"kind": arguments.print_unit, "text": text})
        else:
            print(text)
        return 0
    if not arguments.auto_resume:
        fix = "`tunewright run --auto-resume` goes on with lost runs; `tunewright train` starts a new one."
        raise UserError("`run` needs --auto-resume or --print-unit.", "", fix)
    from engine.machine.packages import require_training_packages

    require_training_packages()
    root = root_of(arguments)
    outcomes = resume_lost(root, arguments.watch)
    if arguments.json:
        print_json({"directory": str(root), "runs": [_document(one) for one in outcomes]})
    elif not outcomes:
        say(f"No run in {root} was lost.")
    else:
        for one in outcomes:
            say(*_lines(one))
    return 1 if any(one.error for one in outcomes) else 0


def unit(kind: str, root: Path) -> str:
    """A systemd user unit or a crontab line that does this at every start of the machine, for this installation.

    KillMode=process: the engines that the unit starts stay when the unit itself is stopped or restarted.
    """
    command = [sys.executable, "-P", "-m", "tui", "run", "--auto-resume", "--runs", str(root)]
    path = {"PATH": os.defpath, **{name: os.environ[name] for name in CARRIED if os.environ.get(name)}}
    home = Path(__file__).resolve().parents[2]
    if "site-packages" not in home.parts:  # a checkout that is not installed
        path["PYTHONPATH"] = str(home)
    if kind == "systemd":
        environment = " ".join(_systemd_word(f"{name}={value}") for name, value in path.items())
        words = " ".join(_systemd_word(word).replace("$", "$$") for word in command)  # $ means something only there
        return UNIT.format(mount=_systemd_word(str(root)), command=words, environment=environment)
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in path.items())
    return CRONTAB.format(command=shlex.join(command).replace("%", r"\%"), environment=assignments.replace("%", r"\%"))


def _systemd_word(text: str) -> str:
    """One word as systemd.syntax(7) reads it: % doubled, quoted where it needs it."""
    doubled = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{doubled}"' if any(letter in text for letter in " \t\"'\\;#") else doubled


def _document(one: Outcome) -> dict[str, Any]:
    return {"name": one.run.name, "path": str(one.run.path), "was": one.before.state, "detail": one.before.detail,
            "step": one.step, "pid": one.pid, "error": one.error.as_dict() if one.error else None}  # fmt: skip


def _lines(one: Outcome) -> list[str]:
    word = word_for(one.run)
    if one.error is None:
        return [f"{one.run.name}: {one.before.detail} It goes on (process {one.pid}): tunewright attach {word}"]
    return [f"{one.run.name}: {one.before.detail} It does not go on: {one.error.what}", f"  {one.error.fix}"]
