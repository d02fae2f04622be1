"""Tables in text, read line by line: what cannot be read is left out with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from esrt_privacy.corpora.utterance import shown
from esrt_privacy.errors import CorpusError

MAX_LINE_BYTES = 1_000_000

_DIVIDER = re.compile(r'(\\[\\"\t]|\t)')


class Line(NamedTuple):
    """``place`` says "file, line 7"; ``raw`` is the line without a byte order mark."""

    place: str
    raw: bytes


class Row(NamedTuple):
    """One row of a table; columns at its end that a line lacks are empty."""

    place: str
    columns: dict[str, str]


class RowError(Exception):
    """Why a row cannot be used; becomes its note."""


def read_lines(path: Path, notes: list[str]) -> Iterator[Line]:
    """The lines that hold something; one over MAX_LINE_BYTES is left out with a note, unread.

    Raises CorpusError when the file itself cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                place = f"{shown(path)}, line {number}"
                if len(raw) > MAX_LINE_BYTES:
                    notes.append(f"left out {place}: longer than {MAX_LINE_BYTES} bytes")
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(MAX_LINE_BYTES)
                    continue
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if raw.strip():
                    yield Line(place, raw)
    except OSError as error:
        raise CorpusError(f"{shown(path)}: cannot be read ({error.strerror})") from error


def read_tsv(path: Path, notes: list[str], names: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of a tab-separated table; its first line names the columns unless ``names`` does.

    Quotes mean nothing, a backslash escapes a tab, a quote or a backslash, as Common Voice and
    CoVoST-2 write them. Raises CorpusError when the file itself cannot be read.
    """
    for place, raw in read_lines(path, notes):
        try:
            fields = split_fields(raw.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            notes.append(f"left out {place}: not UTF-8")
            continue
        if names is None:
            names = fields
        elif len(fields) > len(names):
            notes.append(f"left out {place}: {len(fields)} columns where there are {len(names)}")
        else:
            missing = [""] * (len(names) - len(fields))
            yield Row(place, dict(zip(names, fields + missing, strict=True)))


def split_fields(line: str) -> list[str]:
    """The fields of a line, without the escapes of the characters that divide them."""
    if "\\" not in line:
        return [_unquoted(field) for field in line.split("\t")]
    fields = [""]
    for index, piece in enumerate(_DIVIDER.split(line)):
        if index % 2 == 0:
            fields[-1] += piece
        elif piece == "\t":
            fields.append("")
        else:
            fields[-1] += piece[1]
    return fields


def is_bare_name(name: str) -> bool:
    """Whether a table's name of a recording is a name in its folder, and not a path elsewhere."""
    return name not in {"", ".", ".."} and not any(sign in name for sign in "/\\\0")


def _unquoted(field: str) -> str:
    """Some releases of Common Voice write a field with quotes as CSV does, inner quotes doubled."""
    inner = field[1:-1]
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '""' not in inner:
        return field
    return field if '"' in inner.replace('""', "") else inner.replace('""', '"')
