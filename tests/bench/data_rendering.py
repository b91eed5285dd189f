"""Speed of rendering and counting tokens, and what the data job finds in every file of a folder of real datasets.

    python tests/bench/data_rendering.py SHARED_FOLDER

Prints one Markdown table: file, rows, format, rows a second with the model's tokenizer, findings.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.data.inspect import inspect_data
from engine.data.read import ROW_SUFFIXES
from engine.errors import UserError


def inspect(path: Path, model: Path) -> tuple[dict[str, object], str]:
    """The document of one file, read as UTF-8 or else in the encoding that the message suggests."""
    try:
        return inspect_data({"source": str(path), "model": str(model)}), ""
    except UserError as error:
        codec = next((word for word in ("cp1252", "latin-1") if word in error.fix), "")
        if not codec:
            raise
        return inspect_data({"source": str(path), "model": str(model), "encoding": codec}), codec


def main() -> None:
    shared = Path(sys.argv[1])
    model = shared / "models/tokenizers/Qwen--Qwen2.5"
    print("| file | rows | format | confidence | encoding asked | s | findings |\n|---|---|---|---|---|---|---|")
    for path in sorted((shared / "data/datasets").rglob("*")):
        if path.suffix not in ROW_SUFFIXES or "JSONTestSuite" in str(path) or path.name == "MANIFEST.json":
            continue
        started = time.perf_counter()
        name = path.relative_to(shared / "data/datasets")
        try:
            document, codec = inspect(path, model)
        except UserError as error:
            print(f"| {name} | | refused | | | | {error.what[:160]} |", flush=True)
            continue
        seconds = time.perf_counter() - started
        findings = "; ".join(f"{found['kind']} {found['count']}" for found in document["findings"])  # type: ignore[attr-defined]
        found_as = f"{document['format'] or 'unknown'} | {document['confidence']} | {codec}"
        print(f"| {name} | {document['rows']} | {found_as} | {seconds:.1f} | {findings} |", flush=True)


if __name__ == "__main__":
    main()
