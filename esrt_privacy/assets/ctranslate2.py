"""Reads the tensors of a CTranslate2 model file, trusting nothing that its header says.

Layout (little-endian): uint32 version; string spec; uint32 revision; uint32 count; then per tensor
string name, uint8 rank, uint32 per dimension, uint8 dtype, uint32 bytes, data; then uint32 aliases
and per alias two strings. A string is uint16 length (terminating zero included) and its bytes.
Source: https://github.com/OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py.
"""

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esrt_privacy.errors import AssetError

if TYPE_CHECKING:
    import numpy as np

_VERSIONS = range(4, 7)  # the file versions that carry dtype and aliases as read below
_DTYPES = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_LONGEST_NAME = 1024
_HIGHEST_RANK = 4


@dataclass(frozen=True)
class CTranslate2File:
    """What a model file holds. The arrays are read-only views of the buffer it was read from."""

    spec: str
    revision: int
    tensors: dict[str, "np.ndarray"]
    aliases: dict[str, str]


def read_ctranslate2(buffer: bytes | memoryview, where: str) -> CTranslate2File:
    """Reads a whole CTranslate2 file from `buffer` (bytes or a memory map's view).

    No size in the file leads to an allocation: each is checked against what is left of the buffer
    first, and the arrays are views. `where` names the file in errors.
    Raises AssetError for a file that is truncated, of another format, or has trailing bytes.
    """
    import numpy as np

    cursor = _Cursor(memoryview(buffer), where)
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise AssetError(
            f"{where} is no CTranslate2 model of version 4 to 6 (found {version}): "
            "give a model.bin made by ct2-transformers-converter"
        )
    spec = cursor.string()
    revision = cursor.number("I")
    tensors: dict[str, np.ndarray] = {}
    for _ in range(cursor.number("I")):
        name = cursor.string()
        rank = cursor.number("B")
        if rank > _HIGHEST_RANK:
            raise cursor.damaged(f"tensor {name} claims {rank} dimensions")
        shape = tuple(cursor.number("I") for _ in range(rank))
        dtype = _DTYPES.get(cursor.number("B"))
        if dtype is None:
            raise cursor.damaged(f"tensor {name} has a number format that is not known here")
        size = cursor.number("I")
        if size != math.prod(shape) * np.dtype(dtype).itemsize:
            raise cursor.damaged(f"tensor {name} of shape {shape} claims {size} bytes")
        if name in tensors:
            raise cursor.damaged(f"tensor {name} comes twice")
        tensors[name] = np.frombuffer(cursor.take(size), dtype=dtype).reshape(shape)
    aliases = {cursor.string(): cursor.string() for _ in range(cursor.number("I"))}
    if cursor.left:
        raise cursor.damaged(f"{cursor.left} bytes follow its end")
    return CTranslate2File(spec, revision, tensors, aliases)


class _Cursor:
    """A position in a buffer that cannot be moved past the buffer's end."""

    def __init__(self, buffer: memoryview, where: str) -> None:
        self._buffer = buffer
        self._at = 0
        self._where = where

    @property
    def left(self) -> int:
        return len(self._buffer) - self._at

    def damaged(self, what: str) -> AssetError:
        return AssetError(f"{self._where} is damaged: {what}; fetch or copy it again")

    def take(self, size: int) -> memoryview:
        if size > self.left:
            raise self.damaged(f"it ends after {len(self._buffer)} bytes, within a field")
        self._at += size
        return self._buffer[self._at - size : self._at]

    def number(self, letter: str) -> int:
        code = "<" + letter
        return int(struct.unpack(code, self.take(struct.calcsize(code)))[0])

    def string(self) -> str:
        length = self.number("H")
        if length > _LONGEST_NAME:
            raise self.damaged(f"a name claims {length} characters")
        try:
            return bytes(self.take(length)).rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise self.damaged("a name is not text") from error
