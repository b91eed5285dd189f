"""Packed files of every kind and format, whole and damaged; encodings that are found, shown and asked for."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.data.encoding import suggest_encoding
from engine.data.read import read_rows
from engine.data.rows import ReadOptions
from engine.errors import UserError

zstandard = pytest.importorskip("zstandard")
Make = Callable[..., Path]

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": lambda data: bytes(zstandard.compress(data)),
}  # fmt: skip
CONTENT: dict[str, bytes] = {
    ".jsonl": b'{"prompt": "007", "completion": "caf\xc3\xa9"}\n',
    ".json": b'[{"prompt": "007", "completion": "caf\xc3\xa9"}]',
    ".csv": b"prompt,completion\n007,caf\xc3\xa9\n",
    ".tsv": b"prompt\tcompletion\n007\tcaf\xc3\xa9\n",
    ".txt": b"007 caf\xc3\xa9\n",
    ".md": b"# 007\ncaf\xc3\xa9\n",
}


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("suffix", CONTENT)
def test_every_format_in_every_packing_reads_as_if_it_were_bare(make_file: Make, suffix: str, packing: str) -> None:
    bare = list(read_rows(make_file(f"a{suffix}", CONTENT[suffix])))
    packed = list(read_rows(make_file(f"b{suffix}{packing}", PACK[packing](CONTENT[suffix]))))
    assert [row.fields for row in packed] == [row.fields for row in bare] and bare
    assert packed[0].line == bare[0].line


@pytest.mark.parametrize("packing", PACK)
def test_a_packed_parquet_file(make_file: Make, packing: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([{"prompt": "007", "completion": "b"}]), made)
    path = make_file(f"a.parquet{packing}", PACK[packing](made.getvalue()))
    assert [row.fields for row in read_rows(path)] == [{"prompt": "007", "completion": "b"}]
    broken = make_file(f"b.parquet{packing}", PACK[packing](made.getvalue()[:-9]))
    with pytest.raises(UserError, match="not a whole Parquet file"):
        list(read_rows(broken))


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_packed_file_is_said_and_no_row_is_invented(make_file: Make, packing: str, damage: str) -> None:
    lines = [b'{"prompt": "%d", "completion": "%d"}\n' % (n, n * 7919) for n in range(20000)]
    packed = bytearray(PACK[packing](b"".join(lines)))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 0xFF
        packed[len(packed) // 2 + 1] ^= 0xFF
    read = []
    with pytest.raises(UserError) as caught:
        for row in read_rows(make_file(f"a.jsonl{packing}", bytes(packed))):
            read.append(row.fields["prompt"])
    assert "a.jsonl" in caught.value.where and caught.value.fix
    assert len(read) < 20000
    if damage == "cut":
        assert read == [str(n) for n in range(len(read))]


@pytest.mark.parametrize("packing", PACK)
def test_joined_packed_files_are_read_to_the_end(make_file: Make, packing: str) -> None:
    """`cat a.gz b.gz` is a valid file of each of these packings."""
    pack = PACK[packing]
    path = make_file(f"a.jsonl{packing}", pack(b'{"text": "one"}\n') + pack(b'{"text": "two"}\n'))
    assert [row.fields["text"] for row in read_rows(path)] == ["one", "two"]


LONG = {
    "cp1251": "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 3,
    "shift_jis": "これは日本語の文章です。文字コードを調べるために書かれています。" * 3,
    "gb18030": "这是一个用来测试编码检测的中文句子。我们希望它能被正确识别。" * 3,
    "cp1250": "Zażółć gęślą jaźń, a potem pójdźmy na świeże pączki z różą. " * 3,
    "cp1252": "Le café coûte déjà très cher, où êtes-vous allés cet été ? À l’hôtel. " * 3,
}


@pytest.mark.parametrize("codec", LONG)
def test_an_encoding_is_found_and_shown_and_not_assumed(make_file: Make, codec: str) -> None:
    text = '{"text": "' + LONG[codec] + '"}\n'
    path = make_file("a.jsonl", text.encode(codec))
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    assert caught.value.where == f"{path}:1"
    suggested, words = suggest_encoding(text.encode(codec))
    assert f"data.encoding to {suggested}" in caught.value.fix and words in caught.value.fix
    assert f"--set data.encoding={suggested}" in caught.value.fix and "\\n" not in caught.value.fix
    assert next(read_rows(path, options=ReadOptions(encoding=suggested))).fields["text"] == LONG[codec]


@pytest.mark.parametrize("word", ["café", "naïve", "über", "sister\xf0city"])
def test_one_odd_letter_is_taken_for_the_usual_western_code_page(word: str) -> None:
    assert suggest_encoding(f"a plain sentence with {word} in it".encode("latin-1"))[0] == "cp1252"
