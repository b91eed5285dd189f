"""A model's tokenizer and its special tokens, read from its folder without transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer

from engine.data.rows import snippet
from engine.errors import UserError
from engine.models.tokenizer_files import chat_template, read_json

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class ModelTokenizer:
    """`specials` maps bos_token, eos_token, ... to their text, as chat templates read them.

    `end_ids` are the ids at which generation ends by the model's own settings, `adds_bos` whether the tokenizer puts
    the begin token before a text by itself.
    """

    directory: Path
    core: Tokenizer
    specials: Mapping[str, str]
    end_ids: tuple[int, ...]
    adds_bos: bool
    chat_template: str
    special_texts: frozenset[str] = field(default_factory=frozenset)
    special_ids: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def load(cls, directory: Path) -> ModelTokenizer:
        """Read tokenizer.json and the settings beside it. UserError when a file is missing or broken."""
        core = _core(directory)
        settings = read_settings(directory / "tokenizer_config.json")
        specials = _specials(directory, settings)
        _add_missing_tokens(core, settings)
        bos = core.token_to_id(specials["bos_token"]) if "bos_token" in specials else None
        started = core.encode("a").ids
        special = {number: token.content for number, token in core.get_added_tokens_decoder().items() if token.special}
        return cls(
            directory, core, specials, _end_ids(directory, core, specials), bos is not None and started[:1] == [bos],
            chat_template(directory) or "",
            frozenset(special.values()),
            frozenset(special),
        )  # fmt: skip

    def encode(self, text: str) -> list[int]:
        """Ids of a text that already holds its special tokens."""
        return list(self.core.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """As `encode`, for many texts at once, with character offsets."""
        return list(self.core.encode_batch(list(texts), add_special_tokens=False))

    def decode(self, ids: Sequence[int], with_specials: bool = False) -> str:
        """The text of ids; special tokens are left out unless asked for."""
        return str(self.core.decode(list(ids), skip_special_tokens=not with_specials))

    @property
    def eos_token(self) -> str:
        """The text of the end token; empty when the model names none."""
        return self.specials.get("eos_token", "")


def _core(directory: Path) -> Tokenizer:
    path = directory / "tokenizer.json"
    if not path.is_file():
        slow = next(
            (name for name in ("tokenizer.model", "spiece.model", "vocab.json") if (directory / name).is_file()), ""
        )
        fix = "Choose a model whose folder holds tokenizer.json."
        if slow:
            fix = f"It has {slow} only. Convert it once: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
        raise UserError("The model has no tokenizer.json.", str(directory), fix)
    try:
        core = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise UserError(
            f"The model's tokenizer.json cannot be read: {snippet(str(error), 120)}.",
            str(path),
            "Download the file again.",
        ) from None
    core.no_truncation()
    core.no_padding()
    return core


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or an empty one when there is no such file. UserError when it is broken."""
    return read_json(path) if path.is_file() else {}


def _token_text(token: object) -> str:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _specials(directory: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    older = read_settings(directory / "special_tokens_map.json")
    found = {name: _token_text(settings.get(name) or older.get(name)) for name in _SPECIAL_NAMES}
    return {name: text for name, text in found.items() if text}


def _add_missing_tokens(core: Tokenizer, settings: Mapping[str, Any]) -> None:
    """Older models list some tokens in tokenizer_config.json only; they are added in the order of their ids."""
    listed = settings.get("added_tokens_decoder")
    if not isinstance(listed, dict):
        return
    numbered = sorted(
        (int(number), token) for number, token in listed.items() if str(number).isdigit() and isinstance(token, dict)
    )
    for number, token in numbered:
        text = _token_text(token)
        if text and core.token_to_id(text) is None and number == core.get_vocab_size():
            flags = {
                flag: bool(token.get(flag, False))
                for flag in ("single_word", "lstrip", "rstrip", "normalized", "special")
            }
            core.add_tokens([AddedToken(text, **flags)])


def _end_ids(directory: Path, core: Tokenizer, specials: Mapping[str, str]) -> tuple[int, ...]:
    ids: list[int] = []
    eos = core.token_to_id(specials["eos_token"]) if "eos_token" in specials else None
    if eos is not None:
        ids.append(eos)
    for name in ("generation_config.json", "config.json"):
        listed = read_settings(directory / name).get("eos_token_id")
        for number in listed if isinstance(listed, list) else [listed]:
            if (
                isinstance(number, int)
                and not isinstance(number, bool)
                and number not in ids
                and core.id_to_token(number) is not None
            ):
                ids.append(number)
    return tuple(ids)
