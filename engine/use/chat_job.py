"""The chat job, which stays: every line after its first request is a question, {"stop": true} or an order.

Answers stream as they are written.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from engine.emit import Emit
from engine.errors import UserError
from engine.use.chat import Chat, ask
from engine.use.finished import open_result
from engine.use.held_rows import HeldRows
from engine.use.load import gpu_note


class _Inbox:
    """Reads requests on a thread, so that a stop is seen while an answer is being written.

    Questions are numbered. A stop ends every question that came before it, also one that has not begun.
    """

    def __init__(self, requests: Iterator[dict[str, Any]]) -> None:
        self._waiting: queue.Queue[tuple[int, dict[str, Any]] | None] = queue.Queue()
        self.failure: UserError | None = None
        self._current = 0
        self._stopped_up_to = -1.0
        threading.Thread(target=self._read, args=(requests,), name="chat-requests", daemon=True).start()

    def _read(self, requests: Iterator[dict[str, Any]]) -> None:
        number = 0
        try:
            for request in requests:
                if request.get("stop"):
                    self._stopped_up_to = number
                else:
                    number += 1
                    self._waiting.put((number, request))
        except UserError as error:
            self.failure = error
        finally:
            self._stopped_up_to = float("inf")
            self._waiting.put(None)

    def stopped(self) -> bool:
        """True when the question being answered, or the whole chat, was stopped."""
        return self._current <= self._stopped_up_to

    def next(self) -> dict[str, Any] | None:
        """The next question; None when there will be no more."""
        numbered = self._waiting.get()
        if numbered is None:
            return None
        self._current, request = numbered
        return request


def _reply(chat: Chat, line: dict[str, Any], emit: Emit, stopped: Callable[[], bool]) -> dict[str, Any]:
    """The answer to one line: the held-out rows, an adapter added or combined, or a question answered."""
    if line.get("held_out"):
        return {"held_out": HeldRows(chat.result, chat.prompts).questions()}
    if isinstance(line.get("add"), dict):
        wanted = line["add"]
        other = open_result(str(wanted.get("run") or chat.result.run.path), str(wanted.get("checkpoint") or ""))
        chat.pair.add(str(wanted.get("name", "")), other)
        return {"adapters": chat.pair.sides}
    if isinstance(line.get("combine"), dict):
        weights = line["combine"].get("weights")
        if not isinstance(weights, dict) or not all(isinstance(value, int | float) for value in weights.values()):
            raise UserError("A combination needs a weight for every adapter.", "weights", "Give names with numbers.")
        chat.pair.combine(str(line["combine"].get("name", "")), {name: float(value) for name, value in weights.items()})
        return {"adapters": chat.pair.sides}
    reply = ask(chat, line, lambda side, text: emit({"token": {"which": side, "text": text}}), stopped)
    return {"reply": reply | ({"id": line["id"]} if "id" in line else {})}


def job(request: dict[str, Any], emit: Emit, requests: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """First request {"run": dir, "checkpoint": name or absent}; it may already hold a prompt.

    Emits {"progress": {...}} while loading, {"ready": {...}} once, then for each question {"token": {"which", "text"}}
    lines and one {"reply": {...}}, or {"error": {...}} for a question that cannot be answered; the chat goes on.
    {"add": {"name", "run" or "checkpoint"}} loads another adapter and {"combine": {"name", "weights": {name: number}}}
    makes one from several; both answer {"adapters": [names]}. {"held_out": true} answers {"held_out": [rows]}, each
    {"turns", "expected", "row"}, exactly the rows that the run did not train on.
    """
    inbox = _Inbox(requests)
    emit({"progress": {"phase": "loading model", "detail": "the base model and what was trained on it"}})
    note = gpu_note()
    chat = Chat(str(request.get("run", "")), str(request.get("checkpoint") or ""))
    emit({"ready": {**chat.describe(), "notes": [note] if note else []}})
    answered = 0
    line: dict[str, Any] | None = request if "prompt" in request or "turns" in request else inbox.next()
    while line is not None:
        try:
            said = _reply(chat, line, emit, inbox.stopped)
            answered += "reply" in said
            emit(said)
        except UserError as error:
            emit({"error": error.as_dict()})
        line = inbox.next()
    if inbox.failure is not None:
        raise inbox.failure
    return {"answered": answered}
