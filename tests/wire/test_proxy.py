"""The recording proxy: what passes is what is recorded, whatever the two sides do."""

import socket
import stat
import threading
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.streams import Chunk, Ended, LogWriter, Remark, log_files, read_log
from tests.wire.interception import chunks, recording, sides

HERE = "127.0.0.1"


@pytest.fixture
def cloud():
    """cloud(answer) -> the address of a listener that hands each connection to `answer` in a thread."""
    with ExitStack() as opened:

        def listening(answer):
            listener = opened.enter_context(socket.create_server((HERE, 0)))

            def accept():
                while True:
                    try:
                        end, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=answer, args=(end,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            return Address(HERE, listener.getsockname()[1])

        yield listening


def read_all(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65_536), b""))


def echo_after_the_end(end: socket.socket) -> None:
    with end:
        end.sendall(read_all(end)[::-1])


def connect(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=20)


def test_a_side_that_is_done_sending_still_gets_its_answer(cloud, tmp_path):
    sent = bytes(range(256)) * 4000
    with recording(cloud(echo_after_the_end), tmp_path) as (address, proxy):
        with connect(address) as edge:
            edge.sendall(sent)
            edge.shutdown(socket.SHUT_WR)
            assert read_all(edge) == sent[::-1]
        assert proxy.connections == 1
    (log,) = log_files(tmp_path)
    assert sides(log) == (sent, sent[::-1])
    events = list(read_log(log)[1])
    assert [e.up for e in events if isinstance(e, Ended) and e.whole] == [True, False]
    times = [event.time_ns for event in events]
    assert times == sorted(times)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_side_that_does_not_read_makes_the_other_wait(cloud, tmp_path):
    go = threading.Event()
    got = []

    def slow(end):
        with end:
            go.wait(20)
            got.append(len(read_all(end)))

    size = 64 << 20
    with recording(cloud(slow), tmp_path) as (address, _), connect(address) as edge:
        edge.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < size:
                sent += edge.send(bytes(1 << 20))
        # What was taken lies in the buffers of the system's sockets and of the proxy.
        assert sent < size
        go.set()
        edge.settimeout(20)
        edge.sendall(bytes(1000))
        edge.shutdown(socket.SHUT_WR)
        assert edge.recv(1) == b""
    assert got == [sent + 1000]
    assert len(sides(log_files(tmp_path)[0])[0]) == sent + 1000


def test_a_reset_is_passed_on_and_said(cloud, tmp_path):
    def reset(end):
        end.recv(10)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        end.close()

    with recording(cloud(reset), tmp_path) as (address, _), connect(address) as edge:
        edge.sendall(b"hello")
        with suppress(ConnectionResetError):
            assert edge.recv(10) == b""
    events = list(read_log(log_files(tmp_path)[0])[1])
    assert Ended(False, events[-1].time_ns, whole=False) in events


def test_stopping_cuts_what_is_open_and_its_log_says_so(cloud, tmp_path):
    with recording(cloud(lambda end: end.sendall(end.recv(9))), tmp_path) as (address, _):
        edge = connect(address)
        edge.sendall(b"unfinished")
        assert edge.recv(9)
    with edge:
        assert not any(event.whole for event in _ends(tmp_path)) and _ends(tmp_path)
    assert sides(log_files(tmp_path)[0]) == (b"unfinished", b"unfinishe")


def _ends(folder):
    return [e for e in read_log(log_files(folder)[0])[1] if isinstance(e, Ended)]


def test_a_cloud_that_is_not_there_refuses_and_leaves_no_log(tmp_path):
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
    with recording(Address(HERE, port), tmp_path) as (address, proxy), connect(address) as edge:
        assert edge.recv(1) == b""
        assert proxy.connections == 0
    with pytest.raises(WireError, match="no recorded connections"):
        log_files(tmp_path)


def test_connections_beyond_the_bound_are_refused(cloud, tmp_path):
    target = cloud(echo_after_the_end)
    with recording(target, tmp_path, most_connections=1) as (address, proxy):
        with connect(address) as first, connect(address) as second:
            first.sendall(b"abc")
            with suppress(ConnectionResetError):
                assert second.recv(1) == b""
            first.shutdown(socket.SHUT_WR)
            assert read_all(first) == b"cba"
        assert proxy.connections == 1


def test_a_taken_port_and_a_folder_that_cannot_be_are_one_line(cloud, tmp_path):
    target = cloud(echo_after_the_end)
    (tmp_path / "file").touch()
    with (
        pytest.raises(WireError, match="another folder as --out"),
        recording(target, tmp_path / "file" / "x"),
    ):
        pass


def test_a_log_is_never_written_over(tmp_path):
    LogWriter(tmp_path / "x.wirelog", "a:1", "b:2").close()
    with pytest.raises(FileExistsError):
        LogWriter(tmp_path / "x.wirelog", "a:1", "b:2")


@given(st.data())
def test_a_damaged_or_cut_log_is_read_as_far_as_it_goes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "x.wirelog"
    writer = LogWriter(path, "edge:1", "cloud:2")
    parts = data.draw(st.lists(st.tuples(st.booleans(), st.binary(min_size=1)), max_size=6))
    for up, part in parts:
        writer.data(up, part)
    writer.close()
    whole = path.read_bytes()
    assert [(c.up, c.data) for c in chunks(path)] == parts

    cut = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_bytes(cut)
    try:
        events = list(read_log(path)[1])
    except WireError:
        assert len(cut) < 8 + 8 + 2 + 6 + 2 + 7
    else:
        kept = b"".join(e.data for e in events if isinstance(e, Chunk))
        assert b"".join(part for _, part in parts).startswith(kept)
        assert len(events) <= len(parts) + 1

    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        peers, events = read_log(path)
        assert all(isinstance(e, (Chunk, Ended, Remark)) for e in events) and peers.name == "x"
    except WireError as error:
        assert "\n" not in str(error)
