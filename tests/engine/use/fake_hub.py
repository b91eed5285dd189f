"""A small Hub on loopback: enough of its protocol for a push by huggingface_hub, for tests."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeHub:
    """Repositories by name: {"visibility" or "private", "files": {path: bytes}}. `fail` is a status for commits."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.large: dict[str, bytes] = {}
        self.fail_commit = 0
        self.drop_large = False
        self.came: threading.Event = threading.Event()
        """Set when a large file begins to come."""
        self.hold_large = False
        """Whether large files are never answered for."""


@contextmanager
def fake_hub() -> Iterator[tuple[FakeHub, str]]:
    """The fake and its address; ends with the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _mode(path: str) -> dict[str, Any]:
    kind = "lfs" if path.endswith(".safetensors") else "regular"
    return {"path": path, "uploadMode": kind, "shouldIgnore": False}


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _say(self, status: int, document: Any) -> None:
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _address(self) -> str:
            return f"http://{self.headers['Host']}"

        def do_PUT(self) -> None:  # noqa: N802
            hub.came.set()
            if hub.hold_large:
                threading.Event().wait(60)
                return
            body = self._body()
            if hub.drop_large:
                self.close_connection = True
                return
            hub.large[hashlib.sha256(body).hexdigest()] = body
            self._say(200, {})

        def do_GET(self) -> None:  # noqa: N802
            self._say(404, {"error": "not found"})

        def do_POST(self) -> None:  # noqa: N802
            if self.headers.get("Authorization") != "Bearer hf_test":
                self._body()
                return self._say(401, {"error": "Invalid token"})
            body = self._body()
            name = "/".join(self.path.split("/")[3:5])
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                made = f"{asked['organization']}/{asked['name']}"
                hub.repositories.setdefault(made, {**asked, "files": {}})
                return self._say(200, {"url": f"{self._address()}/{made}", "name": made})
            if self.path == "/api/validate-yaml":
                return self._say(200, {"errors": [], "warnings": []})
            if "/preupload/" in self.path:
                files = json.loads(body)["files"]
                return self._say(200, {"files": [_mode(file["path"]) for file in files]})
            if self.path.endswith("/info/lfs/objects/batch"):
                return self._say(200, {"transfer": "basic", "objects": self._large(json.loads(body))})
            if "/commit/" in self.path:
                return self._commit(name, body)
            return self._say(404, {"error": self.path})

        def _large(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
            objects = []
            for item in asked["objects"]:
                upload = {"upload": {"href": f"{self._address()}/large/{item['oid']}"}}
                known = item["oid"] in hub.large
                objects.append({"oid": item["oid"], "size": item["size"], **({} if known else {"actions": upload})})
            return objects

        def _commit(self, name: str, body: bytes) -> None:
            if hub.fail_commit:
                return self._say(hub.fail_commit, {"error": "no"})
            files = hub.repositories[name]["files"]
            for line in body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
            return self._say(200, {"commitUrl": f"{self._address()}/{name}/commit/abc", "commitOid": "abc"})

    return Handler
