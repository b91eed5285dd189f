"""One screen of the program over lookups and jobs that answer with nothing but hostile text.

    python tests/tui/open_screen.py RUN_DIRECTORY SCREEN [STEP]

SCREEN is "training", "playground", "export", "evaluation", "compare", "mask", "home", "adapters" or "wizard" (with
the step to open).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.screen import Screen

import tui.job_child
from engine.runs.store import Run
from tests.tui import wizard_fakes as fakes
from tests.tui.payloads import MARKUP, PAYLOADS
from tui.app import TunewrightApp

TEXTS = [*PAYLOADS, *MARKUP]
ALL = " ".join(TEXTS)


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def job(name: str) -> None:
    """A job whose every word is hostile."""
    sys.stdin.readline()
    if name != "rows":
        say(progress={"phase": TEXTS[0], "detail": TEXTS[1]})
    if name == "chat":
        say(ready={"device": TEXTS[0], "notes": TEXTS})
        for line in sys.stdin:
            request = json.loads(line)
            if request.get("held_out"):
                say(held_out=[{"turns": [{"role": "user", "content": ALL}], "expected": ALL, "row": 1}])
                continue
            for text in TEXTS:
                say(token={"which": "tuned", "text": text + " "})
            say(reply={"base": ALL, "tuned": ALL, "finish": {}, "tokens": {"base": 77}})
    elif name == "rows":
        pieces = [{"text": text, "kind": kind} for text in TEXTS for kind in ("context", "trained", "cut")]
        say(row={"number": 1, "where": ALL, "pieces": pieces, "tokens": 9, "trained_tokens": 3, "problems": TEXTS,
                 "specials": dict.fromkeys(TEXTS, 2)})  # fmt: skip
        sys.stdin.read()
    elif name == "leaving":
        say(result={"method": "qlora", "adapter": True, "base": ALL, "gguf_problems": TEXTS, "converter": "",
                    "converter_source": ALL, "converter_bytes": 1, "exports": TEXTS, "checkpoints": TEXTS})  # fmt: skip
    elif name == "adapters":
        one = {"run": ALL, "run_directory": ALL, "base": ALL, "base_directory": ALL, "method": TEXTS[0], "rank": 8,
               "objective": ALL, "data": ALL, "bytes": 1, "steps": 1, "commands": [["vllm", *TEXTS], TEXTS],
               "uncombinable": ALL}  # fmt: skip
        two = {**one, "run": "plain", "uncombinable": "", "run_directory": "/a"}
        three = {**two, "run": "[/b] third", "run_directory": "/b"}
        say(result={"adapters": [one, two, three], "combined": dict.fromkeys(TEXTS, 1.0), "out": ALL, "base": ALL,
                    "rank": 8, "bytes": 1, "commands": [["vllm", *TEXTS]]})  # fmt: skip
    elif name == "evaluate":
        say(error={"what": ALL, "where": ALL, "fix": ALL})
    else:
        say(result={"out": TEXTS[0], "notes": TEXTS, "commands": [TEXTS, TEXTS], "bytes": 1, "modelfile": TEXTS[1],
                    "card": ALL, "files": TEXTS, "left_out": TEXTS, "url": ALL})  # fmt: skip
        sys.stdin.read()


def hostile_lookers() -> Any:
    """What the wizard finds out: a machine, a model and data whose names, columns and rows are hostile."""
    machine = fakes.machine()
    gpu = replace(machine.gpus[0], name=ALL)
    data = {**fakes.data(), "reason": ALL, "notes": TEXTS, "columns": TEXTS, "labels": dict.fromkeys(TEXTS, 3)}
    data["findings"] = [{"what": text, "where": text, "fix": text, "severity": "warn", "count": 2} for text in TEXTS]
    pieces = [{"text": text, "kind": "trained"} for text in TEXTS]
    data["previews"] = [{"row": 1, "pieces": pieces}]
    data["skipped"] = [{"where": text, "what": text, "row": 3} for text in TEXTS]
    model = replace(fakes.model(), source=ALL, revision=ALL)
    plan = replace(fakes.plan(), reason=ALL)
    return fakes.lookers(machine=replace(machine, gpus=(gpu,), notes=tuple(TEXTS)), model=model, data=data, plan=plan)


def screen_of(name: str, run: Run, step: str) -> Screen[Any]:
    """The screen called `name` for `run`."""
    if name == "wizard":
        from tui.screens import lookups
        from tui.screens.wizard import WizardScreen

        lookups.LOOKERS = hostile_lookers()
        answers = fakes.answers()
        answers.put("model.source", ALL)
        answers.put("data.source", ALL)
        answers.put("run.name", ALL)
        answers.at = step
        return WizardScreen(answers)
    if name == "mask":
        from tui.screens.mask_view import MaskScreen

        return MaskScreen({"source": ALL})
    if name == "compare":
        from tui.screens.compare import CompareScreen, neighbours

        return CompareScreen(neighbours(run))
    if name == "adapters":
        from tui.screens.adapters import AdaptersScreen

        return AdaptersScreen()
    if name == "home":
        from tui.screens.home import HomeScreen

        return HomeScreen()
    from tui.screens import evaluation, export, playground

    kinds: dict[str, Any] = {"playground": playground.PlaygroundScreen, "export": export.ExportScreen,
                             "evaluation": evaluation.EvaluationScreen}  # fmt: skip
    screen: Screen[Any] = kinds[name](run)
    return screen


class Program(TunewrightApp):
    """The real app with another first screen."""

    CSS_PATH = str(Path(sys.modules["tui.app"].__file__ or "").with_name("app.tcss"))
    opening: Screen[Any] | None = None

    def _first_screen(self) -> Screen[Any]:
        return self.opening or super()._first_screen()


def main() -> None:
    words = sys.argv[1:]
    if words[0] == "job":
        job(words[1])
        return
    run, name = Run(Path(words[0])), words[1]
    tui.job_child.job_command = lambda name: [sys.executable, __file__, "job", name]
    app = Program("attach", run=run)
    app.opening = None if name == "training" else screen_of(name, run, words[2] if len(words) > 2 else "")
    print(app.run())


if __name__ == "__main__":
    main()
