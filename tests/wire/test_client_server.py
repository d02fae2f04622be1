"""Edge and cloud over a real connection: the answers of each tensor, batches, text as it comes, health."""

import threading
import time

import grpc
import pytest
import torch

from esrt_privacy.errors import LanguageError
from esrt_privacy.wire.errors import MessageError, WireError
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.health import HEALTH_SERVICE, SERVICE_UNKNOWN, SERVING, encode_name
from esrt_privacy.wire.messages import Request, encode_request
from esrt_privacy.wire.tensors import encode_tensor
from tests.wire.echo import EchoCloud, expected, recordings

TO = ("deu", "fra", "spa")


def should(wire, targets=TO):
    return [{t: expected(row, "eng", t) for t in targets} for row in wire]


@pytest.fixture
def cache(tmp_path):
    return SqliteCache(tmp_path / "features.sqlite")


def test_every_recording_gets_its_own_answers(served, remote):
    wire = recordings(20)
    client = remote(served(EchoCloud()))
    assert client.translate(wire, "eng", TO) == should(wire)
    assert client.transcribe(wire, "eng") == [expected(row, "eng", None) for row in wire]


def test_languages_may_be_named_in_any_way_and_twice(served, remote):
    wire = recordings(1)
    client = remote(served(EchoCloud()))
    assert client.translate(wire, "English", ["de", "deu"]) == should(wire, ["deu"])
    with pytest.raises(LanguageError, match="unknown language 'germn'"):
        client.translate(wire, "eng", ["germn"])


def test_nothing_asked_is_nothing_answered(served, remote):
    client = remote(served(EchoCloud()))
    assert client.translate(recordings(2), "eng", []) == [{}, {}]
    assert client.translate(recordings(0), "eng", TO) == []


def test_a_tensor_that_is_bytes_already_is_answered_alike_and_sent_once(served, remote, cache):
    (tensor,) = recordings(1)
    client = remote(served(EchoCloud(), cache))
    data = encode_tensor(tensor)
    assert client.translate_encoded(data, "eng", TO) == should([tensor])[0]
    assert client.translate_encoded(data, "eng", []) == {}
    kept = cache.size
    assert client.translate(tensor[None], "eng", ["ita"]) == should([tensor], ["ita"])
    assert cache.size == kept == len(data)


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_other_precisions_arrive_as_near_as_they_can(served, remote, dtype):
    heard = []

    class Listening(EchoCloud):
        def translate(self, wire, *rest, **options):
            heard.append(wire)
            return super().translate(wire, *rest, **options)

    wire = recordings(1)
    remote(served(Listening()), dtype=dtype).translate(wire, "eng", TO)
    assert torch.allclose(heard[0], wire.float(), atol=0.02)


def test_requests_that_wait_together_are_one_batch(served, remote):
    cloud = EchoCloud()
    cloud.gate.clear()
    client = remote(served(cloud), calls=12)
    wire = recordings(13)
    answers = []
    first = threading.Thread(target=lambda: client.translate(wire[:1], "eng", TO))
    first.start()
    while not cloud.batches:
        time.sleep(0.005)
    rest = threading.Thread(target=lambda: answers.extend(client.translate(wire[1:], "eng", TO)))
    rest.start()
    time.sleep(0.5)  # they are all waiting by then; if not, there are more batches
    cloud.gate.set()
    first.join()
    rest.join()
    assert answers == should(wire[1:])
    # 32 rows of the LLM hold ten recordings in three languages.
    assert max(cloud.batches) == 10 and sum(cloud.batches) == 13


def test_different_requests_are_not_mixed(served, remote):
    client = remote(served(EchoCloud(0.01)), calls=4)
    wire = recordings(6)
    found = {}

    def ask(source, targets):
        found[source, targets] = client.translate(wire, source, targets)

    asked = [(s, t) for s in ("eng", "spa") for t in (("deu",), ("deu", "fra"))]
    threads = [threading.Thread(target=ask, args=a) for a in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source, targets in asked:
        rows = [{t: expected(row, source, t) for t in targets} for row in wire]
        assert found[source, targets] == rows


def test_more_languages_than_a_batch_holds_are_answered_part_by_part(served, remote):
    cloud = EchoCloud()
    wire = recordings(1)
    assert remote(served(cloud, most_rows=2)).translate(wire, "eng", TO) == should(wire)
    assert cloud.batches == [1, 1]


def test_text_is_told_as_it_is_decoded(served, remote):
    told = {}

    def on_text(recording, target, text):
        told.setdefault((recording, target), []).append(text)

    wire = recordings(2)
    rows = remote(served(EchoCloud())).translate(wire, "eng", TO, on_text=on_text)
    assert rows == should(wire)
    for (recording, target), pieces in told.items():
        assert len(pieces) == 3
        assert "".join(pieces) == rows[recording][TO[target]].transcript
    assert len(told) == 6


def test_a_tensor_is_sent_once(served, remote, cache):
    cloud = EchoCloud()
    client = remote(served(cloud, cache))
    wire = recordings(2)
    client.translate(wire, "eng", ["deu"])
    size = cache.size
    assert size == 2 * len(encode_tensor(wire[0]))
    assert client.translate(wire, "eng", ["fra"]) == should(wire, ["fra"])
    assert client.transcribe(wire, "eng")[0].transcript == expected(wire[0], "eng", None).transcript
    assert cache.size == size


@pytest.mark.parametrize("by", ["eviction", "no cache"])
def test_a_miss_makes_the_edge_send_the_tensor_again(served, remote, cache, by):
    client = remote(served(EchoCloud(), cache if by == "eviction" else None))
    wire = recordings(2)
    client.translate(wire, "eng", ["deu"])
    if by == "eviction":
        cache._database.execute("DELETE FROM features")
    assert client.translate(wire, "eng", ["fra"]) == should(wire, ["fra"])


def test_another_client_finds_nothing_under_its_identifier(served, remote, cache):
    address = served(EchoCloud(), cache)
    wire = recordings(1)
    remote(address, b"a" * 32).translate(wire, "eng", ["deu"])
    one_tensor = cache.size
    other = remote(address, b"b" * 32, ask_first=True)
    assert other.translate(wire, "eng", ["deu"]) == should(wire, ["deu"])
    assert cache.size == 2 * one_tensor  # the other's own copy: its identifier was unknown


def test_a_later_run_with_the_same_secret_needs_no_tensor(served, remote, cache):
    address = served(EchoCloud(), cache)
    wire = recordings(1)
    remote(address, b"a" * 32).translate(wire, "eng", ["deu"])
    puts = []
    cache.put = lambda *a: puts.append(a)
    again = remote(address, b"a" * 32, ask_first=True)
    assert again.translate(wire, "eng", ["fra"]) == should(wire, ["fra"])
    assert not puts


def test_a_client_that_wants_nothing_kept_leaves_nothing(served, remote, cache):
    client = remote(served(EchoCloud(), cache), keep=False)
    client.translate(recordings(1), "eng", ["deu"])
    assert cache.size == 0


def test_a_tensor_of_another_shape_is_refused_by_name(served, remote):
    client = remote(served(EchoCloud()))
    with pytest.raises(WireError, match="a tensor of 4x24: this cloud reads 8x24") as error:
        client.translate(recordings(1, vectors=4), "eng", TO)
    assert "\n" not in str(error.value)
    with pytest.raises(WireError, match="too much for the cloud"):
        client.translate(recordings(1, vectors=800), "eng", TO)
    with pytest.raises(WireError, match="this cloud reads bf16"):
        remote(served(EchoCloud(), dtypes=("bf16",)), dtype="fp16").transcribe(recordings(1), "eng")


def test_more_than_the_cloud_gives_is_refused_by_number(served, remote):
    client = remote(served(EchoCloud(), most_tokens=10))
    with pytest.raises(WireError, match="new tokens is 11: this cloud takes 1 to 10"):
        client.translate(recordings(1), "eng", TO, 1, 11)
    with pytest.raises(MessageError):
        client.translate(recordings(1), "eng", TO, 0, 5)


def test_a_cloud_that_fails_is_one_line_without_its_insides(served, remote):
    class Failing(EchoCloud):
        def translate(self, *_, **__):
            raise ZeroDivisionError("what somebody said")

    with pytest.raises(WireError, match=r"the cloud failed \(ZeroDivisionError\)") as error:
        remote(served(Failing())).translate(recordings(1), "eng", TO)
    assert "somebody" not in str(error.value)


def test_one_of_a_batch_that_is_too_large_does_not_fail_the_others(served, remote):
    from esrt_privacy.errors import ModelError

    class Small(EchoCloud):
        def translate(self, wire, *rest, **options):
            self._wait(wire)
            if len(wire) > 1:
                raise ModelError("memory ran out")
            return super().translate(wire, *rest, **options)

    cloud = Small(0.05)
    wire = recordings(6)
    assert remote(served(cloud)).translate(wire, "eng", TO) == should(wire)
    assert max(cloud.batches) > 1


def test_health_is_the_standard_one(served):
    address = served(EchoCloud())
    with grpc.insecure_channel(str(address)) as channel:
        check = channel.unary_unary(f"/{HEALTH_SERVICE}/Check")
        assert check(b"", timeout=5) == bytes([8, SERVING])
        assert check(encode_name("esrt.Wire"), timeout=5) == bytes([8, SERVING])
        with pytest.raises(grpc.RpcError) as error:
            check(encode_name("another"), timeout=5)
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as error:
            check(b"\x0a\x05ab", timeout=5)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        watch = channel.unary_stream(f"/{HEALTH_SERVICE}/Watch")
        assert next(watch(encode_name("another"), timeout=5)) == bytes([8, SERVICE_UNKNOWN])


def test_compressed_messages_are_not_taken(served):
    message = encode_request(Request("eng", ("deu",), tensor=encode_tensor(recordings(1)[0])))
    address = str(served(EchoCloud()))
    with (
        grpc.insecure_channel(address, compression=grpc.Compression.Gzip) as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        list(channel.unary_stream("/esrt.Wire/Translate")(message, timeout=5))
    assert error.value.code() != grpc.StatusCode.DEADLINE_EXCEEDED
