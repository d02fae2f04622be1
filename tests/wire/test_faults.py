"""Whatever breaks, each request is answered or fails with one line, and nothing hangs."""

import socket
import threading
import time
from contextlib import ExitStack

import grpc
import pytest

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.messages import Piece, Request, decode_reply, encode_request
from esrt_privacy.wire.server import ServeOptions, in_background
from esrt_privacy.wire.tensors import WireShape, encode_tensor
from tests.wire.conftest import SHAPE
from tests.wire.echo import EchoCloud, expected, recordings
from tests.wire.proxy import Proxy

WIRE = recordings(2)
ANSWERS = [{"deu": expected(row, "eng", "deu")} for row in WIRE]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_nobody_there_is_said_at_once(remote):
    address = Address("127.0.0.1", free_port())
    start = time.monotonic()
    with pytest.raises(WireError, match="no cloud answers there; start one") as error:
        remote(address, patience=30).translate(WIRE, "eng", ["deu"])
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 10


def test_a_line_that_takes_long_to_answer_is_not_a_dead_one(served, remote):
    with Proxy(served(EchoCloud())) as proxy:
        proxy.held.set()  # what a handshake waits for, as over a satellite
        threading.Timer(1.5, proxy.held.clear).start()
        assert remote(proxy.address).translate(WIRE, "eng", ["deu"]) == ANSWERS


def test_a_server_that_comes_back_answers_what_was_asked_meanwhile(remote, tmp_path):
    address = Address("127.0.0.1", free_port())
    options = ServeOptions(SHAPE, address, grace=0.0)
    path = tmp_path / "features.sqlite"
    client = remote(address, patience=15)
    with in_background(EchoCloud(), options, SqliteCache(path)):
        assert client.translate(WIRE, "eng", ["deu"]) == ANSWERS
    answers = []
    asking = threading.Thread(target=lambda: answers.extend(client.translate(WIRE, "eng", ["deu"])))
    asking.start()
    time.sleep(0.3)
    path.unlink()  # and has forgotten the tensors
    with in_background(EchoCloud(), options, SqliteCache(path)):
        asking.join(20)
    assert answers == ANSWERS


def test_a_server_that_does_not_come_back_is_one_line(remote):
    address = Address("127.0.0.1", free_port())
    client = remote(address, patience=0.4)
    with in_background(EchoCloud(), ServeOptions(SHAPE, address, grace=0.0)):
        client.translate(WIRE, "eng", ["deu"])
    with pytest.raises(WireError, match="no cloud answers there"):
        client.translate(WIRE, "eng", ["deu"])


def test_a_connection_cut_within_a_tensor_is_made_again(served, remote):
    shape = WireShape(80, 768)
    wire = recordings(1, 80, 768)
    with Proxy(served(EchoCloud(), shape=shape), cut_after=60_000) as proxy:
        client = remote(proxy.address, patience=5)
        answer = [{"deu": expected(wire[0], "eng", "deu")}]
        assert client.translate(wire, "eng", ["deu"]) == answer
        assert proxy.cuts == 0


def test_a_connection_that_is_always_cut_is_one_line(served, remote):
    with (
        Proxy(served(EchoCloud()), cut_after=300, cuts=1000) as proxy,
        pytest.raises(WireError, match="connection was lost"),
    ):
        remote(proxy.address, patience=0.5).translate(WIRE, "eng", ["deu"])


def test_a_line_that_goes_dead_within_a_tensor_ends_at_the_deadline(served, remote):
    with Proxy(served(EchoCloud())) as proxy:
        client = remote(proxy.address, seconds=1.0)
        client.translate(WIRE, "eng", ["deu"])
        proxy.held.set()
        with pytest.raises(WireError, match="no answer within the deadline"):
            client.translate(recordings(1, seed=5), "eng", ["deu"])
        proxy.held.clear()
        assert client.translate(WIRE, "eng", ["deu"]) == ANSWERS


def test_an_expired_deadline_is_one_line_and_the_next_request_is_answered(served, remote):
    cloud = EchoCloud()
    cloud.gate.clear()
    address = served(cloud)
    with pytest.raises(WireError, match="no answer within the deadline"):
        remote(address, seconds=0.3).translate(WIRE, "eng", ["deu"])
    cloud.gate.set()
    assert remote(address).translate(WIRE, "eng", ["deu"]) == ANSWERS


def test_the_servers_own_deadline_holds_for_a_client_without_one(served):
    cloud = EchoCloud()
    cloud.gate.clear()
    message = encode_request(Request("eng", ("deu",), tensor=encode_tensor(WIRE[0])))
    with (
        grpc.insecure_channel(str(served(cloud, seconds=0.3))) as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        list(channel.unary_stream("/esrt.Wire/Translate")(message))
    cloud.gate.set()
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_nobody_who_has_gone_is_worked_for(served, remote):
    cloud = EchoCloud()
    cloud.gate.clear()
    address = served(cloud)
    for seed in range(3):
        with pytest.raises(WireError):
            remote(address, seconds=0.3).translate(recordings(1, seed=seed), "eng", ["deu"])
    cloud.gate.set()
    assert remote(address).translate(WIRE, "eng", ["deu"]) == ANSWERS
    assert len(cloud.batches) <= 3  # the one that ran when they left, and the last request's


def test_a_slow_reader_holds_up_nobody(served, remote):
    """It asks for more than flow control lets through, and reads one message of it."""
    cloud = EchoCloud(filler="x" * 300_000)
    address = served(cloud, seconds=2.0)
    message = encode_request(Request("eng", ("deu", "fra", "spa"), tensor=encode_tensor(WIRE[0])))
    settings = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    with ExitStack() as stack:
        calls = []
        for _ in range(4):
            channel = stack.enter_context(grpc.insecure_channel(str(address), settings))
            calls.append(channel.unary_stream("/esrt.Wire/Translate")(message))
            assert not isinstance(decode_reply(next(calls[-1])), Piece)
        start = time.monotonic()
        other = remote(address)
        (answer,) = other.translate(WIRE[:1], "eng", ["deu"])
        assert answer["deu"].translation == ANSWERS[0]["deu"].translation
        assert time.monotonic() - start < 2.0
        time.sleep(2.2)
        for call in calls:
            with pytest.raises(grpc.RpcError):
                list(call)
            assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_more_requests_than_the_cloud_takes_are_answered_later_or_refused(served, remote):
    cloud = EchoCloud(0.02)
    address = served(cloud, most_requests=2, most_rows=1)
    wire = recordings(12)
    client = remote(address, calls=12, patience=10)
    assert client.translate(wire, "eng", ["deu"]) == [
        {"deu": expected(row, "eng", "deu")} for row in wire
    ]
    # Each connection is made to wait for its own requests; those of other clients are refused.
    cloud.gate.clear()
    waiting = threading.Thread(target=lambda: client.translate(wire[:2], "eng", ["fra"]))
    waiting.start()
    while len(cloud.batches) < 13:
        time.sleep(0.005)
    time.sleep(0.2)
    with pytest.raises(WireError, match="too much for the cloud"):
        remote(address, patience=0.2).translate(WIRE, "eng", ["deu"])
    cloud.gate.set()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.parametrize("fault", ["damaged", "full"])
def test_a_cache_that_breaks_costs_bytes_but_no_answer(served, remote, tmp_path, fault):
    cache = SqliteCache(tmp_path / "features.sqlite")
    client = remote(served(EchoCloud(), cache))
    assert client.translate(WIRE, "eng", ["deu"]) == ANSWERS
    if fault == "full":
        cache._database.execute("DELETE FROM features")
        cache._database.execute("PRAGMA max_page_count = 1")
    else:
        cache._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with cache.path.open("r+b") as file:
            file.write(b"\xff" * cache.path.stat().st_size)
    for _ in range(3):
        assert client.translate(WIRE, "eng", ["deu"]) == ANSWERS


def test_a_listener_that_fails_ends_its_own_request_only(served, remote):
    client = remote(served(EchoCloud()))

    def broken(*_):
        raise ValueError("a listener's own")

    with pytest.raises(ValueError, match="a listener's own"):
        client.translate(WIRE, "eng", ["deu"], on_text=broken)
    assert client.translate(WIRE, "eng", ["deu"]) == ANSWERS


def test_stopping_waits_for_what_is_under_way(remote):
    cloud = EchoCloud(0.6)
    answers = []
    with in_background(cloud, ServeOptions(SHAPE, Address("127.0.0.1", 0), grace=10.0)) as address:
        client = remote(address)
        asking = threading.Thread(
            target=lambda: answers.extend(client.translate(WIRE[:1], "eng", ["deu"]))
        )
        asking.start()
        while not cloud.batches:
            time.sleep(0.005)
    asking.join(10)
    assert answers == ANSWERS[:1]
