"""Parquet tables as the hub hands them out, with recordings embedded in a column.

pyarrow reads them; it comes with the extra ``train`` and is asked for only when a table is met.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from esrt_privacy.corpora.extraction import MAX_CLIP_BYTES, Extraction
from esrt_privacy.corpora.utterance import shown
from esrt_privacy.errors import CorpusError
from esrt_privacy.progress import Reporter, silent

SUFFIX = ".parquet"

_TEXT_ROWS = 1024  # read at a time
_AUDIO_ROWS = 8


class Embedded(NamedTuple):
    """Where each row's recording lies now, by the row's number, and what was left out."""

    files: dict[int, Path]
    notes: list[str]


def is_readable() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def require_reader(path: Path) -> None:
    """Raises CorpusError where pyarrow is missing, naming the table that needs it."""
    if not is_readable():
        raise CorpusError(
            f"{shown(path)}: Parquet tables need pyarrow, which is not installed; run pip install "
            "pyarrow"
        )


def column_names(path: Path) -> frozenset[str]:
    """The columns of a table. Raises CorpusError where it cannot be read."""
    with _reading(path) as table:
        return frozenset(table.schema_arrow.names)


def read_rows(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """Each row's ``columns`` ("audio.path" names a part of one), without reading any other.

    Raises CorpusError where the table cannot be read.
    """
    with _reading(path) as table:
        for batch in table.iter_batches(_TEXT_ROWS, columns=list(columns), use_threads=False):
            yield from batch.to_pylist()


def take_out(path: Path, column: str, report: Reporter = silent) -> Embedded:
    """Take the recordings of ``column`` (bytes and path) into the cache, once.

    What lies before a damaged place is used. Raises CorpusError where pyarrow is missing or the
    cache cannot be written.
    """
    taken = Extraction(path)
    damage = []
    if not taken.complete:
        with taken:
            try:
                with _reading(path) as table:
                    _take(table, column, taken, report, f"unpacking {shown(path.name)}")
                taken.finish()
            except _DamageError as error:
                damage = [str(error)]
    return Embedded(
        {int(key): file for key, file in taken.files.items() if key.isdecimal()},
        [*taken.notes, *damage],
    )


class _DamageError(CorpusError):
    """The table itself cannot be read, or not to its end."""


def _take(table: Any, column: str, taken: Extraction, report: Reporter, label: str) -> None:
    rows, number = table.metadata.num_rows, 0
    for group in range(table.num_row_groups):
        after = number + table.metadata.row_group(group).num_rows
        if any(str(row) not in taken.files for row in range(number, after)):
            batches = table.iter_batches(
                _AUDIO_ROWS, row_groups=[group], columns=[column], use_threads=False
            )
            for batch in batches:
                for index, value in enumerate(batch.column(0).to_pylist(), start=number):
                    _keep(index, value, taken)
                number += batch.num_rows
                report(label, number, rows)
        number = after
    report(label, rows, rows)


def _keep(number: int, value: Any, taken: Extraction) -> None:
    content = value.get("bytes") if isinstance(value, dict) else None
    if str(number) in taken.files:
        return
    if not isinstance(content, bytes):
        taken.leave_out(f"row {number}: no recording in it")
    elif not 0 < len(content) <= MAX_CLIP_BYTES:
        taken.leave_out(f"row {number}: {len(content)} bytes, where 1 to {MAX_CLIP_BYTES} are read")
    else:
        taken.keep(str(number), str(value.get("path") or ""), io.BytesIO(content))


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    require_reader(path)
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield table
    except CorpusError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _DamageError(
            f"{shown(path)}: damaged or no Parquet table ({shown(error)}); download it again"
        ) from error
