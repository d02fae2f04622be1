"""Bodies over a real connection: a cloud in a process of its own, TLS, the counting proxy between."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import sys

import pytest
import torch

from esrt_privacy.bandwidth import connection as wired
from esrt_privacy.bandwidth.cloud_process import cloud_process
from esrt_privacy.bandwidth.codecs import audio_formats
from esrt_privacy.bandwidth.options import BandwidthError
from esrt_privacy.bandwidth.speech_api import SpeechApi, answering, identifier_of
from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.esrt.config import ESRT_4B
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import make_certificates

SHAPE = ESRT_4B.wire_shape
IDENTIFIER_BYTES = 64
FORMATS = {each.name: each for each in audio_formats()}


@pytest.fixture(scope="module")
def connection():
    with wired.connected([SHAPE, (8, 24)], IDENTIFIER_BYTES) as opened:
        yield opened


def tensors(count: int, shape: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_a_tensor_costs_2_percent_more_than_its_values_at_most(connection):
    each = TensorFormat(*SHAPE, "bf16")
    for tensor in tensors(4, SHAPE, 1):
        carried = connection.carry(each, each.pack(tensor))
        assert ESRT_4B.wire_bytes < carried.up <= 1.02 * ESRT_4B.wire_bytes
        assert 0 < carried.down < 2_000


def test_a_further_language_costs_200_bytes_at_most(connection):
    each = TensorFormat(*SHAPE, "bf16")
    body = each.pack(tensors(1, SHAPE, 2)[0])
    connection.carry(each, body)
    costs = [connection.refer(each, body).up for _ in range(8)]
    # HTTP/2's own pings and window updates come and go, those of the tensor with the first.
    assert sum(costs) / len(costs) <= 200
    assert sorted(costs)[len(costs) // 2] <= 150


@pytest.mark.parametrize(
    "each", [TensorFormat(8, 24, "int8"), TensorFormat(8, 24, "bf16", zstd=True)]
)
def test_other_containers_of_a_tensor_cross_whole(connection, each):
    body = each.pack(tensors(1, (8, 24), 3)[0])
    assert len(body) < connection.carry(each, body).up < len(body) + 400


def test_a_tensor_that_was_sent_is_not_counted_as_sent_again(connection):
    each = TensorFormat(*SHAPE, "bf16")
    body = each.pack(tensors(1, SHAPE, 4)[0])
    connection.carry(each, body)
    with pytest.raises(ValueError, match="sent before"):
        connection.carry(each, body)


@pytest.mark.parametrize("name", ["wav-16-json", "opus-16"])
def test_audio_crosses_as_http_over_tls_and_costs_the_same_in_every_language(
    connection, name, sound
):
    each = FORMATS[name]
    body = each.encode(sound)
    costs = {connection.carry(each, body) for _ in range(4)}
    # The stub's answer and the headers have one length; so have language codes.
    assert len(costs) == 1
    (cost,) = costs
    # A record of TLS 1.3 adds 22 B to 16 KiB; the request's head is a few hundred bytes.
    records = -(-len(body) // 16_384)
    assert len(body) + 22 * records < cost.up < len(body) + 22 * records + 500
    assert {connection.refer(each, body).up for _ in range(3)} == {connection.refer(each, body).up}
    assert connection.refer(each, body).up < 600


def test_opening_a_connection_takes_a_handshake(connection):
    for each in (FORMATS["flac"], TensorFormat(*SHAPE, "bf16")):
        opening = connection.opening(each)
        assert 400 < opening.up < 4_000
        assert 800 < opening.down < 6_000  # a certificate comes down


# --- the stub itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("certificates")
    make_certificates(made)
    return made


@pytest.fixture
def port(folder):
    with answering(folder, "127.0.0.1", IDENTIFIER_BYTES) as opened:
        yield opened


def test_an_identifier_stands_for_what_was_sent_and_for_nothing_else(folder, port):
    api = SpeechApi(Address("127.0.0.1", port), folder, "token", IDENTIFIER_BYTES, 20.0)
    with pytest.raises(BandwidthError, match="answered 404"):
        api.translate_again(b"sound", "eng", "deu")
    sent = api.translate(b"sound", "audio/flac", "eng", "deu")
    assert api.translate_again(b"sound", "eng", "fra") == sent
    api.close()


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/elsewhere", "1", 404),
        ("/v1/speech:translate", "1", 404),
        ("/v1/speech:translate?source=eng&target=deu", "999999999999", 413),
        ("/v1/speech:translate?source=eng&target=deu", "-1", 413),
        ("/v1/speech:translate?source=eng&target=deu", "²", 413),
    ],
)
def test_what_is_no_request_is_refused_unread(folder, port, path, length, status):
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    asked = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    asked.putrequest("POST", path)
    asked.putheader("Content-Length", length.encode())
    asked.endheaders(b"x")
    assert asked.getresponse().status == status
    asked.close()


def test_an_api_that_is_not_there_is_one_line(folder):
    api = SpeechApi(Address("127.0.0.1", 1), folder, "token", IDENTIFIER_BYTES, 5.0)
    with pytest.raises(BandwidthError) as raised:
        api.translate(b"sound", "audio/flac", "eng", "deu")
    assert "\n" not in str(raised.value)


def test_identifiers_have_the_length_that_was_asked_for():
    assert [len(identifier_of(b"sound", n)) for n in (1, 2, 63, 64)] == [1, 2, 63, 64]
    assert identifier_of(b"sound", 64) != identifier_of(b"Sound", 64)


def test_a_cloud_that_does_not_start_is_one_line(tmp_path):
    with (
        pytest.raises(BandwidthError, match="--no-connection") as raised,
        cloud_process(tmp_path / "none", "127.0.0.1", IDENTIFIER_BYTES, []),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_the_cloud_ends_with_its_input(folder):
    command = [sys.executable, "-m", "esrt_privacy.bandwidth.stub_cloud", folder, "127.0.0.1", "64"]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe) as process:
        assert b"api" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(60) == 0
