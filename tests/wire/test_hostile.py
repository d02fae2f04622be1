"""A peer that sends anything at all: the server answers the next honest request, in the memory it had."""

import random
import socket

import grpc
import psutil
import pytest

from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.messages import Bounds, Request, decode_request, encode_request
from esrt_privacy.wire.tensors import WireShape, decode_tensor, encode_tensor
from tests.wire.echo import EchoCloud, expected, recordings

MESSAGES = 10_000  # read as the server reads them
SENT = 2000  # of them over a connection, where there is little time
MOST_GROWTH = 64 << 20  # bytes
AT_A_TIME = 100
WIRE = recordings(1)
HONEST = encode_request(Request("eng", ("deu", "fra"), 1, 8, bytes(16), encode_tensor(WIRE[0])))
REFUSALS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def hostile(draw: random.Random) -> bytes:
    """Random bytes, an honest message with changes, or one that is far too long."""
    kind = draw.randrange(10)
    if kind == 0:
        return draw.randbytes(draw.randrange(700))
    if kind == 1:
        return HONEST + bytes(draw.choice([1, 1000, 200_000]))
    data = bytearray(HONEST)
    for _ in range(draw.randint(1, 5)):
        # Half of the changes hit the header, which is a tenth of the message.
        end = 120 if draw.random() < 0.5 else len(data)
        data[draw.randrange(min(end, len(data)))] = draw.randrange(256)
    return bytes(data[: draw.randrange(len(data)) if kind == 2 else None])


def test_ten_thousand_hostile_messages_are_read_or_refused():
    draw = random.Random(2)
    shape = WireShape(8, 24)
    bounds = Bounds(shape.most_bytes())
    read = 0
    process = psutil.Process()
    before = process.memory_info().rss
    for _ in range(MESSAGES):
        try:
            request = decode_request(hostile(draw), bounds)
            if request.tensor is not None:
                assert decode_tensor(request.tensor, shape).shape == (8, 24)
        except MessageError:
            continue
        read += 1
    assert 500 < read < 5000
    assert process.memory_info().rss - before < MOST_GROWTH


@pytest.mark.parametrize("sent", [SENT, pytest.param(MESSAGES, marks=pytest.mark.slow)])
def test_hostile_messages_over_a_connection_neither_crash_nor_grow_the_server(served, remote, sent):
    draw = random.Random(0)
    address = served(EchoCloud())
    process = psutil.Process()
    seen = set()
    with grpc.insecure_channel(str(address)) as channel:
        method = channel.unary_stream("/esrt.Wire/Translate")
        for start in range(0, sent, AT_A_TIME):
            calls = [method(hostile(draw), timeout=20) for _ in range(AT_A_TIME)]
            for call in calls:
                for _ in call_replies(call):
                    pass
                seen.add(call.code())
            if start == 5 * AT_A_TIME:
                before = process.memory_info().rss
    grown = process.memory_info().rss - before
    assert seen <= REFUSALS and len(seen) == 3, seen
    assert grown < MOST_GROWTH, f"{grown / 1e6:.0f} MB"
    answer = [{"deu": expected(WIRE[0], "eng", "deu")}]
    assert remote(address).translate(WIRE, "eng", ["deu"]) == answer


def call_replies(call):
    try:
        yield from call
    except grpc.RpcError:
        return


@pytest.mark.parametrize(
    "opening", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_bytes_that_are_no_grpc_at_all_leave_the_server_standing(served, remote, opening):
    draw = random.Random(1)
    address = served(EchoCloud())
    for _ in range(60):
        with socket.create_connection((address.host, address.port), timeout=5) as peer:
            try:
                peer.sendall(opening + draw.randbytes(draw.randrange(1, 3000)))
            except OSError:
                continue
    answer = [{"deu": expected(WIRE[0], "eng", "deu")}]
    assert remote(address).translate(WIRE, "eng", ["deu"]) == answer


def test_a_tensor_that_is_announced_larger_than_any_is_refused_before_it_comes(served):
    """gRPC's length prefix says 4 GB; only a few bytes are ever sent."""
    address = served(EchoCloud())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    path = b"/esrt.Wire/Translate"
    headers = b"\x83\x86\x44" + bytes([len(path)]) + path  # POST, http, :path
    headers += b"\x41\x09localhost"
    headers += b"\x5f\x10application/grpc" + b"\x40\x02te\x08trailers"
    body = b"\x00" + (2**32 - 1).to_bytes(4, "big") + bytes(100)
    process = psutil.Process()
    before = process.memory_info().rss
    with socket.create_connection((address.host, address.port), timeout=10) as peer:
        peer.sendall(preface + frame(1, 4, 1, headers) + frame(0, 0, 1, body))
        answered = b""
        while b"grpc-status" not in answered and b"\x00\x00\x04\x03" not in answered:
            data = peer.recv(4096)
            if not data:
                break
            answered += data
            if b"larger than max" in answered:
                break
    assert b"larger than max" in answered
    assert process.memory_info().rss - before < 32 << 20


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame (RFC 9113, section 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload
