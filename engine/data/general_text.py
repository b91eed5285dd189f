"""A text of another kind than the one that is learned, by which a run measures what it forgets."""

from __future__ import annotations

from engine.data.dataset import load_dataset
from engine.data.examples import RowProblem
from engine.data.render import Renderer
from engine.data.rendered import Rendered, text_pieces
from engine.recipe import Recipe

ROWS, PIECES = 1000, 64
"""At most so many rows are read, and so many pieces measured at each evaluation."""
FORGETTING = (
    "Learning from raw text can make a model forget what it knew. To see it, name a text of another kind that is not "
    "trained on: --set evaluation.general=FILE."
)


def general_text(renderer: Renderer, recipe: Recipe) -> list[Rendered]:
    """Pieces of the text that the recipe names, spread over it; none when it names none. Raises UserError when it
    cannot be read."""
    source = recipe.evaluation.general
    if not source:
        return []
    dataset = load_dataset(source, "text")
    pieces: list[Rendered] = []
    for row in renderer.render_many(dataset.examples[:ROWS]):
        if not isinstance(row, RowProblem):
            pieces += text_pieces(row, recipe.training.sequence_length)
    step = max(1, len(pieces) // PIECES)
    return pieces[::step][:PIECES]
