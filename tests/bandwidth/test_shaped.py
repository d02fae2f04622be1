"""Slow lines: the line itself by a clock that stands still, real TCP over it, and transfers checked on it."""

import json
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth import experiment, report, shaped
from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.options import BandwidthRequest
from esrt_privacy.bandwidth.shaped_transfers import NETEM
from esrt_privacy.bandwidth.tcp_ip import OPENING_AND_END, header_bytes
from esrt_privacy.bandwidth.transfer import Link
from esrt_privacy.bandwidth.user_space_link import FAR, NEAR, UserSpaceLink, exchanged

ROOT = Path(__file__).parents[2]
SERVER, CLIENT = 443, 50_000


def packet(payload: bytes, source: str, target: str, ports: tuple[int, int]) -> bytes:
    """TCP over IPv4 with its checksums, as a sender makes it."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIHHHH", *ports, 1, 1, 0x5010, 1_000, 0, 0)
    pseudo = addresses + struct.pack("!HH", 6, len(tcp) + len(payload))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp + payload)) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 7, 0, 64, 6, 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + tcp + payload


def checksum(data: bytes) -> int:
    """RFC 1071; 0 over data that holds its own."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=200))
def test_an_exchanged_packet_comes_from_where_it_went_and_is_still_valid(payload):
    found = exchanged(packet(payload, NEAR, FAR, (CLIENT, SERVER)))
    assert socket.inet_ntoa(found[12:16]) == FAR
    assert socket.inet_ntoa(found[16:20]) == NEAR
    assert found[20:] == packet(payload, NEAR, FAR, (CLIENT, SERVER))[20:]
    assert checksum(found[:20]) == 0
    pseudo = found[12:20] + struct.pack("!HH", 6, len(found) - 20)
    assert checksum(pseudo + found[20:]) == 0


@given(st.binary(max_size=60))
def test_what_is_no_tcp_over_ipv4_is_dropped(data):
    found = exchanged(data)
    assert found is None or (data[0] >> 4 == 4 and data[9] == 6 and len(data) >= 40)


def test_packets_queue_for_the_rate_and_arrive_half_a_round_trip_later():
    line = UserSpaceLink(-1, clock=lambda: 10.0)
    line.link, line.ports = Link(1.0, 100.0), frozenset([SERVER])
    full = packet(bytes(1_460), NEAR, FAR, (CLIENT, SERVER))  # 1,500 B, 12 ms at 1 Mbit/s
    for _ in range(2):
        line.take(full)
    line.take(packet(b"", NEAR, FAR, (SERVER, CLIENT)))  # an acknowledgement: its own way, 40 B
    assert [when for when, _ in line.up.waiting] == pytest.approx([10.062, 10.074])
    assert [when for when, _ in line.down.waiting] == pytest.approx([10.05032])
    assert (line.up.packets, line.up.bytes, line.down.bytes) == (2, 3_000, 40)


def permitted(*command: str) -> bool:
    """Whether a command runs in a network namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run([*shaped.NAMESPACE, *command], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def namespace() -> tuple[str, ...]:
    if not permitted("sh", "-c", "ip link set dev lo up && ip tuntap add dev t0 mode tun"):
        pytest.skip("network namespaces with TUN devices are not permitted here")
    return shaped.NAMESPACE


@pytest.mark.parametrize("size", [500, 122_880])
def test_real_packets_are_as_many_as_the_formula_says(namespace, size):
    command = [*namespace, sys.executable, "-m", "tests.bandwidth.line_transfer", str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["peer"], found["answer"]) == (FAR, 200)
    expected = header_bytes(Carried(size, 200)).plus(OPENING_AND_END)
    headers = Carried(found["up"][1] - size, found["down"][1] - 200)
    assert found["up"][1] >= size
    # data segments are exact; how many acknowledgements go alone is the receiver's choice
    assert expected.up - 3 * 52 <= headers.up <= expected.up + 3 * 52
    assert headers.down <= 2 * expected.down
    assert headers.down >= OPENING_AND_END.down - 52


def test_where_nothing_is_permitted_a_note_says_so(monkeypatch):
    monkeypatch.setattr(shaped, "NAMESPACE", ("no-such-program",))
    found = shaped.check(BandwidthRequest(), None, [])
    assert found.shaper == "" and found.transfers == ()
    assert "no line was shaped" in found.notes[0]


def test_outside_a_namespace_nothing_is_touched(tmp_path):
    plan = {"outside": str(Path("/proc/self/ns/net").readlink())}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    module = "esrt_privacy.bandwidth.shaped_transfers"
    command = [sys.executable, "-m", module, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nothing was touched" in done.stderr and done.stdout == ""


@pytest.mark.slow
def test_transfers_over_a_slow_line_stand_beside_what_was_computed(
    namespace, tiny_speech, tmp_path, monkeypatch
):
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path))
    monkeypatch.setattr(experiment, "STREAMS", 1)
    link = {"rates": (10.0,), "round_trips": (20.0,)}
    request = BandwidthRequest(
        samples=2, corpus=str(tiny_speech), listened=0, languages=3, shaped=True, **link
    )
    record = experiment.measure(request)
    found = record.shaped
    assert found.shaper
    names = [(row.name, row.languages) for row in found.transfers]
    assert ("tensor-80x768-bf16", 1) in names and ("tensor-80x768-bf16", 3) in names
    assert ("wav-16-json", 1) in names
    for row in found.transfers:
        assert row.failed == ""
        assert len(row.measured) == shaped.REPEATS
    page = report.write_report(record, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="shaped"' in page and "→" in page
    assert (tmp_path / "out" / "shaped.csv").read_text().count("\n") == 1 + 2 * len(found.transfers)


def test_netem_is_used_where_the_kernel_has_it(namespace):
    words = "ip link set dev lo up && tc qdisc add dev lo root netem delay 1ms rate 10mbit"
    if not permitted("sh", "-c", words):
        pytest.skip("this kernel has no netem")
    code = (
        "from esrt_privacy.bandwidth import shaped_transfers as s;"
        "from esrt_privacy.bandwidth.transfer import Link; import subprocess;"
        "s._netem(Link(1.0, 300.0)); s._netem(Link(10.0, 20.0));"
        "print(subprocess.run(['tc', 'qdisc', 'show', 'dev', 'lo'], capture_output=True, text=True).stdout)"
    )
    done = subprocess.run(
        [*namespace, sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "netem" in done.stdout and "delay 10ms" in done.stdout and "rate 10Mbit" in done.stdout
    assert "netem" in NETEM
