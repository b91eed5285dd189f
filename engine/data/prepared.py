"""What training uses of the data, and what a person should read about it before the run starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.data.counted import count_rows
from engine.data.dataset import Skipped, count_kinds
from engine.data.examples import Example
from engine.data.render import Renderer, writes_date
from engine.data.rendered import Rendered


@dataclass
class PreparedData:
    """What training uses. `train` and `held_out` are in file order; a long text row may give several pieces.

    `held_out_examples` are the rows behind `held_out`, with their expected answers (`Example.expected`).
    `fingerprint` changes when any token, label or the split changes. `truncated` and `answers_cut` count training and
    held-out rows that lost something to the sequence length. `renderer` is open; the owner closes it.
    """

    renderer: Renderer
    format: str
    map: dict[str, str]
    objective: str = "sft"
    train: list[Rendered] = field(default_factory=list)
    held_out: list[Rendered] = field(default_factory=list)
    train_examples: list[Example] = field(default_factory=list)
    held_out_examples: list[Example] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows_read: int = 0
    general: list[Rendered] = field(default_factory=list)
    truncated: int = 0
    answers_cut: int = 0
    fingerprint: str = ""

    @property
    def trained_tokens(self) -> int:
        """Tokens learned in one epoch."""
        return sum(row.trained_tokens for row in self.train)


def good_examples(prepared: PreparedData) -> list[Example]:
    """Held-out rows whose answer is one to be written: without those that a kto file marks as bad."""
    return [one for one in prepared.held_out_examples if not (prepared.format == "kto" and one.label == "false")]


def notes_of(prepared: PreparedData) -> list[str]:
    """What a person should read before the run starts, as whole sentences."""
    notes = [note for note in (prepared.renderer.note, writes_date(prepared.renderer)) if note]
    for kind, number, first in count_kinds(prepared.skipped):
        notes.append(f"{count_rows(number, 'is', 'are')} left out ({kind}), the first at {first.where}: {first.reason}")
    if prepared.truncated:
        cut = f"{count_rows(prepared.truncated, 'is', 'are')} longer than the sequence length and cut"
        notes.append(f"{cut}; in {prepared.answers_cut} of them the answer loses its end.")
    merged = sum(row.merged_start for row in (*prepared.train, *prepared.held_out))
    if merged:
        where = count_rows(merged)
        notes.append(f"In {where} the answer begins inside a token of the prompt; that token is not learned.")
    return notes
