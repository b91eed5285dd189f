"""Fixtures for runs that are carried out inside the test process.

Importing the training libraries takes seconds, so all of these tests belong to one xdist group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.runs.store import Run
from tests.engine.train import material
from tests.engine.train.carried import RunFactory

APART = (
    "several", "several_objectives", "share", "sharded", "nodes", "preference", "experts", "classes", "text",
    "trackers",
)  # fmt: skip
"""Modules that take about as long together as all others here, so that both workers have a half."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            apart = item.path.stem.removeprefix("test_train_") in APART
            item.add_marker(pytest.mark.xdist_group("train-more" if apart else "train"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.write_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.write_rows(tmp_path_factory.mktemp("tiny-data") / "orders.jsonl")


@pytest.fixture(scope="session")
def make_run(tiny_model: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFactory:
    """Make a run of twelve steps; keyword arguments are recipe keys with `__` for the dot."""
    root = tmp_path_factory.mktemp("runs")

    def make(name: str, **changes: Any) -> Run:
        return material.make_run(root, name, tiny_model, tiny_data, **changes)

    return make
