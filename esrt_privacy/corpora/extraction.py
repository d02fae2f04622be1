"""Recordings that lie inside an archive or a table, taken out once into the cache.

A file is kept under the SHA-256 of its bytes: it is there whole or not at all, and what two
downloads share is there once. A journal for each source says what has been taken out of it, so that
a killed run goes on and a finished source is not opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol, TextIO

from esrt_privacy.assets.cache import CACHE_VARIABLE, cache_folder
from esrt_privacy.corpora.utterance import shown
from esrt_privacy.errors import CorpusError

MAX_CLIP_BYTES = 512 * 1024**2  # four hours of 16-bit 16 kHz mono, and some
MAX_NOTES = 1000  # of one source; a hostile one must not fill the memory with them

_BLOCK = 1024**2
_NAME_LENGTH = 80
_INCOMING = ".incoming-"
_STALE_SECONDS = 24 * 3600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORMAT = 1


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Extraction:
    """What was taken out of ``source`` so far; a context in which more can be taken.

    ``files`` has the path of each file by its key in the source, ``notes`` a line for each that was
    left out. Raises CorpusError where the cache cannot be written.
    """

    def __init__(self, source: Path) -> None:
        self.files: dict[str, Path] = {}
        self.notes: list[str] = []
        self.complete = False
        self._source = source
        self._root = cache_folder() / "recordings"
        stat = source.stat()
        # a source that was replaced is another one
        identity = [_FORMAT, str(source.resolve()), stat.st_size, stat.st_mtime_ns]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        self._journal = self._root / "sources" / f"{key}.jsonl"
        self._writer: TextIO | None = None
        self._recall()

    def __enter__(self) -> Extraction:
        with _writing(self._root):
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            _sweep(self._root)
            self._writer = self._journal.open("a", buffering=1, encoding="utf-8")
            self._writer.write("\n")  # the last line of a killed run may be torn
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def keep(self, key: str, name: str, content: Readable) -> Path:
        """Copy ``content`` into the cache; ``name`` is for the eye and goes into the path's end.

        Errors in reading ``content`` pass through, and then nothing is kept.
        """
        with _writing(self._root):
            handle, temporary = tempfile.mkstemp(prefix=_INCOMING, dir=self._root)
        try:
            with open(handle, "wb") as out:
                digest, size = self._copy(content, out)
            path = self._path(digest, name)
            with _writing(self._root):
                path.parent.mkdir(exist_ok=True)
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._write({"key": key, "name": name, "sha256": digest, "bytes": size})
        self.files[key] = path
        return path

    def leave_out(self, what: str) -> None:
        """Note that something of the source is not used; said again whenever it is loaded."""
        note = f"left out {shown(self._source)}, {shown(what)}"
        if len(self.notes) < MAX_NOTES and note not in self.notes:
            self.notes.append(note)
            self._write({"note": note})

    def finish(self) -> None:
        """Nothing more is to be taken out."""
        self.complete = True
        self._write({"complete": True})

    def _copy(self, content: Readable, out: Any) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        while block := content.read(_BLOCK):
            digest.update(block)
            size += len(block)
            with _writing(self._root):
                out.write(block)
        with _writing(self._root):
            out.flush()
        return digest.hexdigest(), size

    def _path(self, digest: str, name: str) -> Path:
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(name).name)[-_NAME_LENGTH:]
        return self._root / digest[:2] / f"{digest}-{safe}"

    def _write(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            raise RuntimeError("files are taken out of a source inside its context")
        with _writing(self._root):
            self._writer.write(json.dumps(row) + "\n")

    def _recall(self) -> None:
        if not self._journal.is_file():
            return
        taken: set[str] = set()
        with self._journal.open("rb") as journal:
            for line in journal:
                row = _parsed(line)
                if row.get("complete") is True:
                    self.complete = True
                elif isinstance(row.get("note"), str):
                    self.notes.append(row["note"])
                elif _SHA256.fullmatch(str(row.get("sha256"))):
                    key, path = str(row.get("key")), self._path(row["sha256"], str(row.get("name")))
                    taken.add(key)
                    if _size(path) == row.get("bytes"):
                        self.files[key] = path
        # what was cleared from the cache is taken out again
        self.complete = self.complete and taken == self.files.keys()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _sweep(root: Path) -> None:
    """Drop what runs that were killed long ago had begun to write."""
    for path in root.glob(f"{_INCOMING}*"):
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            path.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{folder}: recordings cannot be put here ({error.strerror or error}); free space there "
            f"or set {CACHE_VARIABLE} to another folder"
        ) from error
