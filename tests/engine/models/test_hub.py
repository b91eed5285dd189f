"""Models on the Hub, with a fake Hub on this machine: small files only, and every refusal in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "a" * 40
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32, "max_position_embeddings": 64,
}  # fmt: skip
SMALL = {"config.json": json.dumps(CONFIG), "tokenizer.json": "{}", "chat_template.jinja": "{{ messages }}"}
WEIGHTS = {"someone/small": ("model.safetensors", 5000), "someone/pickled": ("pytorch_model.bin", 5000)}


class FakeHub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks: model_info, and HEAD and GET of small files. Weights are never served."""

    asked: list[str] = []

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            self._info(self.path.removeprefix("/api/models/").partition("?")[0].partition("/revision/")[0])
        else:
            self._file(body=True)

    def _info(self, name: str) -> None:
        if name == "someone/gated":
            self._answer(403, {"X-Error-Code": "GatedRepo"}, b"{}")
        elif name not in WEIGHTS:
            self._answer(404, {"X-Error-Code": "RepoNotFound"}, b"{}")
        else:
            weights, size = WEIGHTS[name]
            files = [{"rfilename": file, "size": len(text)} for file, text in SMALL.items()]
            document = {
                "id": name, "sha": COMMIT, "siblings": [*files, {"rfilename": weights, "size": size}],
                "tags": ["license:mit"], "gated": False, "private": False,
            }  # fmt: skip
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _file(self, body: bool) -> None:
        file = self.path.partition("?")[0].rpartition("/")[2]
        FakeHub.asked.append(file)
        if file not in SMALL:
            self._answer(404, {"X-Error-Code": "EntryNotFound"}, b"")
            return
        content = SMALL[file].encode()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{file}"', "Content-Length": str(len(content))}
        self._answer(200, headers, content if body else b"")

    def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_hub_models_are_found_or_refused_in_words(hub: str, tmp_path: Path) -> None:
    """One process for all cases: huggingface_hub reads its address when it is imported."""
    code = """
import json
from engine.errors import UserError
from engine.models.find import find_model
found = {}
for name in ("someone/small", "someone/pickled", "someone/gated", "someone/absent"):
    try:
        model = find_model(name)
        found[name] = [str(model.directory), model.download_bytes, model.licence, model.has_chat_template,
                       model.tokenizer_path.name, model.revision]
    except UserError as error:
        found[name] = [error.what, error.fix]
print(json.dumps(found))
"""
    settings = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | settings, timeout=120,
        cwd=Path(__file__).resolve().parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["someone/small"] == ["None", 5000, "mit", True, "tokenizer.json", COMMIT]
    assert "pickled" in found["someone/pickled"][0]
    assert "owner has agreed" in found["someone/gated"][0] and "hf auth login" in found["someone/gated"][1]
    assert "no model" in found["someone/absent"][0] and "Check the spelling" in found["someone/absent"][1]
    assert "model.safetensors" not in FakeHub.asked, "weights are never fetched to plan"
