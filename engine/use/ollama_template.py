"""From joints to an Ollama TEMPLATE, and the proof that both render the same text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UserError
from engine.use import gotemplate
from engine.use.go_strings import literal
from engine.use.joints import ROLES, Joints, Message, RenderPrompt, learn_joints

Conversation = Sequence[Message]


@dataclass(frozen=True)
class OllamaTemplate:
    """`text` is the Go template; `proven` and `notes` say on what it was compared and where it differs."""

    text: str
    proven: int
    notes: tuple[str, ...]


def derive_template(render: RenderPrompt, runtime_start: str = "") -> OllamaTemplate:
    """Derive an Ollama TEMPLATE from a chat template and prove it.

    `runtime_start` is the text of the begin token when the runtime adds it by itself, else "".
    Raises UserError with the reason when the template cannot be written truthfully.
    """
    joints = learn_joints(render, runtime_start)
    text = write_template(joints)
    proven = 0
    for conversation in conversations(joints):
        wanted = _expected(render, conversation)
        if wanted is None:
            continue
        found = runtime_start + render_as_ollama(text, conversation)
        if found != wanted:
            raise _differs(conversation, wanted, found)
        proven += 1
    return OllamaTemplate(text, proven, tuple(_limits(render, text, joints, runtime_start)))


def write_template(joints: Joints) -> str:
    """The Go template that renders these joints.

    What follows a message may be written behind it or before the next one; the shortest template is the one a
    person can read.
    """
    choices = itertools.product(_cuts(joints, "system"), _cuts(joints, "user"))
    written = [_write(joints, {"system": system, "user": user}) for system, user in choices]
    return min(written, key=len)


def _write(joints: Joints, suffixes: dict[str, str]) -> str:
    blocks: list[str] = []
    for role in ROLES:
        before = _before(joints, role, suffixes)
        if before is None:
            continue
        keyword = "else if" if blocks else "if"
        after = literal(suffixes.get(role, ""))
        blocks.append(f'{{{{ {keyword} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}')
    ending = joints.ending.removeprefix(suffixes["user"])
    end = f'{{{{ if ne $last "assistant" }}}}{literal(ending)}{{{{ end }}}}' if ending else ""
    body = "".join(blocks) + "{{ end }}{{ $last = .Role }}{{ end }}"
    return '{{ $last := "" }}{{ range .Messages }}' + body + end


def _cuts(joints: Joints, role: str) -> list[str]:
    """What may be written behind a message of `role`: starts of what follows it whoever speaks next, cut at marks."""
    following = [text for (previous, _), text in joints.between.items() if previous == role]
    if role == "user":
        following.append(joints.ending)
    common = _common_start(following)
    edges = {found.end() for found in re.finditer(r"(?<=[>\]\n])|(?=[<\[\n])", common)}
    return [common[:length] for length in sorted({0, len(common), *edges}, reverse=True)]


def _common_start(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    length = next((i for i, character in enumerate(low) if character != high[i]), len(low))
    return low[:length]


def _before(joints: Joints, role: str, suffixes: dict[str, str]) -> str | None:
    """What stands before a message of `role`, by who spoke last; None when the template never renders this role."""
    befores = {
        previous: text.removeprefix(suffixes.get(previous, ""))
        for (previous, following), text in joints.between.items()
        if following == role
    }
    if not befores:
        return None
    common = _common_end(list(befores.values()))
    cases = {previous: text.removesuffix(common) for previous, text in befores.items()}
    conditional, keyword = "", "if"
    for previous, text in cases.items():
        if text:
            conditional += f'{{{{ {keyword} eq $last "{previous}" }}}}{literal(text)}'
            keyword = "else if"
    return (conditional + "{{ end }}" if conditional else "") + literal(common)


def _common_end(texts: Sequence[str]) -> str:
    return _common_start([text[::-1] for text in texts])[::-1]


def render_as_ollama(template: str, conversation: Conversation) -> str:
    """What Ollama sends to the model for `conversation`.

    Follows ollama/template/template.go: messages of one role in a row are joined by an empty line first.
    """
    collated: list[dict[str, str]] = []
    for role, content in conversation:
        if collated and collated[-1]["Role"] == role:
            collated[-1]["Content"] += "\n\n" + content
        else:
            collated.append({"Role": role, "Content": content})
    system = "\n\n".join(content for role, content in conversation if role == "system")
    return gotemplate.render(template, {"Messages": collated, "System": system, "Response": ""})


def conversations(joints: Joints) -> list[Conversation]:
    """The conversations on which a template is proven; only kinds that the template can render at all."""
    questions = [
        "What is 2 + 2?",
        'Reply {"size": "large", "tags": ["a", "b"]}',
        "Grüße, 世界 \U0001f600 naïve",
        "a\n\nb",
        "{{ .X }}",
        "",
    ]
    singles: list[Conversation] = [[("user", text)] for text in questions]
    longer: list[Conversation] = [
        [("user", "One"), ("assistant", "Two"), ("user", "Three")],
        [("user", "1"), ("assistant", '{"a": 1}'), ("user", "2"), ("assistant", "é\nè"), ("user", "3")],
    ]
    plain = singles + (longer if joints.turns else [])
    if not joints.takes_system:
        return plain
    systems = ["You are terse.", 'Answer in JSON: {"ok": true}', "Two\nlines ü"]
    return plain + [[("system", text), *conversation] for text in systems for conversation in plain]


def _expected(render: RenderPrompt, conversation: Conversation) -> str | None:
    try:
        return render(conversation)
    except Exception:  # noqa: BLE001 - what the template refuses cannot have been trained
        return None


_CUT = "spaces at the ends of {} are cut by the chat template and kept by Ollama"
_DIFFERENCES: tuple[tuple[Conversation, str], ...] = (
    ((("user", " x "),), _CUT.format("a question")),
    ((("user", "a"), ("assistant", " b "), ("user", "c")), _CUT.format("an earlier answer")),
    ((("system", " s "), ("user", "a")), _CUT.format("the system message")),
    ((("system", ""), ("user", "a")), "an empty system message is rendered differently"),
    ((("user", "a"), ("assistant", ""), ("user", "b")), "an empty earlier answer is rendered differently"),
    ((("user", "a"), ("user", "b")), "two questions in a row are joined by Ollama into one"),
    (
        (("user", "a"), ("assistant", "<think>\nb\n</think>\n\nc"), ("user", "d")),
        "the chat template removes thinking from earlier answers, and Ollama does so only for models it knows to think",
    ),
)
"""Kinds of conversation that a TEMPLATE may render differently: said, and no reason to refuse."""


def _limits(render: RenderPrompt, text: str, joints: Joints, start: str) -> list[str]:
    notes = []
    for conversation, sentence in _DIFFERENCES:
        if conversation[0][0] == "system" and not joints.takes_system:
            continue
        wanted = _expected(render, conversation)
        if wanted is not None and wanted != start + render_as_ollama(text, conversation):
            notes.append(sentence)
    if not joints.turns:
        notes.append("the template was proven for single questions only, since it refuses longer conversations")
    if not joints.takes_system:
        notes.append("the template takes no system message")
    return notes


def _differs(conversation: Conversation, wanted: str, found: str) -> UserError:
    roles = ", ".join(role for role, _ in conversation)
    at = next(
        (i for i, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1]),
        min(len(wanted), len(found)),
    )
    excerpt = f"expected {wanted[at : at + 40]!r}, got {found[at : at + 40]!r}"
    return UserError(
        "This chat template cannot be written as an Ollama TEMPLATE: the two render differently.",
        f"conversation of {roles}, character {at}: {excerpt}",
        "Export to GGUF: a recent Ollama then uses the chat template inside the file.",
        exit_code=1,
    )
