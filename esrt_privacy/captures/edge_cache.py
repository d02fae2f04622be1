"""The edge cache of the released ESRT script: a Hugging Face dataset on disk, read by pyarrow alone.

`save_to_disk` writes a folder of Arrow stream files with `state.json` beside them; a dictionary of
datasets is a folder of such folders with `dataset_dict.json`. No code of `datasets` runs, nothing
is unpickled. Files are memory-mapped, and every length in them is checked against the bytes that
are there before a value is touched.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from esrt_privacy.captures.store import About
from esrt_privacy.errors import CaptureError, shown

if TYPE_CHECKING:
    import pyarrow

STATE_FILE = "state.json"
DICTIONARY_FILE = "dataset_dict.json"
AUDIO_COLUMN = "audio"
TENSOR_COLUMN = "adapter_embeds"
SYSTEM_NAME = "edge cache"
TAP = "qformer"
MAX_JSON_BYTES = 16 * 1024 * 1024
# What Arrow's reader raises beside its own errors.
DAMAGE = (OSError, ValueError, EOFError, MemoryError, StopIteration, struct.error)
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"  # a message of no bytes (Arrow format, IPC streaming)


@dataclass(frozen=True)
class CachedRow:
    """One row: the key of its tensor, and what the script called its audio (None: nothing)."""

    key: str
    audio: str | None


class EdgeCache:
    """The tensors of an edge cache, (vectors, width) each, keyed by content and row."""

    keyed_by_audio = False

    def __init__(self, folder: Path, about: About, tensors: dict[str, np.ndarray]) -> None:
        self.folder = folder
        self.about = about
        self._tensors = tensors  # views of the mapped files
        self._checked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._tensors

    def tensor(self, key: str) -> Tensor:
        """One row's tensor (vectors, width). Raises CaptureError for a missing or broken one."""
        if key not in self._tensors:
            raise CaptureError(f"{self.folder}: no tensor of this audio in the edge cache")
        # Copied out of the mapping, which is read-only.
        tensor = torch.from_numpy(np.array(self._tensors[key]))
        if key not in self._checked:
            if not torch.isfinite(tensor).all():
                row = list(self._tensors).index(key)
                raise CaptureError(
                    f"{self.folder}: {TENSOR_COLUMN} of row {row} holds values that are no numbers;"
                    " make the cache again"
                )
            self._checked.add(key)
        return tensor


def is_edge_cache(folder: Path) -> bool:
    """Whether `folder` looks like a dataset, or a dictionary of datasets, saved on disk."""
    if any((folder / name).is_file() for name in (STATE_FILE, DICTIONARY_FILE)):
        return True
    return any(folder.glob("data-*.arrow"))


def open_edge_cache(folder: Path) -> tuple[EdgeCache, list[CachedRow]]:
    """Map every file of an edge cache; rows in the order of the dataset's files.

    The system that made it is not known: the fingerprint is `unknown-` and the SHA-256 of the
    files. Raises CaptureError, naming the file, for whatever is not an edge cache or is damaged.
    """
    paths = [path for part in _datasets(folder) for path in _data_files(part)]
    content = hashlib.sha256("".join(_file_digest(path) for path in paths).encode()).hexdigest()
    rows: list[CachedRow] = []
    tensors: dict[str, np.ndarray] = {}
    shape: tuple[int, int] | None = None
    for path in paths:
        for audio, values in _batches(path):
            if shape is None:
                shape = values.shape[1:]
            if values.shape[1:] != shape:
                raise CaptureError(
                    f"{path}: tensors of {_times(values.shape[1:])} beside {_times(shape)};"
                    " an edge cache is of one system"
                )
            for name, value in zip(audio, values, strict=True):
                key = hashlib.sha256(f"{content}|{len(rows)}".encode()).hexdigest()
                rows.append(CachedRow(key, name))
                tensors[key] = value
    if shape is None:
        raise CaptureError(f"{folder}: the edge cache has no rows")
    return EdgeCache(folder, About(SYSTEM_NAME, TAP, f"unknown-{content}", shape), tensors), rows


def _datasets(folder: Path) -> list[Path]:
    path = folder / DICTIONARY_FILE
    if not path.is_file():
        return [folder]
    splits = _json(path).get("splits")
    if not isinstance(splits, list) or not splits or not all(map(_is_bare_name, splits)):
        raise CaptureError(f"{path}: does not name the splits of a dataset")
    return [folder / name for name in splits]


def _data_files(folder: Path) -> list[Path]:
    path = folder / STATE_FILE
    if not path.is_file():
        raise CaptureError(
            f"{folder}: {STATE_FILE} is missing, so the dataset was not saved to its end; make the"
            " cache again"
        )
    state = _json(path)
    if state.get("_indices_data_files"):
        # Versions of `datasets` before 1.9 stored a selection beside the whole table.
        raise CaptureError(f"{path}: a selection of rows; save it with a newer version of datasets")
    files = state.get("_data_files")
    rows = files if isinstance(files, list) else []
    names = [row.get("filename") if isinstance(row, dict) else None for row in rows]
    if not names or not all(map(_is_bare_name, names)):
        raise CaptureError(f"{path}: does not name the files of a dataset")
    paths = [folder / str(name) for name in names]
    for file in paths:
        if not file.is_file():
            raise CaptureError(f"{file}: missing, though {STATE_FILE} names it; copy it again")
    return paths


def _is_bare_name(name: object) -> bool:
    # A name from a file must not lead out of its folder.
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("too long")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: cannot be read as JSON ({shown(error)})") from error
    if not isinstance(value, dict):
        raise CaptureError(f"{path}: not what save_to_disk writes")
    return value


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from error


def _batches(path: Path) -> Iterator[tuple[list[str | None], np.ndarray]]:
    """Audio names and tensors (rows, vectors, width) of each record batch; nothing is copied."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise CaptureError(
            f"{path}: reading an edge cache needs pyarrow; install it with"
            " pip install 'esrt-privacy[train]'"
        ) from error
    try:
        mapped = pa.memory_map(str(path))
        _require_end(mapped)
        messages = pa.ipc.MessageReader.open_stream(mapped)
        schema = pa.ipc.read_schema(messages.read_next_message())
        _require_columns(path, schema)
        for message in messages:
            if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
                # Neither is written by `datasets`; a packed buffer could unfold to any size.
                raise CaptureError(f"{path}: packed or encoded columns; save the dataset plainly")
            batch = pa.ipc.read_record_batch(message, schema)
            # Nothing of Arrow's own reading compares lengths and offsets with the bytes there are.
            batch = batch.select([AUDIO_COLUMN, TENSOR_COLUMN])
            batch.validate(full=True)
            if batch.num_rows:
                names = _names(path, batch.column(AUDIO_COLUMN))
                yield names, _tensors(path, batch.column(TENSOR_COLUMN))
    except (pa.ArrowException, *DAMAGE) as error:
        raise CaptureError(f"{path}: damaged Arrow file ({shown(error)}); copy it again") from error


def _require_end(file: pyarrow.MemoryMappedFile) -> None:
    # Cut off between two batches, a stream reads like a shorter one.
    size = file.size()
    if (
        size < len(END_OF_STREAM)
        or file.read_at(len(END_OF_STREAM), size - len(END_OF_STREAM)) != END_OF_STREAM
    ):
        raise ValueError("its end is missing")


def _require_columns(path: Path, schema: pyarrow.Schema) -> None:
    for column in (AUDIO_COLUMN, TENSOR_COLUMN):
        if schema.names.count(column) != 1:
            found = ", ".join(shown(name, 40) for name in schema.names) or "none"
            raise CaptureError(
                f"{path}: not an edge cache: columns {AUDIO_COLUMN} and {TENSOR_COLUMN} are needed,"
                f" found {shown(found)}"
            )


def _names(path: Path, column: pyarrow.Array) -> list[str | None]:
    """Paths of the audio: strings, or `path` of struct{path, bytes}; embedded audio is not read."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
        column = column.field("path")
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise CaptureError(f"{path}: the column {AUDIO_COLUMN} is {shown(kind)}, not paths")
    names: list[str | None] = column.to_pylist()
    return names


def _tensors(path: Path, column: pyarrow.Array) -> np.ndarray:
    """Nested lists of numbers, of one size each level, as a view (rows, vectors, width)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = column.storage
    shape = []
    values = column
    while (
        pa.types.is_list(values.type)
        or pa.types.is_large_list(values.type)
        or pa.types.is_fixed_size_list(values.type)
    ):
        sizes = pc.min_max(pc.list_value_length(values))
        least, most = sizes["min"].as_py(), sizes["max"].as_py()
        if values.null_count or least != most or not most:
            raise CaptureError(
                f"{path}: {TENSOR_COLUMN} has rows that are empty or of different sizes;"
                " an edge cache is of one system"
            )
        shape.append(most)
        values = values.flatten()
    while len(shape) > 2 and shape[0] == 1:
        del shape[0]
    if len(shape) != 2 or not pa.types.is_floating(values.type):
        raise CaptureError(
            f"{path}: {TENSOR_COLUMN} is {shown(kind)}, not a matrix of floating-point numbers"
        )
    if values.null_count:
        raise CaptureError(f"{path}: {TENSOR_COLUMN} has missing values; make the cache again")
    matrix: np.ndarray = values.to_numpy(zero_copy_only=True)
    return matrix.reshape(len(column), *shape)


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch message says that its buffers are compressed.

    Field 3 of the table RecordBatch, which is field 2 of the table Message (Message.fbs of the
    Arrow format 1.5; flatbuffers' tables begin with the distance to their list of field offsets).
    """
    message = struct.unpack_from("<I", metadata)[0]
    header = _field(metadata, message, 2)
    if header is None:
        return False
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return _field(metadata, batch, 3) is not None


def _field(buffer: bytes, table: int, number: int) -> int | None:
    offsets = table - struct.unpack_from("<i", buffer, table)[0]
    size = struct.unpack_from("<H", buffer, offsets)[0]
    if 4 + 2 * number >= size:
        return None
    offset = struct.unpack_from("<H", buffer, offsets + 4 + 2 * number)[0]
    return table + offset if offset else None


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
