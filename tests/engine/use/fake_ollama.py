"""A small Ollama on loopback that speaks the protocol of ollama/docs/api.md, for tests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeOllama:
    """What the server holds and was asked. `answer` gives the reply to a chat from (model, messages)."""

    def __init__(self) -> None:
        self.version = "0.33.0"
        self.blobs: dict[str, bytes] = {}
        self.sent: list[str] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.chats: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any], list[dict[str, str]]], str] = lambda model, messages: "fake"
        self.create_lines: list[dict[str, Any]] = [{"status": "parsing GGUF"}, {"status": "success"}]
        self.blob_status = 201
        self.cut_after_create_lines = False


@contextmanager
def fake_ollama() -> Iterator[tuple[FakeOllama, str]]:
    """The fake and its address; ends with the block."""
    fake = FakeOllama()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(fake: FakeOllama) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _say(self, status: int, *lines: dict[str, Any]) -> None:
            text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text) + (10 if fake.cut_after_create_lines else 0)))
            self.end_headers()
            self.wfile.write(text)

        def do_HEAD(self) -> None:  # noqa: N802
            self._say(200 if self.path.rpartition("/")[2] in fake.blobs else 404)

        def do_GET(self) -> None:  # noqa: N802
            self._say(200, {"version": fake.version})

        def do_POST(self) -> None:  # noqa: N802
            body = self._body()
            if self.path.startswith("/api/blobs/"):
                digest = self.path.rpartition("/")[2]
                fake.sent.append(digest)
                if digest != "sha256:" + hashlib.sha256(body).hexdigest():
                    return self._say(400, {"error": "digest mismatch"})
                fake.blobs[digest] = body
                return self._say(fake.blob_status)
            request = json.loads(body)
            if self.path == "/api/create":
                if not set(request["files"].values()) <= set(fake.blobs):
                    return self._say(400, {"error": "invalid digest"})
                fake.models[request["model"]] = request
                return self._say(200, *fake.create_lines)
            fake.chats.append(request)
            if request["model"] not in fake.models:
                return self._say(404, {"error": f"model '{request['model']}' not found"})
            text = fake.answer(fake.models[request["model"]], request["messages"])
            return self._say(200, {"message": {"role": "assistant", "content": text}, "done": True})

    return Handler
