"""The same traffic out of packets: in any order, twice, overlapping, with holes, in every kind of file."""

import random
import socket
import threading
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.captures.importers import open_capture
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.intercepted import Recording
from esrt_privacy.wire.reassembly import MOST_WAITING_BYTES, read_pcap
from esrt_privacy.wire.streams import Chunk, Ended, Gap, Remark, log_files
from esrt_privacy.wire.tensors import WireShape
from tests.wire import packets as net
from tests.wire.echo import EchoCloud, recordings
from tests.wire.interception import chunks, of_kind, recorded_calls, recovered
from tests.wire.packets import conversation

SECOND = 1_000_000_000
TALK = [
    Chunk(True, 5 * SECOND, bytes(range(256)) * 40),
    Chunk(False, 6 * SECOND + 123_456_789, b"answer" * 900),
    Chunk(True, 7 * SECOND, b"and more" * 700),
]


def read(path, data, **how):
    """Streams of each connection (edge's, cloud's), and everything else that was told."""
    path.write_bytes(data)
    streams, others = {}, []
    for peers, event in read_pcap(path, **how):
        if isinstance(event, Chunk):
            assert peers is not None
            streams.setdefault(peers.name, {True: b"", False: b""})[event.up] += event.data
        elif event is not None:
            others.append(event)
    return [(both[True], both[False]) for both in streams.values()], others


def said(talk):
    return (
        b"".join(c.data for c in talk if c.up),
        b"".join(c.data for c in talk if not c.up),
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("link", [net.ETHERNET, net.RAW, net.COOKED, net.COOKED_2, net.LOOPBACK])
def test_every_link_type_in_both_byte_orders(tmp_path, link, order):
    data = net.pcap(conversation(TALK), link, order)
    streams, others = read(tmp_path / "x", data)
    assert streams == [said(TALK)]
    assert [type(event) for event in others] == [Ended, Ended]


def test_ipv6_vlan_and_microseconds(tmp_path):
    six = conversation(TALK, edge=("2001:db8::1", 999), cloud=("2001:db8::2", 50051))
    assert read(tmp_path / "x", net.pcap(six))[0] == [said(TALK)]
    only = Address("2001:db8::2", 50051)
    assert read(tmp_path / "x", net.pcap(six), cloud=only)[0] == [said(TALK)]
    assert read(tmp_path / "x", net.pcap(conversation(TALK), vlan=True))[0] == [said(TALK)]
    assert read(tmp_path / "x", net.pcap(conversation(TALK), nano=False))[0] == [said(TALK)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_with_several_interfaces_keeps_nanoseconds(tmp_path, order):
    path = tmp_path / "x"
    data = net.pcapng(conversation(TALK), [net.ETHERNET, net.COOKED, net.RAW], order)
    assert read(path, data)[0] == [said(TALK)]
    times = {e.time_ns for _, e in read_pcap(path) if isinstance(e, Chunk)}
    assert times == {chunk.time_ns for chunk in TALK}


@given(st.data())
@settings(max_examples=60)
def test_order_duplicates_and_overlaps_do_not_matter(tmp_path_factory, data):
    draw = random.Random(data.draw(st.integers(0, 1 << 30)))
    start = data.draw(st.sampled_from([0, 1000, (1 << 32) - 2000, (1 << 32) - 1]))
    parts = conversation(TALK, size=data.draw(st.sampled_from([100, 977, 1400])), start=start)
    far = data.draw(st.sampled_from([1, 3, 40]))
    # Sent again whole, and as a longer or later part of what was sent before.
    again = [draw.choice(parts) for _ in range(20)]
    merged = []
    for a, b in pairwise(parts):
        if a.up == b.up and a.data and b.data and draw.random() < 0.3:
            cut = draw.randrange(len(a.data))
            sequence = (a.sequence + cut) % (1 << 32)
            merged.append(replace(a, sequence=sequence, data=a.data[cut:] + b.data))
    numbered = list(enumerate(parts))
    numbered += [(draw.randrange(len(parts)), p) for p in again + merged if not p.flags & net.SYN]
    numbered.sort(key=lambda pair: pair[0] + draw.random() * far)
    path = tmp_path_factory.mktemp("pcap") / "x"
    streams, others = read(path, net.pcap([p for _, p in numbered]))
    assert streams == [said(TALK)]
    assert not any(isinstance(event, (Gap, Remark)) for event in others)


def test_what_was_not_recorded_is_said_with_its_size(tmp_path):
    parts = conversation(TALK, size=1000)
    lost = next(n for n, p in enumerate(parts) if p.up and len(p.data) == 1000 and n > 4)
    streams, others = read(tmp_path / "x", net.pcap(parts[:lost] + parts[lost + 1 :]))
    assert [(gap.up, gap.size) for gap in others if isinstance(gap, Gap)] == [(True, 1000)]
    up, down = said(TALK)
    start = sum(len(p.data) for p in parts[:lost] if p.up)
    assert streams == [(up[:start] + up[start + 1000 :], down)]


def test_a_recording_that_begins_in_the_middle_says_so(tmp_path):
    streams, others = read(tmp_path / "x", net.pcap(conversation(TALK)[2:]))
    assert streams == [said(TALK)]
    remarks = [event.text for event in others if isinstance(event, Remark)]
    assert any("in the middle" in text for text in remarks)
    assert any("taken from the ports" in text for text in remarks)


def test_one_pair_of_ports_used_twice_is_two_connections_and_a_reset_is_said(tmp_path):
    first = conversation(TALK)[:-2]
    first.append(net.Packet(first[-1].time_ns, True, 0, net.RST))
    second = conversation(TALK[:2], start=900_000)
    streams, others = read(tmp_path / "x", net.pcap(first + second))
    assert streams == [said(TALK), said(TALK[:2])]
    assert [event.whole for event in others if isinstance(event, Ended)] == [False, True, True]


def test_other_connections_are_left_out_and_counted(tmp_path):
    other = conversation(TALK, edge=("10.0.0.1", 5), cloud=("10.0.0.9", 443))
    mixed = [p for pair in zip(conversation(TALK), other, strict=True) for p in pair]
    path = tmp_path / "x"
    assert len(read(path, net.pcap(mixed))[0]) == 2
    streams, others = read(path, net.pcap(mixed), cloud=Address("10.0.0.2", 50051))
    assert streams == [said(TALK)]
    assert any("segments of other connections" in getattr(e, "text", "") for e in others)


def test_what_is_no_pcap_is_one_line_and_a_cut_one_is_read_as_far_as_it_goes(tmp_path):
    with pytest.raises(WireError, match="neither pcap nor pcapng"):
        read(tmp_path / "x", b"GET / HTTP/1.1")
    with pytest.raises(WireError, match="cannot be read"):
        list(read_pcap(tmp_path / "none"))
    for data in (net.pcap(conversation(TALK)), net.pcapng(conversation(TALK))):
        streams, others = read(tmp_path / "x", data[:-300])
        assert said(TALK)[0].startswith(streams[0][0])
        assert any("cut-off" in getattr(event, "text", "") for event in others)


@given(st.data())
@settings(max_examples=100)
def test_damaged_files_give_streams_or_one_line(tmp_path_factory, data):
    make = data.draw(st.sampled_from([net.pcap, net.pcapng]))
    whole = bytearray(make(conversation([TALK[1]], size=700)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(tmp_path_factory.mktemp("pcap") / "x", bytes(whole))
    except WireError as error:
        assert "\n" not in str(error)


def test_what_waits_for_a_lost_segment_is_bounded(tmp_path):
    talk = [Chunk(True, n, bytes(60_000)) for n in range(400)]  # 24 MB
    parts = conversation(talk, size=60_000)
    path = tmp_path / "x"
    path.write_bytes(net.pcap(parts[:2] + parts[3:], net.RAW))
    tracemalloc.start()
    size = sum(e.size for _, e in read_pcap(path) if isinstance(e, Gap))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 60_000
    assert most < 2 * MOST_WAITING_BYTES


def test_a_pcap_gives_the_same_tensors_and_evidence_as_the_log(served, remote, tmp_path):
    cache = SqliteCache(tmp_path / "features.sqlite")
    logs = recorded_calls(served(EchoCloud(), cache), remote, tmp_path / "logs", recordings(3))
    one, rows = recovered(Recording.of_logs(logs), tmp_path / "one")
    parts = conversation(chunks(log_files(logs)[0]), size=500)
    draw = random.Random(1)
    shaken = sorted(enumerate([*parts, *parts[2:90]]), key=lambda p: p[0] + 3 * draw.random())
    path = tmp_path / "x.pcapng"
    path.write_bytes(net.pcapng([p for _, p in shaken]))
    two, same = recovered(Recording(pcap=path), tmp_path / "two")
    assert (one.calls, one.tensors, one.sendings) == (two.calls, two.tensors, two.sendings)

    def told(rows):
        beside = (
            "carried",
            "tensor",
            "identifier",
            "source",
            "targets",
            "texts",
            "status",
            "notes",
        )
        calls = sorted(of_kind(rows, "call"), key=lambda row: row["stream"])
        return [
            {key: call.get(key) for key in beside} | {"up": call["up"]["bytes"]} for call in calls
        ]

    assert told(rows) == told(same)
    (connection,) = of_kind(same, "connection")
    assert (connection["edge"], connection["cloud"]) == ("10.0.0.1:43210", "10.0.0.2:50051")


def test_real_packets_of_this_machine_give_the_tensors(served, remote, tmp_path):
    """The loopback interface shows each packet twice, and packets that a network card would cut up."""
    if not hasattr(socket, "AF_PACKET"):
        pytest.skip("packets of this machine can only be read on Linux")
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    except PermissionError:
        pytest.skip("packets of this machine can only be read with CAP_NET_RAW")
    frames: list[tuple[int, bytes]] = []
    done = threading.Event()

    def listen():
        tap.settimeout(0.05)
        while not done.is_set():
            with suppress(TimeoutError):
                frames.append((time.time_ns(), tap.recv(1 << 17)))

    with tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.bind(("lo", 0))
        address = served(EchoCloud(), shape=WireShape(80, 768))
        thread = threading.Thread(target=listen)
        thread.start()
        wire = recordings(2, 80, 768)
        remote(address).translate(wire[:1], "eng", ["deu"])
        remote(address).translate(wire[1:], "eng", ["deu"])
        time.sleep(0.3)
        done.set()
        thread.join()
    path = tmp_path / "lo.pcap"
    path.write_bytes(net.file_of(frames))
    source = Recording(pcap=path, cloud=address)
    found, rows = recovered(source, tmp_path / "out")
    assert (found.tensors, found.calls) == (2, 2), found.notes
    opened = open_capture(found.captures[0])
    got = {opened.tensor(u).view(torch.uint8).numpy().tobytes() for u in opened.corpus}
    assert got == {row.view(torch.uint8).numpy().tobytes() for row in wire}
    assert {row["cloud"] for row in of_kind(rows, "connection")} == {str(address)}
