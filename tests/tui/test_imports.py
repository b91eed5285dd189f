"""What is imported where: the screens start quickly because torch and Textual stay out of where they are not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

TRAINING = {"torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "accelerate"}
HEAVY = TRAINING | {"numpy", "scipy", "pandas"}
DRAWING = {"textual", "rich"}


def imported(code: str) -> set[str]:
    """Top-level modules that are loaded after `code` ran in a fresh process."""
    script = f"""
import json, sys
{code}
print("\\n" + json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


def modules(package: str) -> list[str]:
    """Every module of a package, as dotted names."""
    found = sorted((PROJECT / package.replace(".", "/")).rglob("*.py"))
    return [".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__") for path in found]


def importing(names: list[str]) -> str:
    assert names
    return "\n".join(f"import {name}" for name in names if not name.endswith("__main__"))


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"]], ids=" ".join)
def test_help_imports_next_to_nothing(words: list[str]) -> None:
    loaded = imported(f"from tui.cli import main\nmain({words!r})")
    assert loaded & (HEAVY | DRAWING | {"asyncio", "json5", "tomlkit", "psutil", "pynvml", "engine"}) == set()


@pytest.mark.parametrize("words", [
    ["runs"], ["runs", "--json"], ["hardware"], ["doctor"], ["stop", "nothing"], ["attach", "nothing", "--plain"],
    ["plan", "--model", "assets/demo/model", "--json"], ["data", "assets/demo/data/orders.jsonl"], [],
], ids=lambda words: " ".join(words[:2]) or "no verb")  # fmt: skip
def test_headless_verbs_draw_nothing_and_train_nothing(words: list[str]) -> None:
    loaded = imported(f"from tui.cli import main\nmain({words!r})")
    assert loaded & (HEAVY | DRAWING | {"asyncio"}) == set()


def test_the_terminal_side_imports_no_training_package() -> None:
    loaded = imported(importing(modules("tui")))
    assert loaded & HEAVY == set()
    assert "textual" in loaded  # or else this test looks at nothing


def test_light_floors_import_no_training_package() -> None:
    floors = [name for floor in ("machine", "models", "data", "plan", "runs") for name in modules(f"engine.{floor}")]
    floors = [name for name in floors if not name.startswith("engine.plan.simulat")]  # it runs in a child process
    loaded = imported(importing(["engine.errors", "engine.recipe", "engine.recipe_keys", *floors]))
    assert loaded & (HEAVY | DRAWING) == set()


def test_steps_and_charts_know_no_screen() -> None:
    names = [*modules("tui.steps"), "tui.answers", "tui.async_job", "tui.jobs", "tui.text"]
    names += ["tui.charts.scale", "tui.charts.decimate", "tui.charts.glyphs"]
    assert imported(importing(names)) & (HEAVY | DRAWING) == set()


def test_no_module_of_the_terminal_side_hides_an_import() -> None:
    """Imports inside functions count as well: the words are looked for in the sources."""
    for path in (PROJECT / "tui").rglob("*.py"):
        _check_words(path)


def _check_words(path: Path) -> None:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    found = {words[1].split(".")[0] for words in lines if len(words) > 1 and words[0] in {"import", "from"}}
    assert not found & HEAVY, path


def test_the_app_leaves_ssl_for_those_who_need_it() -> None:
    code = (
        "import sys; from tui.verbs.terminal import prepare_textual; prepare_textual({}); import asyncio;"
        "assert 'ssl' not in sys.modules; import ssl; ssl.create_default_context(); import tui.app;"
        "import huggingface_hub"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
