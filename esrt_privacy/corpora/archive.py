"""Recordings and tables out of a tar archive, which may have been made to do harm.

No member is written under a name of its own choosing, none is larger than a recording can be, links
and devices are passed by, and an archive that unpacks to far more than its size is not read to its
end. What lies before a damaged place is used.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from esrt_privacy.corpora.audio import SUFFIXES
from esrt_privacy.corpora.extraction import MAX_CLIP_BYTES, Extraction
from esrt_privacy.corpora.utterance import shown
from esrt_privacy.progress import Reporter, silent

ENDINGS = (".tar.gz", ".tgz", ".tar")
TABLE = ".tsv"
MAX_TABLE_BYTES = 4 * 1024**3
MAX_RATIO = 200  # recordings hardly shrink, tables to a tenth: more is an archive made to burst

_SLACK_BYTES = 64 * 1024**2
_MAX_READ = 16 * 1024**2  # no header of an honest archive is longer
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError)


class Unpacked(NamedTuple):
    """Where each member lies now, by its name in the archive, and what was left out."""

    files: dict[str, Path]
    notes: list[str]


def is_archive(path: Path) -> bool:
    """Whether the name is that of a tar archive that is read here."""
    return path.name.lower().endswith(ENDINGS)


def unpack(source: Path, report: Reporter = silent) -> Unpacked:
    """Take every recording and every table (.tsv) of an archive into the cache, once.

    Raises CorpusError where the cache cannot be written, OSError where the archive cannot be opened.
    """
    taken = Extraction(source)
    if taken.complete:
        return Unpacked(taken.files, taken.notes)
    damage = []
    with taken, source.open("rb") as file:
        label, size = f"unpacking {shown(source.name)}", source.stat().st_size
        try:
            for archive, member in _members(_Guarded(file, size)):
                _take(archive, member, taken)
                report(label, min(file.tell(), size), size)
            taken.finish()
        except _DAMAGE as error:
            damage = [f"{shown(source)}: damaged or truncated ({shown(error)}); download it again"]
        report(label, size, size)
    return Unpacked(taken.files, [*taken.notes, *damage])


def _members(stream: _Guarded) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            archive.members.clear()  # it would keep millions of them
            yield archive, member
    # tarfile takes any header that it cannot read for the end
    if stream.last.strip(b"\0") or not stream.last:
        raise tarfile.ReadError("no end mark")


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, taken: Extraction) -> None:
    path = PurePosixPath(member.name)
    suffix = path.suffix.lower()
    if member.isdir() or path.name.startswith(".") or suffix not in {*SUFFIXES, TABLE}:
        return
    key = path.as_posix()
    if key in taken.files:
        return
    limit = MAX_TABLE_BYTES if suffix == TABLE else MAX_CLIP_BYTES
    if not member.isreg() or member.issparse():
        taken.leave_out(f"{key}: a link or a device, not a file")
    elif path.is_absolute() or ".." in path.parts:
        taken.leave_out(f"{key}: its name leads out of the archive")
    elif not 0 < member.size <= limit:
        taken.leave_out(f"{key}: {member.size} bytes, where 1 to {limit} are read")
    else:
        content = archive.extractfile(member)
        if content is not None:
            taken.keep(key, path.name, content)


class _Guarded:
    """A tar stream, unzipped as it is read, that only goes forward and never far or in one gulp."""

    def __init__(self, file: Any, size: int) -> None:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._stream: Any = gzip.GzipFile(fileobj=file) if zipped else file
        self._limit = size * MAX_RATIO + _SLACK_BYTES
        self.last = b""

    def tell(self) -> int:
        return int(self._stream.tell())

    def seek(self, position: int) -> int:
        if position < self.tell():
            raise tarfile.ReadError("a member of negative size")
        self._require_below_limit(position)
        return int(self._stream.seek(position))

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self._require_below_limit(self.tell() + size)
        self.last = self._stream.read(size)
        return self.last

    def _require_below_limit(self, position: int) -> None:
        if position > self._limit:
            raise tarfile.ReadError(f"unpacks to more than {MAX_RATIO} times its size")
