"""Writes the bad data files that people really have, each with what must come of it.

The outcome is a number of rows (read right), or the words of the error and the line that it names (0: no line).
`note` are words of a note that must be said when the file is read.
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

OK = {"prompt": "hi", "completion": "yo"}


@dataclass(frozen=True)
class BadFile:
    name: str
    content: bytes | Callable[[Path], None]
    rows: int = -1
    words: str = ""
    line: int = 0
    note: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if callable(self.content):
            self.content(path)
        else:
            path.write_bytes(self.content)
        return path


def _json(row: object) -> str:
    return json.dumps(row, ensure_ascii=False)


def _lines(*rows: object) -> bytes:
    return "".join(_json(row) + "\n" for row in rows).encode()


GOOD = _lines(*[OK] * 50)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _parquet(path: Path, share: float = 1.0) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["a"] * 1000, "completion": ["b"] * 1000}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def bad_files() -> Iterator[BadFile]:
    """All of them."""
    yield from _layouts()
    yield from _encodings()
    yield from _values()
    yield from _tables()
    yield from _packed()
    yield from _no_files()


def _layouts() -> Iterator[BadFile]:
    broken = [_json(OK)] * 50
    broken[36] = '{"prompt": "hi", "completion": '
    yield BadFile("empty.jsonl", b"", words="is empty")
    yield BadFile("onlynl.jsonl", b"\n\n\n", words="no rows")
    yield BadFile("one.jsonl", _lines(OK), 1)
    yield BadFile("crlf.jsonl", GOOD.replace(b"\n", b"\r\n"), 50)
    yield BadFile("cr.jsonl", GOOD.replace(b"\n", b"\r"), 50)
    yield BadFile("broken_line_37.jsonl", "\n".join(broken).encode(), words="not a row of JSON", line=37)
    yield BadFile("trailing_comma.jsonl", (_json(OK) + ",\n").encode() * 5, words="comma behind", line=1)
    yield BadFile("json_array.json", json.dumps([OK] * 5).encode(), 5)
    yield BadFile("json_array_named.jsonl", json.dumps([OK] * 5, indent=1).encode(), 5, note="one JSON value")
    yield BadFile("single_quotes.jsonl", b"{'prompt':'a','completion':'b'}\n" * 4, words="Python", line=1)
    yield BadFile("json_dict_of_rows.json", json.dumps({"data": [OK] * 5}).encode(), 5, note='under "data"')
    yield BadFile("alpaca.json", json.dumps([{"instruction": "a", "input": "", "output": "b"}] * 3).encode(), 3)
    yield BadFile("mixed_keys.jsonl", _lines(*[OK, {"instruction": "a", "output": "b"}] * 10), 20)


def _encodings() -> Iterator[BadFile]:
    latin = (_json({"prompt": "café", "completion": "x"}) + "\n").encode("latin-1") * 5
    yield BadFile("bom.jsonl", b"\xef\xbb\xbf" + GOOD, 50, note="byte order mark")
    yield BadFile("utf16.jsonl", GOOD.decode().encode("utf-16"), 50, note="UTF-16")
    yield BadFile("latin1.jsonl", latin, words="0xE9", line=1)
    yield BadFile("latin1.csv", b"prompt,completion\ncaf\xe9,x\n", words="0xE9", line=2)
    yield BadFile("nul_bytes.jsonl", GOOD + b"\0\0\0\n", words="NUL", line=51)
    yield BadFile("ctrl.jsonl", b'{"prompt":"a\x1b[31m","completion":"b"}\n', words="control character", line=1)
    yield BadFile("lone_surrogate.jsonl", b'{"prompt":"\\ud800","completion":"b"}\n' * 3, words="surrogate", line=1)


def _values() -> Iterator[BadFile]:
    late = [{"prompt": "a", "completion": "x"}] * 2000 + [{"prompt": "a", "completion": {"t": 1}}] * 50
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}
    calls = {"messages": [{"role": "assistant", "content": "b", "tool_calls": [{"id": 1}]}]}
    huge = _lines({"prompt": "x" * 10_000_000, "completion": "y"})
    yield BadFile("mixed_types.jsonl", _lines(*[{"prompt": "a", "completion": v} for v in (1, "x") * 10]), 20)
    yield BadFile("late_type.jsonl", _lines(*late), 2050)
    yield BadFile(
        "null.jsonl", _lines(*[{"prompt": None if n % 5 == 0 else "a", "completion": "x"} for n in range(20)]), 20
    )
    yield BadFile("all_null.jsonl", _lines(*[{"prompt": None, "completion": None}] * 5), 5)
    yield BadFile("nan.jsonl", b'{"prompt":"a","completion":NaN}\n', words="NaN is not JSON", line=1)
    yield BadFile("dupkeys.jsonl", b'{"prompt":"a","prompt":"b","completion":"c"}\n', words="twice", line=1)
    yield BadFile("messages_mixed.jsonl", _lines(chat, parts), 2)
    yield BadFile("messages_extra.jsonl", _lines(chat, calls), 2)
    yield BadFile("nested_list_len.jsonl", _lines({"a": [[1, 2], [3]]}, {"a": [["x"]]}), 2)
    yield BadFile("hugeline.jsonl", huge + GOOD, 51)
    yield BadFile("hugeline40.jsonl", huge.replace(b"x" * 1000, b"x" * 4000) + GOOD, 51)
    yield BadFile("deep.jsonl", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}\n", words="nested too deeply", line=1)
    yield BadFile("bigint.jsonl", b'{"prompt":"a","completion":123456789012345678901234567890}\n', 1)
    yield BadFile("dates.jsonl", b'{"prompt":"2024-01-01T00:00:00","completion":"2024-01-02"}\n' * 3, 3)


def _tables() -> Iterator[BadFile]:
    yield BadFile("numstr.csv", b"prompt,completion\n007,1e5\nTrue,NaN\nNA,null\n", 3)
    yield BadFile("ragged.csv", b"a,b\n1,2\n1,2,3\n1\n", words="3 cells", line=3)
    yield BadFile("nohdr.csv", b"what is it?,foo\nwho is it?,bar\n", 2, note="looks like data")
    yield BadFile("semicolon.csv", b"prompt;completion\na;b\n", 1, note="semicolon")
    yield BadFile("tab.csv", b"prompt\tcompletion\na\tb\n", 1, note="tab")
    yield BadFile("quote_unclosed.csv", b'prompt,completion\n"abc,def\nx,y\n', words="never closed", line=2)
    yield BadFile("emptyfile.csv", b"", words="is empty")
    yield BadFile("newline_in_cell.csv", b'prompt,completion\n"a\nb",c\n', 1)
    yield BadFile("dupcol.csv", b"a,a\n1,2\n", 1, note="Two columns")
    yield BadFile("excel_sep.csv", b"sep=,\nprompt,completion\na,b\n", 1, note="Excel")


def _packed() -> Iterator[BadFile]:
    yield BadFile("good.jsonl.gz", gzip.compress(GOOD), 50)
    yield BadFile("good.jsonl.bz2", bz2.compress(GOOD), 50)
    yield BadFile("trunc.jsonl.gz", gzip.compress(GOOD * 2000)[:-3000], words="incomplete")
    yield BadFile("notgz.jsonl.gz", GOOD, words="not a gzip file")
    yield BadFile("zst.jsonl.zst", b"\x28\xb5\x2f\xfd\x04\x00garbage", words="damaged|not installed")
    yield BadFile("good.parquet", _parquet, 1000)
    yield BadFile("trunc.parquet", lambda path: _parquet(path, 0.5), words="not a whole Parquet file")
    yield BadFile("empty.parquet", b"", words="is empty")
    yield BadFile("json_as.parquet", GOOD, words="not a whole Parquet file")


def _no_files() -> Iterator[BadFile]:
    yield BadFile("xlsx.jsonl", b"PK\x03\x04" + bytes(2000), words="Excel")
    yield BadFile("html.jsonl", b"<!DOCTYPE html><html>404</html>", words="web page")
    yield BadFile("lfs.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", words="git lfs pull")
    yield BadFile("loopa.jsonl", _loop, words="loop")
    yield BadFile("dir.jsonl", lambda path: path.mkdir(), words="directory")
    yield BadFile("missing.jsonl", lambda path: None, words="no file")
    yield BadFile("fifo.jsonl", lambda path: os.mkfifo(path), words="pipe")
    yield BadFile("zero.jsonl", lambda path: path.symlink_to("/dev/zero"), words="device")
