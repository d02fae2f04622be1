"""What `intercept` is asked for, from a real edge half's tensors to a capture of that system."""

import pytest
import torch

from esrt_privacy.captures.capture import capture
from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import CaptureError
from esrt_privacy.systems.registry import build_system
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.exchanges import Exchanges
from esrt_privacy.wire.intercepting import LOGS_FOLDER, InterceptRequest, intercepted
from esrt_privacy.wire.remote import load_edge
from esrt_privacy.wire.tensors import WireShape
from esrt_privacy.wire.tls import Hello, client_hello, is_tls
from tests.wire.echo import EchoCloud, recordings
from tests.wire.interception import recording


def test_an_intercepted_capture_is_what_the_system_would_have_encoded(
    served, remote, tiny_system, tiny_speech, tmp_path
):
    whole = load_corpus(str(tiny_speech))
    first, second = whole.utterances[:2]
    edge = load_edge(str(tiny_system))
    system = build_system(str(tiny_system))
    shape = WireShape(*system.taps["qformer"].shape)
    logs = tmp_path / LOGS_FOLDER
    with recording(served(EchoCloud(), shape=shape), logs) as (address, _):
        for utterance in (first, second):
            remote(address).translate(edge.encode([utterance.waveform()]), "eng", ["deu"])

    lines = []
    request = InterceptRequest(
        out=tmp_path / "out",
        log=logs,
        recordings=str(_first_two(tiny_speech, tmp_path / "two")),
        system=str(tiny_system),
    )
    found = intercepted(request, lines.append)
    assert found.tensors == 2 and not lines

    two = whole.filter(lambda u: u.id in (first.id, second.id))
    asked = {name: tap for name, tap in system.taps.items() if name == "qformer"}

    class NothingToEncode:
        name, taps = system.name, asked

    held = capture(NothingToEncode(), ["qformer"], two, tmp_path / "out/captures")["qformer"]
    held.require(system)
    own = system.represent([first.waveform(), second.waveform()], ["qformer"])["qformer"]
    assert torch.equal(held.batch([first, second]), own.float())


def _first_two(speech, folder):
    """A manifest of the first two recordings, in a folder where their audio is too."""
    folder.mkdir()
    for path in speech.iterdir():
        if path.name != "manifest.jsonl":
            (folder / path.name).symlink_to(path)
    with (speech / "manifest.jsonl").open() as lines:
        (folder / "manifest.jsonl").write_text("".join(lines.readlines()[:2]))
    return folder / "manifest.jsonl"


def test_tensors_that_the_named_system_does_not_send_are_not_kept(
    served, remote, tiny_system, tmp_path
):
    target = served(EchoCloud(), shape=WireShape(9, 24))
    with recording(target, tmp_path / LOGS_FOLDER) as (address, _):
        remote(address).translate(recordings(1, 9), "eng", ["deu"])
    request = InterceptRequest(tmp_path / "out", log=tmp_path, system=str(tiny_system))
    found = intercepted(request, print)
    assert not found.tensors and not found.captures
    assert "does not send" in found.evidence.read_text()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give one of --listen"),
        ({"listen": "x:1", "pcap": "y"}, "give one of --listen"),
        ({"listen": "localhost:0"}, "--listen needs --to"),
        ({"listen": "localhost:x", "to": "localhost:1"}, "not HOST:PORT"),
        ({"log": "none", "mapping": "a", "recordings": "b"}, "not both"),
        ({"log": "none", "mapping": "a"}, "cannot be read"),
        ({"log": "none"}, "no recorded connections here"),
    ],
)
def test_what_cannot_be_done_is_one_line(asked, said, tmp_path):
    paths = {k: tmp_path / v for k, v in asked.items() if k in ("pcap", "log", "mapping")}
    with pytest.raises((WireError, CaptureError), match=said) as error:
        intercepted(InterceptRequest(out=tmp_path / "out", **asked | paths), print)
    assert "\n" not in str(error.value)


def test_the_name_in_a_client_hello_is_read_and_damage_is_not():
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    sent, answers = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(answers, sent, server_hostname="cloud.example")
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    hello = sent.read()
    assert is_tls(hello) and client_hello(hello) == Hello("cloud.example", ("h2", "http/1.1"))
    for n in range(len(hello)):
        client_hello(hello[:n])
        client_hello(hello[:n] + b"\xff" + hello[n + 1 :])


def test_exchanges_by_hand():
    told = []
    exchanges = Exchanges(told.append)
    # A request whose upload is interrupted by window updates, its answer in two parts, an acknowledgement; another.
    turns = [(True, 60_000), (False, 48), (True, 63_000), (False, 200), (False, 90), (True, 35)]
    turns += [(True, 5), (False, 40), (True, 150), (False, 180)]
    for time, (up, size) in enumerate(turns):
        exchanges.add(up, size, time)
    exchanges.finish()
    assert [(e.up.bytes, e.down.bytes) for e in told] == [(123_040, 378), (150, 180)]
    assert [(e.up.first_ns, e.up.last_ns) for e in told] == [(0, 6), (8, 8)]
    assert [(e.down.first_ns, e.down.last_ns) for e in told] == [(1, 7), (9, 9)]
