"""The documented tiers and the packages."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from engine.machine import packages
from engine.machine.detect import Machine, pretend
from engine.machine.host import Host
from engine.machine.tiers import check_tier, load_tiers

GIB = 1 << 30


def machine(vram: float, ram: float, disk: float) -> Machine:
    return pretend(Machine((), Host(0, 0, 8.0, int(disk * 1e9), "/", ()), ()), vram_gb=vram, ram_gb=ram)


def test_the_table_is_the_documented_one() -> None:
    rows = [(tier.name, tier.method, tier.vram_gb, tier.ram_gb, tier.disk_gb) for tier in load_tiers()]
    assert rows == [
        ("Minimum", "qlora", 8, 16, 50), ("Recommended", "lora", 24, 32, 100), ("Full", "full", 80, 64, 200),
    ]  # fmt: skip
    assert all(tier.model_parameters == 7e9 and tier.source for tier in load_tiers())


def test_each_line_is_met_or_not_by_itself() -> None:
    check = check_tier(load_tiers()[1], machine(vram=24, ram=16, disk=100))
    assert [(line.what, line.met) for line in check.lines] == [("VRAM", True), ("RAM", False), ("disk", True)]
    assert not check.met and not check.scaled
    assert check_tier(load_tiers()[1], machine(24, 32, 100)).met


def test_without_a_gpu_no_tier_is_met() -> None:
    check = check_tier(load_tiers()[0], machine(vram=0, ram=64, disk=500))
    assert check.lines[0].have_gb == 0 and not check.met


def test_a_tier_scales_with_the_model_and_leaves_the_seven_billion_class_alone() -> None:
    small = machine(vram=8, ram=16, disk=50)
    assert check_tier(load_tiers()[1], small, parameters=1_000_000_000).met
    scaled = check_tier(load_tiers()[2], small, parameters=14_000_000_000)
    assert scaled.scaled and scaled.lines[0].need_gb == 160
    for size in (6_738_415_616, 8_030_261_248):
        assert check_tier(load_tiers()[2], machine(80, 64, 200), parameters=size).lines[0].need_gb == 80
    assert check_tier(load_tiers()[0], small, parameters=1000).lines[0].need_gb == 1.0


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in ("torch", "peft") else object())
    assert packages.missing_training_packages() == ("torch", "peft")
    with pytest.raises(UserError) as caught:
        packages.require_training_packages()
    assert "torch, peft" in caught.value.what and packages.install_command() in caught.value.fix
    monkeypatch.setattr(packages, "find_spec", lambda name: object())
    packages.require_training_packages()


def test_the_command_names_packages_that_an_index_has(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["textual==8.2.8", 'torch<2.16,>=2.8; extra == "train"', 'trl<1.17,>=1.16; extra == "train"']
    monkeypatch.setattr(packages, "requires", lambda name: lines)
    command = packages.install_command()
    assert "'torch<2.16,>=2.8'" in command and "'trl<1.17,>=1.16'" in command and " peft " in command
    assert "tunewright" not in command.split(" -m pip install ")[1]
    assert packages.install_command("pyarrow").endswith("-m pip install pyarrow")
