"""The Machine step: what is here in words, the tiers, and a machine to pretend."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from tests.tui import wizard_fakes as fakes
from tui.answers import Answers
from tui.steps import machine
from tui.steps.facts import Facts


def test_the_lines_name_gpu_ram_and_disk() -> None:
    text = "\n".join(f"{line.label} {line.text}" for line in machine.hardware(fakes.machine()))
    assert "Example 4090, 23.0 of 24.0 GiB free, bf16" in text
    assert "48.0 GiB free of 64.0 GiB, 16 cores" in text
    assert "120 GiB free at /home/somebody" in text


def test_without_a_gpu_it_is_said_kindly_and_what_still_works() -> None:
    notes = machine.notes(fakes.machine(vram_gb=0))
    assert "No GPU was found. That is fine" in notes[0]
    assert "demo" in notes[0]


def test_with_a_gpu_there_is_no_such_note() -> None:
    assert machine.notes(fakes.machine()) == []


def test_the_documented_tiers_are_checked_line_by_line() -> None:
    checks = machine.tiers(fakes.machine(vram_gb=24, free_disk_gb=60))
    assert [(check.tier.vram_gb, check.tier.ram_gb, check.tier.disk_gb) for check in checks] == [
        (8, 16, 50), (24, 32, 100), (80, 64, 200)]  # fmt: skip
    assert [check.met for check in checks] == [True, False, False]
    assert [line.met for line in checks[1].lines] == [True, True, False]
    assert machine.tier_title(checks[0]) == "Minimum: QLoRA, 7 billion parameters"


@pytest.mark.parametrize("text", ["lots", "-1", "1e9"])
def test_an_amount_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        machine.apply(Answers(), Facts(), text)


def test_pretending_is_stored_and_taken_back() -> None:
    answers = Answers()
    machine.apply(answers, Facts(), "24GB")
    assert answers.text("pretend.vram_gb") == "24"
    assert machine.validate(answers, Facts())[0].blocking
    machine.apply(answers, Facts(), machine.THIS)
    assert not answers.started
    assert machine.validate(answers, Facts()) == []


def test_the_summary_names_the_gpu() -> None:
    assert machine.summary(Answers(), fakes.facts()).startswith("Example 4090, 23.0 GiB free")
    assert machine.summary(Answers(), Facts()) == "not looked at yet"


@pytest.mark.parametrize(
    ("text", "vram", "ram", "gpus"),
    [("40", "40", "", ""), ("40 64", "40", "64", ""), ("2x24 128", "24", "128", "2"), ("0, 16", "0", "16", ""),
     ("24GB / 64GB", "24", "64", ""), ("8 x 80", "80", "", "8")],
)  # fmt: skip
def test_ram_and_several_gpus_can_be_pretended_too(text: str, vram: str, ram: str, gpus: str) -> None:
    answers = Answers()
    answers.put("pretend.ram_gb", "999")
    machine.apply(answers, Facts(), text)
    assert [answers.text(key) for key in machine.PRETENDED] == [vram, ram, gpus]


@pytest.mark.parametrize("text", ["24 0", "0x24", "99x24", "20000", "24 64 12", "nan", "-8", "1e3"])
def test_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        machine.apply(Answers(), Facts(), text)
