"""Calls out of recorded bytes: real gRPC traffic first, then anything at all."""

import json
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.captures.capture import capture
from esrt_privacy.captures.importers import open_capture
from esrt_privacy.errors import CaptureError
from esrt_privacy.systems.base import Tap
from esrt_privacy.wire.call_evidence import PATH, Links
from esrt_privacy.wire.evidence import Witness
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.grpc_calls import Held
from esrt_privacy.wire.http2 import PREFACE
from esrt_privacy.wire.intercepted import Recording, recover
from esrt_privacy.wire.labels import by_file, by_order
from esrt_privacy.wire.streams import Chunk, Gap, Peers, log_files
from tests.wire.echo import EchoCloud, expected, recordings
from tests.wire.interception import chunks, of_kind, recorded_calls, recording, recovered

WIRE = recordings(3)


class Kept:
    """A sink that keeps everything."""

    def __init__(self):
        self.rows, self.tensors = [], []

    def row(self, row):
        json.dumps(row)
        self.rows.append(row)

    def tensor(self, seen):
        self.tensors.append(seen)


def witnessed(events):
    """What a witness of these events tells; nothing is held when it is done."""
    sink, held = Kept(), Held()
    witness = Witness(Peers("x", "edge:1", "cloud:2"), sink, Links(), held)
    for event in events:
        witness.feed(event)
    witness.finish()
    assert held.bytes == 0
    return sink


@pytest.fixture
def traffic(served, remote, tmp_path):
    """A folder of logs: three tensors one after another, the first again into another language by its identifier."""
    cache = SqliteCache(tmp_path / "features.sqlite")
    return recorded_calls(served(EchoCloud(), cache), remote, tmp_path / "logs", WIRE)


def test_tensors_come_out_bit_for_bit_and_once(traffic, tmp_path):
    found, _ = recovered(Recording.of_logs(traffic), tmp_path / "out")
    assert (found.connections, found.calls, found.tensors) == ({"plaintext gRPC": 1}, 4, 3)
    (folder,) = found.captures
    opened = open_capture(folder)
    got = {opened.tensor(u).view(torch.int16).numpy().tobytes() for u in opened.corpus}
    assert got == {row.view(torch.int16).numpy().tobytes() for row in WIRE}
    assert opened.tensor(opened.corpus.utterances[0]).dtype == torch.bfloat16
    assert opened.system_fingerprint.startswith("unknown-") and opened.tap == "qformer"


def test_what_travels_beside_the_tensor_is_evidence(traffic, tmp_path):
    _, rows = recovered(Recording.of_logs(traffic), tmp_path / "out")
    calls = of_kind(rows, "call")
    assert [call["method"] for call in calls] == [PATH] * 4
    assert [call["carried"] for call in calls] == ["tensor"] * 3 + ["identifier"]
    assert [call["targets"] for call in calls] == [["deu", "fra"]] * 3 + [["spa"]]
    assert {call["source"] for call in calls} == {"eng"}
    assert calls[3]["tensor"] == calls[0]["tensor"], "the identifier tells whose tensor it was"
    assert calls[3]["identifier"] == calls[0]["identifier"]
    for call, tensor in zip(calls, WIRE, strict=False):
        answer = expected(tensor, "eng", "fra")
        (text,) = [t for t in call["texts"] if t["target"] == "fra"]
        assert (text["transcript"], text["translation"]) == (answer.transcript, answer.translation)
    for call in calls:
        up, down = call["up"], call["down"]
        assert up["first_ns"] <= up["last_ns"] <= down["last_ns"]
        assert call["tensor_bytes"] < up["bytes"] < call["tensor_bytes"] + 600
        assert call["status"] == "0" and call["notes"] == [] and "grpc" in call["agent"]
    (connection,) = of_kind(rows, "connection")
    assert connection["up"]["bytes"] == sum(
        len(c.data) for c in chunks(log_files(traffic)[0]) if c.up
    )


def test_reading_again_gives_the_same_files(traffic, tmp_path):
    def files():
        recover(Recording.of_logs(traffic), tmp_path / "out")
        paths = sorted((tmp_path / "out").rglob("*"))
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    assert files() == files()


def test_recordings_are_known_by_order_or_by_a_file_and_then_not_encoded_again(
    traffic, tiny_speech, tmp_path
):
    from esrt_privacy.corpora import load_corpus

    source = Recording.of_logs(traffic)
    corpus = load_corpus(str(tiny_speech))
    with pytest.raises(CaptureError, match="3 tensors were seen"):
        by_order(source, corpus)
    three = corpus.filter(lambda u: u in corpus.utterances[:3])
    labels = by_order(source, three)

    tap = Tap("qformer", (8, 24), torch.bfloat16, "f" * 64, is_wire=True)
    recover(source, tmp_path / "out", labels, ("this one", tap))

    class System:
        name, taps = "this one", {"qformer": tap}
        # No `represent`: there is nothing to encode.

    held = capture(System(), ["qformer"], three, tmp_path / "out" / "captures")["qformer"]
    for utterance, tensor in zip(three, WIRE, strict=True):
        assert torch.equal(held.tensor(utterance), tensor)

    rows = [json.loads(line) for line in (tmp_path / "out/tensors.jsonl").read_text().splitlines()]
    file = tmp_path / "mapping.jsonl"
    file.write_text(
        "\n".join(json.dumps({"tensor": r["tensor"], "audio": r["audio"]}) for r in rows)
    )
    assert {k: v[0] for k, v in by_file(file).known.items()} == {
        k: v[0] for k, v in labels.known.items()
    }
    file.write_text('{"tensor": "x", "audio": "y"}')
    with pytest.raises(CaptureError, match="line 1"):
        by_file(file)


def test_calls_that_overlap_are_not_told_by_order(served, remote, tiny_speech, tmp_path):
    from esrt_privacy.corpora import load_corpus

    with recording(served(EchoCloud(0.2)), tmp_path / "logs") as (address, _):
        remote(address).translate(recordings(3), "eng", ["deu"])
    corpus = load_corpus(str(tiny_speech))
    three = corpus.filter(lambda u: u in corpus.utterances[:3])
    with pytest.raises(CaptureError, match="overlapped in time"):
        by_order(Recording.of_logs(tmp_path / "logs"), three)


def test_of_tls_sizes_and_times_are_left(served, remote, both_sides, tmp_path):
    server, client = both_sides
    with recording(served(EchoCloud(), credentials=server), tmp_path / "logs") as (address, _):
        remote(address, credentials=client).translate(WIRE[:1], "eng", ["deu"])
    found, rows = recovered(Recording.of_logs(tmp_path / "logs"), tmp_path / "out")
    assert found.connections == {"TLS": 1} and not found.captures and not found.tensors
    (connection,) = of_kind(rows, "connection")
    assert "h2" in connection["protocols"]
    assert "server_name" in connection and connection["up"]["bytes"] > WIRE[0].numel() * 2
    assert connection["up_records"]["application_bytes"] > WIRE[0].numel() * 2
    exchanges = of_kind(rows, "exchange")
    assert sum(e["up"]["bytes"] for e in exchanges) == connection["up"]["bytes"]
    text = (tmp_path / "out/evidence.jsonl").read_text()
    assert "deu" not in text and expected(WIRE[0], "eng", "deu").transcript not in text


@given(st.data())
@settings(max_examples=30)
def test_cuts_do_not_matter(sample, data):
    events, whole = sample
    size = data.draw(st.sampled_from([1, 2, 7, 100, 5000]))
    step = 1 if size == 1 else size
    pieces = [
        Chunk(e.up, e.time_ns, e.data[n : n + step])
        for e in events
        for n in range(0, len(e.data), step)
    ]
    assert [t.key for t in witnessed(pieces).tensors] == whole


@given(st.data())
@settings(max_examples=150)
def test_damage_and_gaps_are_notes_and_never_more(sample, data):
    events, _ = sample
    number = data.draw(st.integers(0, len(events) - 1))
    event = events[number]
    place = data.draw(st.integers(0, min(len(event.data) - 1, 200)))
    kind = data.draw(st.sampled_from(["flip", "drop", "insert", "gap", "swap", "end"]))
    left, right = event.data[:place], event.data[place:]
    changed = {
        "flip": [left + bytes([right[0] ^ data.draw(st.integers(1, 255))]) + right[1:]],
        "drop": [left + right[1:]],
        "insert": [left + data.draw(st.binary(min_size=1, max_size=40)) + right],
        "gap": [left, right[10:]],
        "swap": [right, left],
        "end": [left],
    }[kind]
    new = [Chunk(event.up, event.time_ns, part) for part in changed if part]
    if kind == "gap":
        new.insert(1, Gap(event.up, event.time_ns, 10))
    mutated = [*events[:number], *new, *([] if kind == "end" else events[number + 1 :])]
    sink = witnessed(mutated)
    (connection,) = of_kind(sink.rows, "connection")
    assert all("\n" not in note for row in sink.rows for note in row.get("notes", []))
    assert connection["transport"] in ("plaintext gRPC", "unknown", "TLS")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Events of one real connection, and the keys of its tensors."""
    from esrt_privacy.wire.channel import ClientOptions
    from esrt_privacy.wire.client import RemoteCloud
    from esrt_privacy.wire.server import ServeOptions, in_background
    from tests.wire.conftest import ANY_PORT, SHAPE

    folder = tmp_path_factory.mktemp("sample")
    with in_background(EchoCloud(), ServeOptions(SHAPE, ANY_PORT, grace=1.0)) as address:
        recorded_calls(address, lambda a: RemoteCloud(a, ClientOptions()), folder, recordings(2))
    events = chunks(log_files(folder)[0])
    keys = [t.key for t in witnessed(events).tensors]
    assert len(keys) == 3, "without a cache the first is missed, and sent again"
    return events, keys


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=20), st.booleans())
def test_anything_at_all_is_read_without_a_crash(parts, begins_well):
    parts = [(True, PREFACE), *parts] if begins_well else parts
    sink = witnessed([Chunk(up, n, data) for n, (up, data) in enumerate(parts) if data])
    assert len(of_kind(sink.rows, "connection")) == 1 and not sink.tensors


@pytest.mark.parametrize("kind", ["one frame", "many streams", "headers"])
def test_what_never_ends_does_not_fill_the_memory(kind):
    import hpack

    block = hpack.Encoder().encode([(":path", PATH)])

    def frame(code, flags, stream, body):
        return (
            len(body).to_bytes(3, "big") + bytes([code, flags]) + stream.to_bytes(4, "big") + body
        )

    def endless():
        yield PREFACE
        if kind == "one frame":
            yield b"\xff\xff\xff\0\0\0\0\0\1"
            yield from (bytes(1 << 20) for _ in range(100))
        elif kind == "headers":
            yield frame(1, 0, 1, block)
            yield from (frame(9, 0, 1, bytes(16_000)) for _ in range(4000))
        else:
            message = b"\0\0\x30\0\0" + bytes(16_000)  # of 3 MiB, which never come
            for stream in range(1, 20_000, 2):
                yield frame(1, 4, stream, block) + frame(0, 0, stream, message)

    tracemalloc.start()
    sink = witnessed(Chunk(True, n, data) for n, data in enumerate(endless()))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 80 << 20
    (connection,) = of_kind(sink.rows, "connection")
    assert len(connection["notes"]) == 1
