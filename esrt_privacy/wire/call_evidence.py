"""What a plaintext call gives away: languages, identifier, whether a tensor travelled, the text that came back."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from esrt_privacy.errors import shown
from esrt_privacy.wire.address import METHOD, SERVICE
from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.grpc_calls import Call
from esrt_privacy.wire.messages import (
    Miss,
    Piece,
    Request,
    WireAnswer,
    decode_reply,
    decode_request,
)
from esrt_privacy.wire.streams import Peers

MOST_TEXT_BYTES = 8 << 20  # of the answers under way on one connection
MOST_LINKS = 65_536  # identifiers of which the tensor is remembered
PATH = f"/{SERVICE}/{METHOD}"

Row = dict[str, Any]


@dataclass(frozen=True)
class SeenTensor:
    """A tensor that crossed, as it was sent."""

    key: str  # SHA-256 (hex) of `data`
    data: bytes  # safetensors
    connection: str
    stream: int
    source: str  # the language spoken


class Sink(Protocol):
    """Who keeps what is learned."""

    def row(self, row: Row) -> None:
        """One line of evidence."""
        ...

    def tensor(self, seen: SeenTensor) -> str | None:
        """Keep it; or say why it cannot be kept."""
        ...


@dataclass
class Links:
    """Which tensor an identifier stands for, over all connections: an interceptor remembers what it saw."""

    _keys: OrderedDict[bytes, str] = field(default_factory=OrderedDict)

    def learn(self, identifier: bytes, key: str) -> None:
        """A tensor was sent under an identifier."""
        self._keys[identifier] = key
        if len(self._keys) > MOST_LINKS:
            self._keys.popitem(last=False)

    def key(self, identifier: bytes) -> str | None:
        """Of the tensor that was sent under it, if that was seen."""
        return self._keys.get(identifier)


@dataclass
class _Heard:
    """What was said in one call."""

    request: Request | None = None
    tensor: str | None = None  # its key
    tensor_bytes: int = 0
    miss: bool = False
    answers: list[WireAnswer] = field(default_factory=list)
    pieces: dict[int | None, str] = field(default_factory=dict)
    text_bytes: int = 0


class Calls:
    """Reads the messages of one connection's calls; a `grpc_calls.Listener`."""

    def __init__(self, peers: Peers, sink: Sink, links: Links) -> None:
        self._peers, self._sink, self._links = peers, sink, links
        self._heard: dict[int, _Heard] = {}
        self._text_bytes = 0

    def message(self, call: Call, up: bool, data: bytes) -> None:
        """One gRPC message of a call."""
        if call.headers.get(":path", PATH) != PATH:
            return  # its sizes and times are evidence, its content is not this package's
        heard = self._heard.setdefault(call.stream, _Heard())
        try:
            if up:
                self._request(call, heard, decode_request(data))
            else:
                self._reply(call, heard, data)
        except MessageError as error:
            call.note(shown(error))

    def ended(self, call: Call) -> None:
        """Write the row of a call that is over."""
        heard = self._heard.pop(call.stream, _Heard())
        self._text_bytes -= heard.text_bytes
        row: Row = {
            "kind": "call",
            "connection": self._peers.name,
            "edge": self._peers.edge,
            "stream": call.stream,
            "method": call.headers.get(":path"),
            "authority": call.headers.get(":authority"),
            "agent": call.headers.get("user-agent"),
            "status": call.trailers.get("grpc-status"),
            "up": asdict(call.up),
            "down": asdict(call.down),
        }
        if heard.request is not None:
            row |= self._request_row(heard, heard.request)
        if call.headers.get(":path", PATH) == PATH:
            row |= _text_rows(heard)
        self._sink.row(row | {"notes": call.notes})

    def _request(self, call: Call, heard: _Heard, request: Request) -> None:
        if heard.request is not None:
            call.note("a second request in one call")
            return
        if request.tensor is not None:
            key = hashlib.sha256(request.tensor).hexdigest()
            heard.tensor, heard.tensor_bytes = key, len(request.tensor)
            if request.identifier is not None:
                self._links.learn(request.identifier, key)
            seen = SeenTensor(key, request.tensor, self._peers.name, call.stream, request.source)
            problem = self._sink.tensor(seen)
            if problem is not None:
                call.note(problem)
        # The tensor has gone where it is kept; a request stays until its answer has come.
        heard.request = Request(
            source=request.source,
            targets=request.targets,
            beam=request.beam,
            most_tokens=request.most_tokens,
            identifier=request.identifier,
            stream=request.stream,
        )

    def _reply(self, call: Call, heard: _Heard, data: bytes) -> None:
        reply = decode_reply(data)
        if isinstance(reply, Miss):
            heard.miss = True
            return
        if self._text_bytes + len(data) > MOST_TEXT_BYTES:
            call.note("more text than is held: left out")
            return
        heard.text_bytes += len(data)
        self._text_bytes += len(data)
        if isinstance(reply, Piece):
            heard.pieces[reply.target] = heard.pieces.get(reply.target, "") + reply.text
        else:
            heard.answers.append(reply)

    def _request_row(self, heard: _Heard, request: Request) -> Row:
        identifier = request.identifier
        linked = heard.tensor
        if linked is None and identifier is not None:
            linked = self._links.key(identifier)
        return {
            "source": request.source,
            "targets": list(request.targets),
            "beam": request.beam,
            "most_tokens": request.most_tokens,
            "streamed": request.stream,
            "carried": "tensor" if heard.tensor is not None else "identifier",
            "identifier": None if identifier is None else identifier.hex(),
            "tensor": linked,  # of an identifier alone: the tensor that was sent under it before
            "tensor_bytes": heard.tensor_bytes,
        }


def _text_rows(heard: _Heard) -> Row:
    """The text that came back, by target; of an answer that never came whole, its pieces."""
    targets = heard.request.targets if heard.request is not None else ()

    def name(place: int | None) -> str | int | None:
        return targets[place] if place is not None and place < len(targets) else place

    texts: list[Row] = [
        {
            "target": name(answer.target),
            "transcript": answer.transcript,
            "translation": answer.translation,
            "complete": answer.complete,
        }
        for answer in heard.answers
    ]
    whole = {answer.target for answer in heard.answers}
    texts += [
        {"target": name(place), "pieces": text}
        for place, text in heard.pieces.items()
        if place not in whole
    ]
    return {"miss": heard.miss, "texts": texts}
