"""What stands in the texts and may not be meant to be taught: secrets, addresses, placeholders, odd characters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from engine.data.checks_similar import check_similar
from engine.data.examples import Example
from engine.data.finding import Finding
from engine.data.rows import snippet

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\U000e0000-\U000e007f]")
_REPLACED = re.compile("\ufffd|\u00c3[\u0080-\u00bf]|\u00e2\u20ac[\u0080-\uffff]")
_PLACEHOLDER = re.compile(
    r"\{\{\s*[A-Za-z_][\w. ]{0,40}\}\}|\[(?:INSERT|YOUR|TODO)[^\]\n]{0,40}\]|<(?:INSERT|YOUR)_[A-Z_]+>"
)
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,}")
_SECRET = re.compile(
    r"\b(?:sk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35})\b|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
"""Keys of OpenAI, Anthropic, Hugging Face, GitHub, AWS, Slack and Google, and private keys in PEM form."""

_NOT_ASCII = ("",)
_PATTERNS: tuple[tuple[str, str, re.Pattern[str], tuple[str, ...], str, str], ...] = (
    ("secrets", "warn", _SECRET, ("sk-", "hf_", "gh", "AKIA", "xox", "AIza", "PRIVATE KEY"),
     "hold what looks like a secret key", "Remove it: a model repeats what it has learned."),
    ("e-mail", "note", _EMAIL, ("@",), "hold an e-mail address", "Check that the model may learn it."),
    ("placeholders", "warn", _PLACEHOLDER, ("{{", "[INSERT", "[YOUR", "[TODO", "<INSERT_", "<YOUR_"),
     "hold an unfilled placeholder", "Fill them in, or the model will write them."),
    ("control characters", "warn", _CONTROL, (), "hold control characters", "Remove them from the texts."),
    ("bidi characters", "warn", _BIDI, _NOT_ASCII, "hold characters that change the direction of text",
     "Remove them unless meant."),
    ("invisible characters", "note", _INVISIBLE, _NOT_ASCII, "hold invisible characters", "Remove them unless meant."),
    ("broken letters", "warn", _REPLACED, _NOT_ASCII, "hold letters that were read in a wrong encoding",
     "Export the data again as UTF-8."),
)  # fmt: skip
"""Kind, severity, pattern, what a text must contain before the pattern is tried (it is much faster), words, remedy."""
_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "DEVANAGARI",
    "THAI",
)
_LOOKED_AT = 400
"""Characters of a row that decide its script."""


def check_texts(examples: Sequence[Example]) -> list[Finding]:
    """All findings on the wording of rows."""
    return [
        *_patterns(examples),
        *check_similar(examples),
        *_two_answers(examples),
        *_scripts(examples),
        *_composed(examples),
    ]


def _texts(example: Example) -> Iterator[str]:
    return (turn.content for turn in (*example.turns, *example.rejected))


def _patterns(examples: Sequence[Example]) -> Iterator[Finding]:
    for kind, severity, pattern, needles, words, fix in _PATTERNS:
        hits = [(example, text) for example in examples if (text := _first_hit(example, pattern, needles))]
        if hits:
            first = snippet(hits[0][1] if kind != "secrets" else hits[0][1][:6], 40)
            rows = f"{len(hits)} rows {words}" if len(hits) > 1 else f"1 row is found to {words}"
            what = f'{rows}, the first "{first}".'
            yield Finding(kind, "warn" if severity == "warn" else "note", len(hits), what, hits[0][0].where, fix)


def _first_hit(example: Example, pattern: re.Pattern[str], needles: tuple[str, ...]) -> str:
    """The first text in the row that the pattern matches, or nothing."""
    for text in _texts(example):
        if needles == _NOT_ASCII:
            worth = not text.isascii()
        else:
            worth = not needles or any(needle in text for needle in needles)
        if worth and (match := pattern.search(text)):
            return match.group()
    return ""


def _two_answers(examples: Sequence[Example]) -> Iterator[Finding]:
    """The same question with different answers: right for style, wrong for facts and labels."""
    answers: dict[tuple[str, ...], set[str]] = defaultdict(set)
    again: list[Example] = []
    for example in examples:
        if example.is_text or example.rejected:
            continue
        key = tuple(turn.content for turn in example.prompt_turns)
        if answers[key] and example.expected not in answers[key]:
            again.append(example)
        answers[key].add(example.expected)
    if again:
        labelled = any(example.label for example in again)
        rows = "1 row answers" if len(again) == 1 else f"{len(again)} rows answer"
        what = f"{rows} a question of an earlier row differently."
        fix = "For labels and facts keep one answer; for style several are fine."
        yield Finding("different answers", "warn" if labelled else "note", len(again), what, again[0].where, fix)


def _script(example: Example) -> str:
    """The script of most letters of a row."""
    text = "".join(_texts(example))[:_LOOKED_AT]
    if text.isascii():
        return "LATIN"
    counts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    known = [(number, name) for name, number in counts.items() if name in _SCRIPTS]
    return max(known)[1] if known else ""


_ONE_WRITING: dict[str, str] = {
    "HIRAGANA": "Chinese or Japanese",
    "KATAKANA": "Chinese or Japanese",
    "CJK": "Chinese or Japanese",
}


def _scripts(examples: Sequence[Example]) -> Iterator[Finding]:
    """Rows in another writing system than most."""
    named: list[tuple[str, Example]] = [(script, example) for example in examples if (script := _script(example))]
    counts = Counter(_ONE_WRITING.get(script, script.title()) for script, _ in named)
    if len(counts) < 2:
        return
    main = counts.most_common(1)[0][0]
    others = [example for script, example in named if _ONE_WRITING.get(script, script.title()) != main]
    shares = ", ".join(f"{name} {number}" for name, number in counts.most_common(4))
    yield Finding(
        "language mix", "note", len(others), f"The rows are in several writing systems: {shares}.", others[0].where,
        "Fine for translation; else check that they belong here.",
    )  # fmt: skip


def _composed(examples: Sequence[Example]) -> Iterator[Finding]:
    """Letters written as base and accent apart: they are other tokens than the usual form."""
    apart: Callable[[str], bool] = lambda text: not text.isascii() and not unicodedata.is_normalized("NFC", text)  # noqa: E731
    hits = [example for example in examples if any(map(apart, _texts(example)))]
    if hits:
        what = f"{len(hits)} rows hold accents apart from their letters (not in the form NFC)."
        yield Finding(
            "accents apart",
            "note",
            len(hits),
            what,
            hits[0].where,
            "Nothing is changed. Normalise the file if that is not meant.",
        )
