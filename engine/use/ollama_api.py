"""Ollama's HTTP API: creating a model and asking it, with the standard library only.

Protocol: ollama/docs/api.md (version 0.33). Files go first as blobs named by their sha256, then one request creates
the model; texts travel as JSON, so nothing in them can break out of quotes.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.emit import Emit
from engine.errors import UserError

DEFAULT_PORT = 11434
_BLOCK_BYTES = 1 << 20

DANGERS = (
    ((0, 1, 34), "others can run programs through its API (CVE-2024-37032)"),
    ((0, 14, 3), "it may send its login to a foreign server (CVE-2025-51471)"),
    ((0, 17, 1), "others can read its memory through its API (CVE-2026-7482)"),
)
"""(first version without it, what it is): known dangers of older versions, from the CVE records."""

JINJA_SINCE = (0, 30, 0)
"""First version that uses the chat template inside a GGUF file (commit 9db4bdbad)."""


class Ollama:
    """One Ollama server, by $OLLAMA_HOST or on this machine."""

    def __init__(self, host: str = "", timeout_seconds: float = 600.0) -> None:
        text = host or os.environ.get("OLLAMA_HOST", "") or f"127.0.0.1:{DEFAULT_PORT}"
        parts = urlsplit(text if "://" in text else f"http://{text}")
        self.secure = parts.scheme == "https"
        name = parts.hostname or "127.0.0.1"
        self.host = "127.0.0.1" if name in {"0.0.0.0", "::"} else name
        self.port = parts.port or (443 if self.secure else DEFAULT_PORT)
        self._timeout = timeout_seconds

    def version(self) -> str | None:
        """The server's version, or None when none answers."""
        try:
            return str(self._json("GET", "/api/version", timeout=3.0).get("version", ""))
        except UserError:
            return None

    def create(self, model: str, files: Sequence[Path], settings: dict[str, Any], emit: Emit) -> None:
        """Send `files` and create `model` from them; `settings` are template, system, parameters and the like.

        Raises UserError with the server's own words.
        """
        digests = {path.name: self._send_blob(path, emit) for path in files}
        request = {"model": model, "files": digests, "stream": True, **settings}
        last = ""
        for line in self._stream("/api/create", request):
            if "error" in line:
                fix = "Read the server's log, or export to another GGUF type."
                raise UserError(f"Ollama could not create the model: {line['error']}", model, fix, exit_code=1)
            last = str(line.get("status", last))
            emit({"progress": {"phase": "ollama create", "detail": last}})
        if last != "success":
            fix = "Read the server's log and try again."
            raise UserError(f"Ollama stopped before the model was created: {last}", model, fix, exit_code=1)

    def ask(self, model: str, turns: Sequence[tuple[str, str]], max_tokens: int) -> str:
        """The greedy answer to a conversation."""
        messages = [{"role": role, "content": content} for role, content in turns]
        options = {"temperature": 0, "seed": 0, "num_predict": max_tokens}
        request = {"model": model, "messages": messages, "stream": False, "options": options}
        return str((self._json("POST", "/api/chat", request).get("message") or {}).get("content", ""))

    def _send_blob(self, path: Path, emit: Emit) -> str:
        with path.open("rb") as stream:
            digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        if self._status("HEAD", f"/api/blobs/{digest}") != 200:
            emit({"progress": {"phase": "ollama create", "detail": f"sending {path.name}"}})
            status = self._status("POST", f"/api/blobs/{digest}", path)
            if status not in {200, 201}:
                fix = "Check that the server has room on its disk."
                raise UserError(f"Ollama refused the file {path.name} (status {status}).", str(path), fix, exit_code=1)
        return digest

    def _status(self, method: str, place: str, body: Path | None = None) -> int:
        headers = {"Content-Length": str(body.stat().st_size)} if body else {}
        connection = self._connect(self._timeout)
        try:
            if body is None:
                connection.request(method, place, headers=headers)
            else:
                with body.open("rb") as stream:
                    connection.request(method, place, stream, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        except OSError as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _json(self, method: str, place: str, body: Any = None, timeout: float | None = None) -> dict[str, Any]:
        lines = list(self._exchange(method, place, body, timeout or self._timeout))
        return lines[-1] if lines else {}

    def _stream(self, place: str, body: Any) -> Iterator[dict[str, Any]]:
        return self._exchange("POST", place, body, self._timeout)

    def _exchange(self, method: str, place: str, body: Any, timeout: float) -> Iterator[dict[str, Any]]:
        """JSON lines of one answer. Raises UserError when the server does not answer or answers with an error."""
        connection = self._connect(timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, place, text, {"Content-Type": "application/json"} if text else {})
            response = connection.getresponse()
            if response.status >= 400:
                fix = "Read the server's log and try again."
                words = _error_words(response.read()) or f"status {response.status}"
                raise UserError(f"Ollama answered: {words}", place, fix, exit_code=1)
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        return kind(self.host, self.port, timeout=timeout, blocksize=_BLOCK_BYTES)

    def _unreachable(self, error: Exception) -> UserError:
        what = f"The connection to Ollama broke: {error}."
        fix = "Start it with: ollama serve. Then try again; what was sent is not sent twice."
        return UserError(what, f"{self.host}:{self.port}", fix, exit_code=1)


def _error_words(body: bytes) -> str:
    try:
        return str(json.loads(body).get("error", ""))[:300]
    except (ValueError, AttributeError):
        return body.decode("utf-8", "replace").strip()[:300]


def version_notes(version: str, needs_jinja: bool = False) -> list[str]:
    """Sentences about this version of Ollama: known dangers, and what it cannot do."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version.split("-")[0])[:3])
    if len(numbers) < 3:
        return []
    notes = [f"Ollama {version} is dangerous: {danger}. Update it." for first, danger in DANGERS if numbers < first]
    if needs_jinja and numbers < JINJA_SINCE:
        notes.append(f"Ollama {version} does not use the chat template inside the file. Update it to 0.30 or later.")
    return notes
