"""Runs llama.cpp's converter in a process of its own: `python -m engine.use.gguf_child TOOLS PRE SCRIPT ARGUMENTS...`.

The converter recognises a tokenizer by a hash over its whole vocabulary, so it refuses every vocabulary that its
authors have not seen. What it needs to know is only how text is split before the merges; PRE is llama.cpp's name for
that, found from the rules in tokenizer.json (`engine.models.gguf_support`). It is used where the hash is unknown.
"""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Prepare the converter's modules and run its script as a program."""
    tools, pre, script, *rest = arguments
    folder = Path(tools)
    sys.path[:0] = [str(folder), str(folder / "gguf-py")]
    _look_before_importing_sentencepiece()
    _name_unknown_tokenizers(pre)
    _score_tokens_by_merge_order()
    sys.argv = [script, *rest]
    runpy.run_path(str(folder / script), run_name="__main__")


def _look_before_importing_sentencepiece() -> None:
    """The converter imports sentencepiece before it looks whether the model has a file for it."""
    if importlib.util.find_spec("sentencepiece"):
        return
    from conversion.base import TextModel  # type: ignore[import-not-found]

    def missing(self: Any) -> None:
        if (self.dir_model / "tokenizer.model").is_file():
            raise SystemExit("This model has a tokenizer.model file. Install sentencepiece: pip install sentencepiece")
        raise FileNotFoundError("tokenizer.model")

    TextModel._create_vocab_sentencepiece = missing


def _name_unknown_tokenizers(pre: str) -> None:
    from conversion.base import TextModel

    known = TextModel.get_vocab_base_pre

    def named(self: Any, tokenizer: Any) -> str:
        try:
            return str(known(self, tokenizer))
        except NotImplementedError:
            if not pre:
                raise SystemExit("llama.cpp does not know how this tokenizer splits text.") from None
            return pre

    TextModel.get_vocab_base_pre = named


def _score_tokens_by_merge_order() -> None:
    """Give the tokens of a SentencePiece vocabulary the order in which tokenizer.json merges them.

    llama.cpp joins the pair whose token has the highest score. The converter writes one score for all tokens when
    there is no tokenizer.model, so that llama.cpp would join in any order and split some texts differently.
    """
    try:
        from gguf.vocab import LlamaHfVocab  # type: ignore[import-not-found]
    except ImportError:
        return

    def score(self: Any, token_id: int) -> float:
        if not hasattr(self, "scores_by_merge"):
            model = json.loads(self.tokenizer.backend_tokenizer.to_str())["model"]
            self.scores_by_merge = merge_scores(model["merges"], model["vocab"])
        return float(self.scores_by_merge.get(token_id, -1e6))

    LlamaHfVocab.get_token_score = score


def merge_scores(merges: list[Any], vocabulary: dict[str, int]) -> dict[int, float]:
    """Minus the place of the first merge that makes a token, by token id; merges are pairs or "left right"."""
    scores: dict[int, float] = {}
    for place, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        scores.setdefault(vocabulary[left + right], -float(place))
    return scores


if __name__ == "__main__":
    main(sys.argv[1:])
