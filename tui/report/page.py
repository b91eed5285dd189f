"""The report of a run as one HTML file: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from engine.errors import UserError
from engine.runs.files import read_json
from engine.runs.history import History
from engine.runs.liveness import Liveness
from engine.runs.store import Run
from tui.charts.scale import number as short
from tui.report.figure import Figure
from tui.report.svg import svg
from tui.text import clean
from tui.verdict import judge
from tui.watch.event_words import note_of
from tui.watch.lines import LossLines
from tui.watch.summary import facts_of_end, reason_of_end
from tui.watch.words import elapsed

STYLE = """
:root{--paper:#fff;--ink:#1f2328;--muted:#6e7781;--rule:#e5e7eb;--band:#c9ddf2;--line:#1d4ed8;--dot:#b45309;
--bad:#b91c1c}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#d8dee4;--muted:#8b949e;--rule:#2d333b;--band:#23415f;
--line:#79a8ff;--dot:#e0a458;--bad:#f0716f}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .4rem}p.lead{color:var(--muted);margin:.2rem 0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;
border-bottom:1px solid var(--rule);overflow-wrap:anywhere}th{color:var(--muted);font-weight:normal}
td pre,pre{white-space:pre-wrap;margin:0;font:13px/1.4 ui-monospace,monospace}
.small{display:grid;grid-template-columns:1fr 1fr;gap:1rem}@media (max-width:640px){.small{grid-template-columns:1fr}}
svg{width:100%;height:auto}svg text{fill:var(--muted);font:11px system-ui,sans-serif}
.grid{stroke:var(--rule)}.band{fill:var(--band);stroke:var(--band)}.line{fill:none;stroke:var(--line);stroke-width:2}.dot{fill:var(--dot)}
.saved{stroke:var(--muted)}.rewind,.gap{stroke:var(--bad);stroke-dasharray:4 3}.bad{color:var(--bad)}
""".strip()
EVENTS_SHOWN = 200
Cells = Sequence[str]


def page(run: Run, history: History, alive: Liveness | None, loss: Figure | None, small: Sequence[Figure]) -> str:
    """The whole page. Every text of the run is cleaned and escaped."""
    reason = reason_of_end(history, alive)
    of_total = f" of {history.total_steps:,}" if history.total_steps else ""
    lead = f"{_state(reason, alive)}, step {history.step:,}{of_total}. Written {time.strftime('%Y-%m-%d %H:%M')}."
    parts = [f"<h1>{_text(run.name)}</h1>", f'<p class="lead">{_text(lead)}</p>']
    parts += _section("In short", _table(_short(run, history, reason)))
    parts += _section("Loss", svg(loss) + _legend(loss)) if loss is not None else []
    if small:
        charts = "".join(f"<div>{_text(_titled(one))}{svg(one, 440, 170)}</div>" for one in small)
        parts += _section("Along the way", f'<div class="small">{charts}</div>')
    parts += _section("Evaluations", _table(_evaluations(history), ("step", "held-out loss")))
    answers = _table(_samples(history), ("prompt", "expected", "tuned", "base"))
    parts += _section("Answers at the last evaluation", answers)
    parts += _section("Recipe", _table(_recipe(run), ("key", "value", "from", "because")))
    parts += _section("What happened", _table(_events(history)))
    parts += _section("Where it ran", _table(_environment(run)))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(run.name)}</title>'
    return f"<!doctype html>\n<html lang=en>{head}<style>{STYLE}</style>\n{chr(10).join(parts)}\n</html>\n"


def _section(title: str, body: str) -> list[str]:
    return [f"<h2>{_text(title)}</h2>", body] if body else []


def _table(rows: Iterable[Cells], head: Cells = ()) -> str:
    lines = ["".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    top = "<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in head) + "</tr>" if head else ""
    return f"<table>{top}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(text: str) -> str:
    return f"<pre>{_text(text)}</pre>" if "\n" in text else _text(text)


def _text(text: object) -> str:
    return escape(clean(str(text)))


def _titled(figure: Figure) -> str:
    return f"{figure.title} ({figure.unit})" if figure.unit else figure.title


def _state(reason: str, alive: Liveness | None) -> str:
    words = {"finished": "Finished", "stopped": "Stopped and saved", "failed": "Failed", "lost": "Lost"}
    return words.get(reason) or (alive.state.capitalize() if alive is not None else "Running")


def _short(run: Run, history: History, reason: str) -> Iterator[Cells]:
    lines = LossLines()
    lines.update(history)
    yield from facts_of_end(run, history, reason, lines.smooth, _seconds(history))
    verdict = judge(history, lines.raw, lines.smooth)
    yield "verdict", " ".join(filter(None, (verdict.words, verdict.reason, verdict.advice)))


def _seconds(history: History) -> float:
    told = (history.ended or {}).get("seconds")
    return float(told) if isinstance(told, int | float) else max(0.0, history.last_time - history.first_time)


def _legend(figure: Figure) -> str:
    words = ["The band is what single steps measured, the line their smoothed course."]
    words += ["Dots are evaluations on held-out rows."] if figure.dots else []
    words += ["Short strokes at the foot are checkpoints."] if figure.saved else []
    words += ["Dashed lines are places where the run went back, or where the loss was no number."] * bool(
        figure.rewinds or figure.gaps
    )
    return f'<p class="lead">{_text(" ".join(words))}</p>'


def _evaluations(history: History) -> Iterator[Cells]:
    for step, value in zip(history.evals.steps, history.evals.values, strict=True):
        yield f"{step:,.0f}", short(float(f"{value:.5g}"))


def _samples(history: History) -> Iterator[Cells]:
    last = max((event.get("step", 0) for event in history.samples), default=0)
    for event in history.samples:
        if event.get("step", 0) == last:
            yield tuple(str(event.get(key) or "") for key in ("prompt", "expected", "tuned", "base"))


def _recipe(run: Run) -> Iterator[Cells]:
    try:
        answers = run.recipe().answers
    except UserError as error:
        yield "recipe", error.what, "", ""
        return
    for key, answer in answers.items():
        yield key, str(answer.value), answer.source, answer.reason


def _events(history: History) -> Iterator[Cells]:
    notes = [note for event in history.notes[-EVENTS_SHOWN:] if (note := note_of(event)) is not None]
    yield from ((note.clock, note.text) for note in notes)


def _environment(run: Run) -> Iterator[Cells]:
    found: dict[str, Any] = read_json(run.environment_path)
    versions = found.get("versions")
    if isinstance(versions, dict):
        yield "libraries", ", ".join(f"{name} {value}" for name, value in versions.items() if value)
    for key in ("python", "system", "device", "cpus", "threads"):
        if key in found:
            yield key, str(found[key])
    gpu = found.get("gpu")
    if isinstance(gpu, dict):
        yield "GPU", f"{gpu.get('name')}, CUDA {gpu.get('cuda')}"


def took(history: History) -> str:
    """How long the run worked, in words."""
    return elapsed(_seconds(history))
