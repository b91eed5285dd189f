"""A fake Hub of datasets on this machine's loopback: what huggingface_hub and datasets ask, and every way to refuse."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MAIN, OLD = "a" * 40, "b" * 40


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pair(text: str) -> dict[str, str]:
    return {"prompt": f"question {text}", "completion": f"answer {text}"}


def parquet(*rows: dict[str, Any]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    made = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), made)
    return made.getvalue()


CARD = """\
---
configs:
- config_name: english
  data_files: [{split: train, path: en/train.jsonl}]
- config_name: german
  data_files: [{split: train, path: de/train.jsonl}]
---
"""


def repositories() -> dict[str, dict[str, dict[str, bytes]]]:
    """Name -> revision -> files."""
    two = {"data/train-00000-of-00001.parquet": parquet(*(pair(f"p{n}") for n in range(30))),
           "data/test-00000-of-00001.parquet": parquet(pair("t1"), pair("t2"))}  # fmt: skip
    return {
        "someone/parquet": {MAIN: two},
        "someone/lines": {MAIN: {"train.jsonl": lines(pair("new"))}, OLD: {"train.jsonl": lines(pair("old"))}},
        "someone/configs": {MAIN: {"README.md": CARD.encode(), "en/train.jsonl": lines(pair("en")),
                                   "de/train.jsonl": lines(pair("de"))}},
        "someone/script": {MAIN: {"script.py": b"raise SystemExit('the code of the data set was run')\n",
                                  "README.md": b"# A data set made by code\n"}},
        "someone/empty": {MAIN: {"README.md": b"# Nothing\n"}},
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, dict[str, bytes]]] = {}
    asked: list[str] = []

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._respond(body=False)

    def do_GET(self) -> None:
        self._respond(body=True)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size).decode()
        wanted = json.loads(sent).get("paths", []) if sent.startswith("{") else parse_qs(sent).get("paths", [])
        self._respond(body=True, wanted=wanted)

    def _respond(self, body: bool, wanted: list[str] | None = None) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.asked.append(f"{self.command} {path}")
        parts = path.split("/")
        api = parts[:2] == ["api", "datasets"]
        name = "/".join(parts[2:4] if api else parts[1:3])
        if not api and parts[0] != "datasets":
            return self._answer(404, {}, b"{}", body)
        if name == "someone/gated":
            return self._answer(403, {"X-Error-Code": "GatedRepo"}, b'{"error": "gated"}', body)
        if name == "someone/broken":
            return self._answer(500, {}, b'{"error": "broken"}', body)
        revisions = self.repositories.get(name)
        if revisions is None:
            return self._answer(404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}', body)
        return self._api(name, revisions, parts[4:], body, wanted) if api else self._file(revisions, parts[3:], body)

    def _api(
        self,
        name: str,
        revisions: dict[str, dict[str, bytes]],
        rest: list[str],
        body: bool,
        wanted: list[str] | None,
    ) -> None:
        kind, revision = (rest[0], rest[1]) if len(rest) > 1 else ("revision", "main")
        commit = MAIN if revision == "main" else OLD if revision == "old" else revision
        files = revisions.get(commit)
        if files is None:
            return self._answer(404, {"X-Error-Code": "RevisionNotFound"}, b'{"error": "no revision"}', body)
        if kind in ("tree", "paths-info"):
            under = "/".join(rest[2:])
            listed = _paths(files, wanted) if wanted is not None else _paths(files, _below(files, under, self.path))
            if wanted is None and not listed:
                return self._answer(404, {"X-Error-Code": "EntryNotFound"}, b'{"error": "no such folder"}', body)
            return self._answer(200, {}, json.dumps(listed).encode(), body)
        siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
        document = {"_id": "1", "id": name, "sha": commit, "siblings": siblings, "tags": [], "gated": False,
                    "private": False, "disabled": False, "downloads": 0, "likes": 0}  # fmt: skip
        return self._answer(200, {}, json.dumps(document).encode(), body)

    def _file(self, revisions: dict[str, dict[str, bytes]], rest: list[str], body: bool) -> None:
        revision, path = rest[1], "/".join(rest[2:])
        commit = MAIN if revision == "main" else OLD if revision == "old" else revision
        content = revisions.get(commit, {}).get(path)
        if content is None:
            return self._answer(404, {"X-Error-Code": "EntryNotFound"}, b"", body)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{commit}-{path}"', "Accept-Ranges": "bytes"}
        ranged = self.headers.get("Range")
        if ranged:
            first, _, last = ranged.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            return self._answer(206, headers, content[begin : end + 1], body)
        return self._answer(200, headers, content, body)

    def _answer(self, code: int, headers: dict[str, str], content: bytes, body: bool) -> None:
        self.send_response(code)
        for name, value in (
            {"Content-Length": str(len(content)), "Content-Type": "application/json"} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _below(files: dict[str, bytes], under: str, asked: str) -> list[str]:
    """The folders and files in a folder, or all below it where the question says so."""
    folders = {path.rpartition("/")[0] for path in files} - {""}
    paths = [path for path in (*sorted(folders), *files) if not under or path.startswith(under + "/")]
    deep = "recursive=true" in asked.lower()
    return [path for path in paths if deep or "/" not in path[len(under) :].strip("/")]


def _paths(files: dict[str, bytes], paths: list[str]) -> list[dict[str, Any]]:
    known = {"oid": "c" * 40}
    found: list[dict[str, Any]] = []
    for path in paths:
        if path in files:
            found.append({"type": "file", "path": path, "size": len(files[path]), **known})
        elif any(file.startswith(path + "/") for file in files):
            found.append({"type": "directory", "path": path, "size": 0, **known})
    return found


@contextmanager
def fake_hub() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked so far."""
    handler = type("Handler", (_Handler,), {"repositories": repositories(), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
