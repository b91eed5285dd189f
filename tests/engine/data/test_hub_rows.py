"""Datasets on a fake Hub: parquet and JSON lines by config, split and revision, and every refusal in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .fake_hub import fake_hub

# found and not imported: huggingface_hub reads whether it is offline when it is imported, and other tests set that
pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.skipif(find_spec("datasets") is None, reason="the package datasets is not installed"),
]
ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import json, sys, time
import huggingface_hub.utils._http as http
http.time.sleep = lambda seconds: None
from engine.data.inspect import inspect_data
from engine.errors import UserError
answers = []
for request in json.load(sys.stdin):
    try:
        document = inspect_data(request)
        answers.append([document["rows"], document["format"], document["previews"][0]["turns"][1]["content"]])
    except UserError as error:
        answers.append([error.what, error.fix])
print(json.dumps(answers))
"""


def ask(address: str, home: Path, requests: list[dict[str, Any]]) -> list[list[Any]]:
    """One process for all requests: huggingface_hub reads its address when it is imported."""
    settings = {
        "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(requests), capture_output=True, text=True,
        env=os.environ | settings, cwd=ROOT, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


READ: list[tuple[dict[str, Any], list[Any]]] = [
    ({"source": "someone/parquet"}, [30, "prompt_completion", "answer p0"]),
    ({"source": "someone/parquet", "split": "test"}, [2, "prompt_completion", "answer t1"]),
    ({"source": "someone/lines"}, [1, "prompt_completion", "answer new"]),
    ({"source": "someone/lines", "revision": "old"}, [1, "prompt_completion", "answer old"]),
    ({"source": "someone/configs", "config": "german"}, [1, "prompt_completion", "answer de"]),
]
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"source": "someone/parquet", "split": "nope"}, "no split nope; it has: train, test", "data.split"),
    ({"source": "someone/lines", "revision": "zzz"}, "no revision zzz", "data.revision"),
    ({"source": "someone/configs"}, "several configurations: english, german", "data.config"),
    ({"source": "someone/configs", "config": "french"}, "no configuration french; it has: english, german", "config"),
    ({"source": "someone/script"}, "no code of a dataset is run", "refs/convert/parquet"),
    ({"source": "someone/empty"}, "holds no files of rows", "another dataset"),
    ({"source": "someone/gated"}, "asks for an agreement", "hf auth login"),
    ({"source": "someone/absent"}, "There is no dataset someone/absent", "Check the name"),
    ({"source": "someone/broken"}, "fault of its own (500)", "Try again later"),
]


def test_datasets_are_read_or_refused_in_words(tmp_path: Path) -> None:
    requests = [request for request, _ in READ] + [request for request, *_ in REFUSED]
    with fake_hub() as (address, _):
        answers = ask(address, tmp_path, requests)  # the script would end the process if it were run
    for (request, wanted), answer in zip(READ, answers, strict=False):
        assert answer == wanted, request
    for (request, what, fix), answer in zip(REFUSED, answers[len(READ) :], strict=True):
        assert what in answer[0] and fix in answer[1], (request, answer)


def test_a_hub_that_cannot_be_reached_is_told_apart(tmp_path: Path) -> None:
    with fake_hub() as (address, _):
        pass  # nobody listens there any more
    ((what, fix),) = ask(address, tmp_path, [{"source": "someone/lines"}])
    assert "The Hub cannot be reached" in what and "connection" in fix
