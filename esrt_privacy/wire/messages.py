"""What edge and cloud say to each other, as bytes: a small versioned header, and the tensor as safetensors.

All integers are little-endian. A request:

    offset  bytes  what
    0       1      version, 1
    1       1      flags: 1 a tensor follows, 2 an identifier is given, 4 text is wanted as it is decoded
    2       1      width of the beam search, from 1
    3       2      most new tokens, from 1
    5       3      the language spoken, ISO 639-3 in lower case
    8       1      n, the number of target languages; 0 asks for a transcript
    9       3 n    the target languages
    then    16     the identifier, where flag 2 is set
    then    rest   the tensor of one recording (`wire/tensors.py`), where flag 1 is set

Without a tensor the request means the one that was sent before under that identifier. A reply is a stream of messages:

    0       1      version, 1
    1       1      kind: 1 miss (send the tensor again), 2 a piece of text, 3 an answer
    2       1      place of the target language in the request; 255 for a transcript, and for a miss
    3       rest   kind 2: text in UTF-8; kind 3: one byte of flags (1 languages right, 2 complete), four bytes with the
                   length of the transcript, transcript and translation in UTF-8

Nothing here needs gRPC or torch: an interceptor reads recorded bytes with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from esrt_privacy.wire.errors import MessageError

VERSION = 1
IDENTIFIER_BYTES = 16
MOST_TARGETS = 102  # the languages of FLEURS
MOST_REPLY_BYTES = 1 << 20  # of one message from the cloud
TRANSCRIPT = 255  # in the place of a target's number

_TENSOR, _IDENTIFIER, _STREAM = 1, 2, 4  # flags of a request
_MISS, _PIECE, _ANSWER = 1, 2, 3  # kinds of reply
_LANGUAGE_OK, _COMPLETE = 1, 2  # flags of an answer
_HEAD = struct.Struct("<BBBH3sB")
_REPLY_HEAD = struct.Struct("<BBB")
_ANSWER_HEAD = struct.Struct("<BI")
_LANGUAGE_BYTES = 3


@dataclass(frozen=True)
class Bounds:
    """What a peer may ask for at most."""

    tensor_bytes: int = 4 << 20  # of one recording, safetensors header included
    targets: int = MOST_TARGETS
    beam: int = 8
    most_tokens: int = 512

    @property
    def request_bytes(self) -> int:
        """The longest request."""
        return _HEAD.size + _LANGUAGE_BYTES * self.targets + IDENTIFIER_BYTES + self.tensor_bytes


@dataclass(frozen=True)
class Request:
    """One recording, by its tensor or by an identifier, into any number of languages."""

    source: str
    targets: tuple[str, ...] = ()  # none: what was said
    beam: int = 1
    most_tokens: int = 160
    identifier: bytes | None = None  # of a tensor to keep, or of one that was kept
    tensor: bytes | None = None  # safetensors
    stream: bool = False


@dataclass(frozen=True)
class Miss:
    """The tensor is not kept, or not any more: send it again."""


@dataclass(frozen=True)
class Piece:
    """Text as it is decoded, tags included; the pieces of one target make up the LLM's answer."""

    target: int | None  # place in the request; None for a transcript
    text: str


@dataclass(frozen=True)
class WireAnswer:
    """The answer for one target, taken apart as `esrt.answers.Answer`."""

    target: int | None
    transcript: str
    translation: str
    language_ok: bool
    complete: bool


Reply = Miss | Piece | WireAnswer


def encode_request(request: Request) -> bytes:
    """A request as bytes. Raises MessageError for one that `decode_request` would refuse."""
    flags = _TENSOR * (request.tensor is not None) | _IDENTIFIER * (request.identifier is not None)
    flags |= _STREAM * request.stream
    try:
        languages = [language.encode("ascii") for language in (request.source, *request.targets)]
        head = _HEAD.pack(
            VERSION,
            flags,
            request.beam,
            request.most_tokens,
            languages[0],
            len(request.targets),
        )
    except (struct.error, UnicodeEncodeError) as error:
        raise MessageError(f"a request that cannot be sent ({error})") from error
    parts = (head, *languages[1:], request.identifier or b"", request.tensor or b"")
    whole = b"".join(parts)
    decode_request(
        whole, Bounds(tensor_bytes=len(request.tensor or b""), beam=255, most_tokens=0xFFFF)
    )
    return whole


def decode_request(data: bytes, bounds: Bounds | None = None) -> Request:
    """Bytes of a peer as a request. Raises MessageError, which says nothing of what was in them."""
    bounds = bounds or Bounds()
    if len(data) > bounds.request_bytes:
        raise MessageError(f"a request of {len(data):,} bytes: at most {bounds.request_bytes:,}")
    if len(data) < _HEAD.size:
        raise MessageError(f"a request of {len(data)} bytes: shorter than its header")
    version, flags, beam, most_tokens, spoken, count = _HEAD.unpack_from(data)
    _require_version(version)
    if flags & ~(_TENSOR | _IDENTIFIER | _STREAM) or not flags & (_TENSOR | _IDENTIFIER):
        raise MessageError("a request with neither a tensor nor an identifier, or unknown flags")
    _require_within("beam", beam, bounds.beam)
    _require_within("the number of new tokens", most_tokens, bounds.most_tokens)
    if count > bounds.targets:
        raise MessageError(f"{count} target languages: at most {bounds.targets} in one request")
    place = _HEAD.size + _LANGUAGE_BYTES * count
    targets = [
        _language(data[start : start + _LANGUAGE_BYTES])
        for start in range(_HEAD.size, place, _LANGUAGE_BYTES)
    ]
    if len(set(targets)) < count:
        raise MessageError("a target language is asked for twice")
    identifier = None
    if flags & _IDENTIFIER:
        identifier = data[place : place + IDENTIFIER_BYTES]
        if len(identifier) < IDENTIFIER_BYTES:
            raise MessageError("a request that ends within its identifier")
        place += IDENTIFIER_BYTES
    tensor = data[place:]
    if bool(flags & _TENSOR) != bool(tensor):
        raise MessageError("a request with bytes after its end, or without its tensor")
    if len(tensor) > bounds.tensor_bytes:
        raise MessageError(f"a tensor of {len(tensor):,} bytes: at most {bounds.tensor_bytes:,}")
    return Request(
        source=_language(spoken),
        targets=tuple(targets),
        beam=beam,
        most_tokens=most_tokens,
        identifier=identifier,
        tensor=tensor or None,
        stream=bool(flags & _STREAM),
    )


def encode_reply(reply: Reply) -> bytes:
    """A reply as bytes. Raises MessageError for one that is longer than a message may be."""
    if isinstance(reply, Miss):
        return _REPLY_HEAD.pack(VERSION, _MISS, TRANSCRIPT)
    target = TRANSCRIPT if reply.target is None else reply.target
    if isinstance(reply, Piece):
        data = _REPLY_HEAD.pack(VERSION, _PIECE, target) + _utf8(reply.text)
    else:
        transcript = _utf8(reply.transcript)
        flags = _LANGUAGE_OK * reply.language_ok | _COMPLETE * reply.complete
        head = _REPLY_HEAD.pack(VERSION, _ANSWER, target)
        data = head + _ANSWER_HEAD.pack(flags, len(transcript)) + transcript
        data += _utf8(reply.translation)
    if len(data) > MOST_REPLY_BYTES:
        raise MessageError(f"an answer of {len(data):,} bytes: at most {MOST_REPLY_BYTES:,}")
    return data


def decode_reply(data: bytes) -> Reply:
    """Bytes of a peer as a reply. Raises MessageError."""
    if not _REPLY_HEAD.size <= len(data) <= MOST_REPLY_BYTES:
        raise MessageError(f"a reply of {len(data):,} bytes is none")
    version, kind, number = _REPLY_HEAD.unpack_from(data)
    _require_version(version)
    body = data[_REPLY_HEAD.size :]
    target = None if number == TRANSCRIPT else number
    if kind == _MISS and target is None and not body:
        return Miss()
    if kind == _PIECE:
        return Piece(target, _text(body))
    if kind == _ANSWER and len(body) >= _ANSWER_HEAD.size:
        flags, length = _ANSWER_HEAD.unpack_from(body)
        texts = body[_ANSWER_HEAD.size :]
        if length <= len(texts) and not flags & ~(_LANGUAGE_OK | _COMPLETE):
            return WireAnswer(
                target,
                _text(texts[:length]),
                _text(texts[length:]),
                bool(flags & _LANGUAGE_OK),
                bool(flags & _COMPLETE),
            )
    raise MessageError(f"a reply of {len(data):,} bytes is none of this version")


def _require_version(version: int) -> None:
    if version != VERSION:
        raise MessageError(
            f"a message of version {version}, not {VERSION}: edge and cloud need the same esrt-privacy"
        )


def _require_within(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise MessageError(f"{what} is {value}: this cloud takes 1 to {most}")


def _language(code: bytes) -> str:
    if len(code) != _LANGUAGE_BYTES or not code.isalpha() or not code.islower():
        raise MessageError("a language that is no ISO 639-3 code in lower case")
    return code.decode("ascii")


def _utf8(text: str) -> bytes:
    # A tokenizer may give half of a surrogate pair, which UTF-8 does not have.
    return text.encode("utf-8", "replace")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MessageError("a reply whose text is not UTF-8") from error
