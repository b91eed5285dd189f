"""`tunewright report NAME`: a run as one HTML page and one picture."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from tui.verbs.output import print_json, say, warn
from tui.verbs.places import run_of


def run(arguments: Namespace) -> int:
    """Write the report and say where it is."""
    from tui.report.write import write_report

    report = write_report(run_of(arguments), Path(arguments.out).expanduser().absolute() if arguments.out else None)
    if arguments.json:
        picture = str(report.picture) if report.picture else None
        print_json({"page": str(report.page), "picture": picture, "note": report.note})
        return 0
    say(f"Report: {report.page}", *([f"Picture: {report.picture}"] if report.picture else []))
    if report.note:
        warn(report.note)
    say("It holds paths of this machine and rows of your data; read it before you pass it on.")
    return 0
