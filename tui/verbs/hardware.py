"""`tunewright hardware`: what is here, and which of the documented tiers it meets."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from typing import Any

from engine.machine.abilities import table
from engine.machine.detect import Machine, detect_machine, pretend
from tui.steps.machine import hardware, notes, tier_title, tiers
from tui.verbs.output import fields, paragraph, print_json, say
from tui.verbs.places import root_of

DEVICE_KEYS = ("device", "methods", "precisions", "training", "remark")


def run(arguments: Namespace) -> int:
    """Look at the machine and say it."""
    machine = look(arguments)
    if arguments.json:
        abilities = (
            {"devices": [dict(zip(DEVICE_KEYS, row, strict=True)) for row in table()]} if arguments.table else {}
        )
        checks = [dataclasses.asdict(check) for check in tiers(machine)]
        print_json({**as_document(machine), "tiers": checks, **abilities})
        return 0
    say(*fields({line.label: line.text for line in hardware(machine)}))
    for check in tiers(machine):
        say("", f"{'ok' if check.met else 'no'}  {tier_title(check)}")
        for line in check.lines:
            mark = "ok" if line.met else "no"
            say(f"    {mark}  {line.what:<5} needs {line.need_gb:g} GB, {line.have_gb:g} GB here")
    say("", "A tier counts GB as on a shop label, 10^9 bytes; the lines above count GiB, 2^30.", "")
    if arguments.table:
        for title, methods, precisions, checked, remark in table():
            say(f"{title}: {methods}. Numbers: {precisions}. Training: {checked}.")
            paragraph(remark)
        say("")
    for note in notes(machine):
        paragraph(note)
    return 0


def look(arguments: Namespace) -> Machine:
    """This machine, or the one that `--vram` and `--ram` pretend."""
    machine = detect_machine(root_of(arguments))
    if arguments.vram is not None or arguments.ram is not None:
        return pretend(machine, arguments.vram, arguments.ram, max(1, arguments.gpus or 1))
    return machine


def as_document(machine: Machine) -> dict[str, Any]:
    """The machine as JSON."""
    return dataclasses.asdict(machine)
