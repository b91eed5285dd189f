"""Fixtures that every test shares."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, so that a change is judged by what it changed. HYPOTHESIS_PROFILE=search looks for new.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models are slower with more, and the suite runs in two processes

with contextlib.suppress(ValueError):  # not in a thread
    # a suite that runs in the background is started with SIGINT ignored, and would hand that down to what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own home, settings and runs, and no Hub."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(home / "tunewright"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("SSH_CONNECTION", "SSH_TTY", "NO_COLOR", "TEXTUAL_FPS", "TEXTUAL_ANIMATIONS"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real datasets, model configs and tokenizers. Tests that need it skip where it is absent."""
    place = Path(os.environ.get("TUNEWRIGHT_SHARED", PROJECT.parent / "shared"))
    if not (place / "data").is_dir():
        pytest.skip(f"no real data at {place}: set TUNEWRIGHT_SHARED")
    return place


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The small base model that the project ships."""
    return PROJECT / "assets" / "demo" / "model"


@pytest.fixture(scope="session")
def demo_data() -> Path:
    """The rows that the project ships."""
    return PROJECT / "assets" / "demo" / "data" / "orders.jsonl"
