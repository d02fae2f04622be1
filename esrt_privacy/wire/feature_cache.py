"""Tensors that the cloud keeps, so that a further target language costs an identifier only.

The file is a convenience: whatever happens to it, a request is answered, at worst by asking for the tensor again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError

DEFAULT_BYTES = 1 << 30  # 8,700 tensors of 80 x 768
DEFAULT_SECONDS = 24 * 3600.0
DIGEST_BYTES = 16
TOUCH_SECONDS = 1.0  # a tensor that is read more often than that is not written each time
PAUSE_SECONDS = 5.0  # between attempts to open a file that cannot be opened
BUSY_SECONDS = 2.0  # to wait for another process that writes to the same file

APPLICATION_ID = 0x45535254  # `ESRT`, in the file's header: it is ours

T = TypeVar("T")

_log = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL,
    size INTEGER NOT NULL, made REAL NOT NULL, used REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON features (used, size);
CREATE INDEX IF NOT EXISTS by_age ON features (made);
"""


class FeatureCache(Protocol):
    """Bytes by key. No method raises: what cannot be kept is not kept, and what cannot be read is missing."""

    def get(self, key: bytes) -> bytes | None:
        """What was kept under `key`, unchanged; None when it is not there."""
        ...

    def put(self, key: bytes, value: bytes) -> bool:
        """Keep `value`; whether it is kept."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def digest_of(key: bytes, value: bytes) -> bytes:
    """What tells that a value is the one which was kept under its key: BLAKE2b, 16 bytes."""
    return hashlib.blake2b(value, digest_size=DIGEST_BYTES, key=key[:64]).digest()


def cache_key(client: bytes, identifier: bytes) -> bytes:
    """The key of a client's identifier: no client reaches what another keeps, whatever identifier it sends."""
    return hashlib.blake2b(identifier, digest_size=32, key=hashlib.sha256(client).digest()).digest()


class SqliteCache:
    """A file of tensors (SQLite in WAL mode), readable by its owner alone, that several servers of one host may share.

    Holds at most `most_bytes` of tensors; the least recently used go first, and any go after `most_seconds`. What is
    deleted is overwritten with zeros. A damaged file is renamed to `….damaged` and begun anew.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int = DEFAULT_BYTES,
        most_seconds: float = DEFAULT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the file. Raises WireError for a folder that cannot be written, or another program's file."""
        self.path = path
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._clock = clock
        self._database: sqlite3.Connection | None = None
        self._next_attempt = 0.0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise WireError(
                f"{path}: cannot keep tensors there ({shown(error)}); give another --cache, or none"
            ) from error
        self._open()

    def get(self, key: bytes) -> bytes | None:
        """As `FeatureCache.get`; counts as a use."""
        return self._guarded(lambda database: self._get(database, key), None)

    def put(self, key: bytes, value: bytes) -> bool:
        """As `FeatureCache.put`; makes room first."""
        if len(value) > self._most_bytes:
            return False
        return self._guarded(lambda database: self._put(database, key, value), False)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    @property
    def size(self) -> int:
        """Bytes of tensors that are kept now."""
        return self._guarded(_total, 0)

    def _get(self, database: sqlite3.Connection, key: bytes) -> bytes | None:
        now = self._clock()
        # The size is read before the value: a damaged file may claim any.
        row = database.execute(
            "SELECT value, digest, used FROM features WHERE key = ? AND made > ? AND length(value) <= ?",
            (key, now - self._most_seconds, self._most_bytes),
        ).fetchone()
        if row is None:
            return None
        value, digest, used = row
        if not isinstance(value, bytes) or digest_of(key, value) != digest:
            database.execute("DELETE FROM features WHERE key = ?", (key,))
            _log.warning("%s: a damaged tensor was thrown away", self.path)
            return None
        if now - used >= TOUCH_SECONDS:
            with suppress(sqlite3.OperationalError):  # full: it can still be read
                database.execute("UPDATE features SET used = ? WHERE key = ?", (now, key))
        return value

    def _put(self, database: sqlite3.Connection, key: bytes, value: bytes) -> bool:
        now = self._clock()
        size = len(value)
        database.execute("BEGIN IMMEDIATE")
        with database:  # commits, or undoes
            database.execute("DELETE FROM features WHERE made <= ?", (now - self._most_seconds,))
            database.execute("DELETE FROM features WHERE key = ?", (key,))
            excess = _total(database) + size - self._most_bytes
            if excess > 0:
                _evict(database, excess)
            database.execute(
                "INSERT INTO features VALUES (?, ?, ?, ?, ?, ?)",
                (key, value, digest_of(key, value), size, now, now),
            )
        return True

    def _guarded(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do it; a full disk or a locked file means `otherwise`, a damaged file is begun anew as well."""
        if self._database is None and self._clock() >= self._next_attempt:
            self._open()
        if self._database is None:
            return otherwise
        try:
            return action(self._database)
        except sqlite3.OperationalError as error:
            _log.warning("%s: not kept or not read (%s)", self.path, error)
        except sqlite3.DatabaseError as error:
            _log.warning("%s: damaged (%s); begun anew", self.path, error)
            self._put_aside()
            self._open()
        return otherwise

    def _open(self) -> None:
        self._next_attempt = self._clock() + PAUSE_SECONDS
        try:
            self._database = _connected(self.path)
        except sqlite3.OperationalError as error:
            _log.warning("%s: cannot be opened (%s); no tensor is kept", self.path, error)
        except sqlite3.DatabaseError as error:
            _log.warning("%s: damaged (%s); begun anew", self.path, error)
            self._put_aside()
            with suppress(sqlite3.Error):
                self._database = _connected(self.path)

    def _put_aside(self) -> None:
        """Rename a damaged file, over an earlier one: it may be another's, so that it is not deleted."""
        self.close()
        with suppress(OSError):
            os.replace(self.path, f"{self.path}.damaged")
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self.path}{suffix}")
        with suppress(OSError):
            self.path.touch(mode=0o600)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        (owner,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if tables and owner != APPLICATION_ID:
            raise WireError(f"{path}: another program's database; give another --cache")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a cache may lose its last writes
        database.execute("PRAGMA secure_delete = ON")
        database.execute("PRAGMA journal_size_limit = 16777216")
        database.execute("PRAGMA trusted_schema = OFF")
        database.executescript(_SCHEMA)
    except (sqlite3.Error, WireError):
        database.close()
        raise
    return database


def _total(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT COALESCE(SUM(size), 0) FROM features").fetchone()[0])


def _evict(database: sqlite3.Connection, excess: int) -> None:
    """Delete the least recently used until `excess` bytes are free."""
    freed, last = 0, []
    for row, size in database.execute("SELECT rowid, size FROM features ORDER BY used, rowid"):
        last.append((row,))
        freed += size
        if freed >= excess:
            break
    database.executemany("DELETE FROM features WHERE rowid = ?", last)
