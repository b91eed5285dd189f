"""Rows of Parquet files. pyarrow comes with the training extra and is imported only here."""

from __future__ import annotations

import datetime
import decimal
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from engine.data.packed import open_packed, packed_suffix
from engine.data.rows import ReadOptions, ReadReport, Row, no_rows
from engine.data.source import check_path
from engine.errors import UserError
from engine.machine.packages import install_command

_ROWS_AT_ONCE = 256


def read_parquet(path: Path, options: ReadOptions, report: ReadReport) -> Iterator[Row]:
    """Rows with Python values; dates as ISO text, decimals as their digits. UserError for a damaged file."""
    facts = check_path(path)
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError(
            f"{path.name} is a Parquet file, and the package that reads it is not installed.",
            str(path),
            f"Install it with: {install_command('pyarrow')}, or save the rows as .jsonl.",
        ) from None
    if facts.st_size == 0:
        raise no_rows(path)
    report.encoding = "binary"
    try:
        file = parquet.ParquetFile(_unpacked(path, report) if packed_suffix(path) else path)
        if file.metadata.num_rows == 0:
            raise no_rows(path)
        yield from _rows(path, file, report)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path.name} is not a whole Parquet file ({_first_line(error)}).",
            str(path),
            "Download or write the file again.",
        ) from None


def _unpacked(path: Path, report: ReadReport) -> IO[bytes]:
    """The unpacked file in a nameless temporary one: Parquet is read from its end, and a packed stream has none."""
    report.note("The packed Parquet file is unpacked into a temporary file while it is read.")
    whole = tempfile.TemporaryFile(prefix="tunewright-")  # noqa: SIM115 - the reader closes it with itself
    with open_packed(path) as stream:
        shutil.copyfileobj(stream, whole, 1 << 20)
    whole.seek(0)
    return whole


def _rows(path: Path, file: Any, report: ReadReport) -> Iterator[Row]:
    number = 0
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise UserError("Two columns of the Parquet file have the same name.", str(path), "Rename one of them.")
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
        report.bytes_read += batch.nbytes
        for fields in batch.to_pylist():
            number += 1
            yield Row(number, {name: plain_value(value) for name, value in fields.items()}, 0, str(path))


def plain_value(value: Any) -> Any:
    """A value of the kinds that JSON has."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    return value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:160]
