"""`tunewright chat`: talk to base and tuned model, side by side as text."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from engine.errors import UserError
from engine.machine.packages import require_training_packages
from tui.jobs import Job
from tui.text import clean
from tui.verbs.columns import side_by_side
from tui.verbs.output import print_json, say, warn
from tui.verbs.places import run_of

SIDES = ("base", "tuned")
CUT = " [cut here; --max-tokens allows more]"
OnText = Callable[[str, str], None]
HELP = "Type a message and press Enter. An empty line or Ctrl-D ends; /new starts a new conversation."


class Conversation:
    """One loaded result and what was said so far, kept apart for base and tuned: each sees its own answers."""

    def __init__(self, job: Job, which: str = "both", **sampling: float) -> None:
        """`sampling` may hold temperature, top_p, max_tokens and seed; greedy without."""
        self._job = job
        self.which = which
        self._sampling = sampling
        self._turns: dict[str, list[dict[str, str]]] = {side: [] for side in SIDES}

    @property
    def sides(self) -> list[str]:
        """Who answers."""
        return [side for side in SIDES if self.which in {side, "both"}]

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until the model is loaded; what was loaded. Raises UserError."""
        return self._answer("ready")

    def ask(self, prompt: str, on_text: OnText | None = None) -> dict[str, Any]:
        """Every side's answer to one more message, under its name; `on_text(side, text)` hears it grow.

        Raises UserError; then nothing was said.
        """
        question = {"role": "user", "content": prompt}
        own = {side: [*self._turns[side], question] for side in SIDES}
        main = "base" if self.which == "base" else "tuned"
        self._job.send({"turns": own[main], "base_turns": own["base"], "which": self.which, **self._sampling})
        reply = self._answer("reply", on_text)
        for side in self.sides:
            self._turns[side] = [*own[side], {"role": "assistant", "content": str(reply.get(side, ""))}]
        return reply

    def forget(self) -> None:
        """Begin a new conversation."""
        self._turns = {side: [] for side in SIDES}

    def _answer(self, kind: str, on_text: OnText | None = None) -> dict[str, Any]:
        for message in self._job.messages():
            if kind in message:
                return dict(message[kind])
            if on_text is not None and "token" in message:
                on_text(message["token"]["which"], message["token"]["text"])
        raise self._job.died()


def run(arguments: Namespace) -> int:
    """Answer the prompts that are given, or talk until the person ends it."""
    require_training_packages()
    run_directory = run_of(arguments).path
    prompts = arguments.prompt or _piped_prompts()
    if not prompts and (arguments.json or not sys.stdin.isatty()):
        raise UserError("There is nothing to ask.", "chat", 'Give --prompt "...", or lines on stdin.')
    warn("Loading the model. This takes a few seconds.")
    with Job("chat", {"run": str(run_directory)}) as job:
        conversation = Conversation(
            job, arguments.which, temperature=arguments.temperature, top_p=arguments.top_p,
            max_tokens=arguments.max_tokens, seed=arguments.seed,
        )  # fmt: skip
        ready = conversation.wait_until_ready()
        if prompts:
            _answer_all(conversation, prompts, arguments.json)
        else:
            warn(f"{ready.get('base', 'The model')} on {ready.get('device', 'this machine')}. {HELP}")
            _talk(conversation)
    return 0


def show_reply(prompt: str, reply: dict[str, Any], sides: list[str]) -> None:
    """One exchange as text: the message, and the answers in columns."""
    say(f"> {prompt}", *side_by_side(_answers(reply, sides)), "")


def _answers(reply: dict[str, Any], sides: list[str]) -> dict[str, str]:
    """The answers, each with a mark when it was cut at the longest length."""
    ends = reply.get("finish") or {}
    return {side: str(reply.get(side, "")) + (CUT if ends.get(side) == "length" else "") for side in sides}


def _piped_prompts() -> list[str]:
    """Without a terminal, every line of stdin is a message."""
    if sys.stdin.isatty():
        return []
    return [line.strip() for line in sys.stdin if line.strip()]


def _answer_all(conversation: Conversation, prompts: list[str], as_json: bool) -> None:
    """Each prompt begins a conversation of its own, so that the order of prompts in a script changes nothing."""
    exchanges = []
    for prompt in prompts:
        conversation.forget()
        reply = conversation.ask(prompt)
        exchanges.append({"prompt": prompt, **reply})
        if not as_json:
            show_reply(prompt, reply, conversation.sides)
    if as_json:
        print_json({"exchanges": exchanges})


def _talk(conversation: Conversation) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and history in `input`)
    while prompt := _read_message():
        if prompt == "/new":
            conversation.forget()
            continue
        try:
            _exchange(conversation, prompt)
        except UserError as error:
            if error.exit_code != 2:  # the model is gone; a message that it refused can be asked otherwise
                raise
            warn(str(error))


def _exchange(conversation: Conversation, prompt: str) -> None:
    """Ask and show: one side as it is written, two sides in columns when both are done."""
    if len(conversation.sides) > 1:
        reply = conversation.ask(prompt)
        say(*side_by_side(_answers(reply, conversation.sides)), "")
        return
    reply = conversation.ask(prompt, lambda side, text: print(clean(text), end="", flush=True))
    say(CUT if "length" in (reply.get("finish") or {}).values() else "", "")


def _read_message() -> str:
    """The next message; empty at the end."""
    try:
        return input("> ").strip()
    except EOFError:
        return ""
