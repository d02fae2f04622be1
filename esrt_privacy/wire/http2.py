"""The calls of a plaintext gRPC connection out of its two byte streams: HTTP/2 frames (RFC 9113), headers (RFC 7541).

Whatever a peer sends, memory is bounded and nothing is raised: what cannot be read further becomes a note.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esrt_privacy.errors import shown
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.grpc_calls import Call, Held, Listener, Messages

if TYPE_CHECKING:
    from hyperframe.frame import Frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_FRAME_BYTES = 4 << 20  # gRPC raises its own limit on fast links; the protocol's is 16 MiB
MOST_HEADER_BYTES = 64 << 10
MOST_STREAMS = 1024  # that are open at a time
MOST_HELD_BYTES = (
    64 << 20
)  # of unfinished frames and messages, of all connections that are read together

_HEAD_BYTES = 9  # of a frame
_HEADER_TABLE_SIZE = 1  # of SETTINGS


@dataclass
class _Way:
    """One direction of the connection."""

    buffer: bytearray
    decoder: Any  # hpack.Decoder: headers build on those before them
    preface: bool  # still to come
    block: bytearray = field(default_factory=bytearray)  # headers whose end is still to come
    block_stream: int | None = None
    block_ends: bool = False  # and with them the stream
    broken: bool = False


class Http2:
    """One connection. Feed it bytes of both sides in order of time."""

    def __init__(self, listener: Listener, held: Held | None = None) -> None:
        """Raises WireError where hyperframe and hpack are not installed."""
        try:
            from hpack import Decoder
        except ImportError as error:
            raise WireError(
                "reading HTTP/2 needs hyperframe and hpack: pip install 'esrt-privacy[wire]'"
            ) from error
        self._listener = listener
        self._ways = {
            up: _Way(bytearray(), Decoder(MOST_HEADER_BYTES), preface=up) for up in (True, False)
        }
        self._calls: dict[int, Call] = {}
        self._held = held or Held()
        self._parts = Messages(self._held)
        self._highest = 0  # stream that the edge has opened
        self.notes: list[str] = []

    def feed(self, up: bool, time_ns: int, data: bytes) -> None:
        """Bytes of one side."""
        way = self._ways[up]
        if way.broken:
            return
        if self._held.bytes + len(data) > self._held.most:
            self._break(up, "is more at a time than is held in memory")
            return
        way.buffer += data
        self._held.bytes += len(data)
        self._frames(up, time_ns)

    def _frames(self, up: bool, time_ns: int) -> None:
        """Read those that are whole."""
        way = self._ways[up]
        if way.preface:
            if len(way.buffer) < len(PREFACE):
                return
            if not way.buffer.startswith(PREFACE):
                self._break(up, "does not begin as HTTP/2 does")
                return
            self._forget(way, len(PREFACE))
            way.preface = False
        place = 0
        while not way.broken and len(way.buffer) - place >= _HEAD_BYTES:
            length = int.from_bytes(way.buffer[place : place + 3], "big")
            if length > MOST_FRAME_BYTES:
                self._break(up, f"has a frame of {length:,} bytes")
                return
            end = place + _HEAD_BYTES + length
            if len(way.buffer) < end:
                break
            self._raw_frame(up, time_ns, bytes(way.buffer[place:end]))
            place = end
        self._forget(way, place)

    def _forget(self, way: _Way, size: int) -> None:
        self._held.bytes -= len(way.buffer[:size])
        del way.buffer[:size]

    def lost(self, up: bool, size: int) -> None:
        """Bytes of one side are missing: nothing after them can be told apart."""
        self._break(up, f"lacks {size:,} bytes")

    def finish(self) -> None:
        """The connection is over: calls that are still open end here."""
        for up, way in self._ways.items():
            if way.buffer and not way.broken:
                self._break(up, "ends within a frame")
        for call in list(self._calls.values()):
            if False not in call.ended:
                call.note("the connection ended before the call did")
            self._end(call)

    def _break(self, up: bool, why: str) -> None:
        way = self._ways[up]
        if not way.broken:
            side = "edge" if up else "cloud"
            self.notes.append(f"what the {side} sent {why}: not read from there on")
        way.broken = True
        self._forget(way, len(way.buffer))
        way.block = bytearray()
        for call in [call for call in self._calls.values() if (not up) in call.ended]:
            call.note("the end of this call could not be read")
            self._end(call)

    def _raw_frame(self, up: bool, time_ns: int, data: bytes) -> None:
        from hyperframe.exceptions import HyperframeError
        from hyperframe.frame import Frame

        view = memoryview(data)
        try:
            frame, _ = Frame.parse_frame_header(view[:_HEAD_BYTES])
            frame.parse_body(view[_HEAD_BYTES:])
        except (HyperframeError, ValueError, struct.error, IndexError) as error:
            self._break(up, f"has a frame that is none ({shown(error, 80)})")
            return
        call = self._calls.get(frame.stream_id)
        if call is not None:
            (call.up if up else call.down).add(len(data), time_ns)
        self._frame(up, time_ns, len(data), frame)

    def _frame(self, up: bool, time_ns: int, size: int, frame: Frame) -> None:
        from hyperframe import frame as frames

        way = self._ways[up]
        if way.block_stream is not None and not isinstance(frame, frames.ContinuationFrame):
            self._break(up, "has another frame amid headers")
        elif isinstance(frame, frames.HeadersFrame):
            self._headers_begin(up, time_ns, size, frame)
        elif isinstance(frame, frames.ContinuationFrame) and way.block_stream is not None:
            self._headers(up, frame.data, "END_HEADERS" in frame.flags)
        elif isinstance(frame, frames.DataFrame):
            self._data(up, frame)
        elif isinstance(frame, frames.RstStreamFrame) and frame.stream_id in self._calls:
            call = self._calls[frame.stream_id]
            call.note(f"called off by the {'edge' if up else 'cloud'} (code {frame.error_code})")
            self._end(call)
        elif isinstance(frame, frames.SettingsFrame):
            # What this side allows is what the other may use.
            other = self._ways[not up].decoder
            wanted = frame.settings.get(_HEADER_TABLE_SIZE, 0)
            other.max_allowed_table_size = max(
                other.max_allowed_table_size, min(wanted, MOST_HEADER_BYTES)
            )
        elif isinstance(frame, frames.PushPromiseFrame):
            self._break(up, "pushes, which gRPC does not")

    def _headers_begin(self, up: bool, time_ns: int, size: int, frame: Any) -> None:
        way = self._ways[up]
        # The cloud's headers may come first out of a recording whose packets changed places.
        if frame.stream_id not in self._calls and frame.stream_id > self._highest:
            if len(self._calls) >= MOST_STREAMS:
                self._break(up, f"has more than {MOST_STREAMS:,} calls open")
                return
            call = self._calls[frame.stream_id] = Call(frame.stream_id)
            (call.up if up else call.down).add(size, time_ns)
        if up:
            self._highest = max(self._highest, frame.stream_id)
        way.block_stream = frame.stream_id
        way.block_ends = "END_STREAM" in frame.flags
        self._headers(up, frame.data, "END_HEADERS" in frame.flags)

    def _headers(self, up: bool, data: bytes, last: bool) -> None:
        from hpack import HPACKError

        way = self._ways[up]
        way.block += data
        if len(way.block) > MOST_HEADER_BYTES:
            self._break(up, "has headers without end")
            return
        if not last:
            return
        stream, block = way.block_stream, bytes(way.block)
        way.block_stream, way.block = None, bytearray()
        try:
            found = way.decoder.decode(block, raw=True)
        except (HPACKError, ValueError, IndexError) as error:
            self._break(up, f"has headers that are none ({shown(error, 80)})")
            return
        call = self._calls.get(stream or 0)
        if call is None:
            return
        texts = {
            bytes(name).decode("ascii", "replace"): shown(bytes(value).decode("utf-8", "replace"))
            for name, value in found
        }
        (call.headers if up else call.trailers).update(texts)
        if way.block_ends:
            self._side_ended(call, up)

    def _data(self, up: bool, frame: Any) -> None:
        call = self._calls.get(frame.stream_id)
        if call is None:
            return
        for message in self._parts.add(call, up, frame.data):
            self._listener.message(call, up, message)
        if "END_STREAM" in frame.flags:
            self._side_ended(call, up)

    def _side_ended(self, call: Call, up: bool) -> None:
        call.ended.add(up)
        if self._parts.drop(call, up):
            call.note(f"what the {'edge' if up else 'cloud'} sent ends within a message")
        if len(call.ended) == 2 or self._ways[not up].broken:
            self._end(call)

    def _end(self, call: Call) -> None:
        for up in (True, False):
            self._parts.drop(call, up)
        del self._calls[call.stream]
        self._listener.ended(call)
