"""What an interceptor of one connection learns beside the tensor: languages, identifiers, text, sizes, times.

In plaintext that is one row a call. Of TLS, and of anything else that cannot be read, sizes and times are left: one row
for each exchange (`wire/exchanges.py`) and one for the connection.
"""

from __future__ import annotations

from dataclasses import asdict

from esrt_privacy.errors import shown
from esrt_privacy.wire.call_evidence import Calls, Links, Row, Sink
from esrt_privacy.wire.exchanges import Exchange, Exchanges
from esrt_privacy.wire.grpc_calls import Held, Traffic
from esrt_privacy.wire.http2 import PREFACE, Http2
from esrt_privacy.wire.streams import Chunk, Ended, Event, Gap, Peers, Remark
from esrt_privacy.wire.tls import (
    MOST_HELLO_BYTES,
    Hello,
    Records,
    client_hello,
    hello_is_whole,
    is_tls,
)

MOST_UNDECIDED_BYTES = 256 << 10  # from the cloud, before the edge has said anything
MOST_NOTES = 32  # of one connection
GRPC, TLS, UNKNOWN = "plaintext gRPC", "TLS", "unknown"


class Witness:
    """Follows one connection, event by event."""

    def __init__(self, peers: Peers, sink: Sink, links: Links, held: Held) -> None:
        self._peers, self._sink, self._held = peers, sink, held
        self._calls = Calls(peers, sink, links)
        self._kind: str | None = None
        self._waiting: list[Chunk] = []  # until the edge's first bytes tell what it is
        self._http: Http2 | None = None
        self._opening = bytearray()  # the edge's first bytes, until its hello is whole
        self._hello: Hello | None = None
        self._records = {up: Records() for up in (True, False)}
        self._traffic = {up: Traffic() for up in (True, False)}
        self._exchanges = Exchanges(self._exchanged)
        self._missing = 0
        self._cut = False
        self._notes: list[str] = []

    def feed(self, event: Event) -> None:
        """The next thing that happened."""
        if isinstance(event, Remark):
            if len(self._notes) < MOST_NOTES:
                self._notes.append(event.text)
        elif isinstance(event, Ended):
            self._cut = self._cut or not event.whole
        elif isinstance(event, Gap):
            self._missing += event.size
            self._decide(final=True)
            if self._http is not None:
                self._http.lost(event.up, event.size)
        else:
            self._traffic[event.up].add(len(event.data), event.time_ns)
            if self._kind is not None:
                self._read(event)
                return
            self._waiting.append(event)
            self._decide(final=self._traffic[False].bytes > MOST_UNDECIDED_BYTES)

    def finish(self) -> None:
        """The connection is over; its own row comes last."""
        self._decide(final=True)
        if self._http is not None:
            self._http.finish()
            self._notes += self._http.notes
        self._exchanges.finish()
        if self._missing:
            self._notes.append(f"{self._missing:,} bytes passed that were not recorded")
        if self._cut:
            self._notes.append(
                "the connection was cut off, by a reset or by the end of the recording"
            )
        row: Row = {
            "kind": "connection",
            "connection": self._peers.name,
            "edge": self._peers.edge,
            "cloud": self._peers.cloud,
            "transport": self._kind,
            "up": asdict(self._traffic[True]),
            "down": asdict(self._traffic[False]),
            "notes": self._notes,
        }
        if self._kind == TLS:
            hello = self._hello or client_hello(bytes(self._opening))
            row["server_name"] = None if hello.server_name is None else shown(hello.server_name)
            row["protocols"] = [shown(name, 40) for name in hello.protocols[:8]]
            for name, up in (("up_records", True), ("down_records", False)):
                records = self._records[up]
                row[name] = {
                    "count": records.count,
                    "application_bytes": records.application_bytes,
                }
        self._sink.row(row)

    def _decide(self, final: bool) -> None:
        """What this connection is, by the edge's first bytes; `final`: by what there is of them."""
        if self._kind is not None:
            return
        start = b"".join(chunk.data for chunk in self._waiting if chunk.up)[: len(PREFACE)]
        if is_tls(start):
            self._kind = TLS
        elif start == PREFACE:
            self._kind, self._http = GRPC, Http2(self._calls, self._held)
        elif final or not (PREFACE.startswith(start) or (len(start) < 3 and start[0] == 22)):
            self._kind = UNKNOWN
            if start:
                self._notes.append("neither TLS nor plaintext gRPC: sizes and times only")
        if self._kind is not None:
            waiting, self._waiting = self._waiting, []
            for chunk in waiting:
                self._read(chunk)

    def _read(self, chunk: Chunk) -> None:
        if self._http is not None:
            self._http.feed(chunk.up, chunk.time_ns, chunk.data)
            return
        if self._kind == TLS:
            self._records[chunk.up].feed(chunk.data)
            if chunk.up and self._hello is None:
                self._opening += chunk.data[:MOST_HELLO_BYTES]
                if hello_is_whole(bytes(self._opening)):
                    self._hello = client_hello(bytes(self._opening))
                    self._opening.clear()
        self._exchanges.add(chunk.up, len(chunk.data), chunk.time_ns)

    def _exchanged(self, exchange: Exchange) -> None:
        self._sink.row(
            {
                "kind": "exchange",
                "connection": self._peers.name,
                "up": asdict(exchange.up),
                "down": asdict(exchange.down),
            }
        )
