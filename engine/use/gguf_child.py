"""Runs llama.cpp's converter in a process of its own: `python -m engine.use.gguf_child TOOLS PRE SCRIPT ARGUMENTS...`.

The converter recognises a tokenizer by a hash over its whole vocabulary, so it refuses every vocabulary that its
authors have not seen. What it needs to know is only how text is split before the merges; PRE is llama.cpp's name for
that, found from the rules in tokenizer.json (`engine.use.gguf_support`). It is used where the hash is unknown.
"""

from __future__ import annotations

import importlib.util
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


if __name__ == "__main__":
    main(sys.argv[1:])
