"""The wire format: what is written is read again, and nothing else is."""

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.messages import (
    IDENTIFIER_BYTES,
    MOST_REPLY_BYTES,
    Bounds,
    Miss,
    Piece,
    Request,
    WireAnswer,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)

CODES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=3)
TENSORS = st.none() | st.binary(min_size=1, max_size=64)
IDENTIFIERS = st.none() | st.binary(min_size=IDENTIFIER_BYTES, max_size=IDENTIFIER_BYTES)
PLACES = st.none() | st.integers(0, 101)
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

REQUESTS = st.builds(
    Request,
    source=CODES,
    targets=st.lists(CODES, max_size=102, unique=True).map(tuple),
    beam=st.integers(1, 8),
    most_tokens=st.integers(1, 512),
    identifier=IDENTIFIERS,
    tensor=TENSORS,
    stream=st.booleans(),
).filter(lambda request: request.tensor is not None or request.identifier is not None)
REPLIES = st.one_of(
    st.just(Miss()),
    st.builds(Piece, PLACES, PLAIN),
    st.builds(WireAnswer, PLACES, PLAIN, PLAIN, st.booleans(), st.booleans()),
)
EXAMPLE = Request("eng", ("deu", "fra"), identifier=bytes(16), tensor=b"tensor")


@given(REQUESTS)
def test_a_request_is_read_as_it_was_written(request):
    assert decode_request(encode_request(request)) == request


@given(REPLIES)
def test_a_reply_is_read_as_it_was_written(reply):
    assert decode_reply(encode_reply(reply)) == reply


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_a_message_error(data):
    for decode, encode in ((decode_request, encode_request), (decode_reply, encode_reply)):
        try:
            found = decode(data)
        except MessageError as error:
            assert "\n" not in str(error)
        else:
            assert encode(found) == data


def test_ten_thousand_mutated_messages_are_read_or_refused():
    draw = random.Random(0)
    refused = 0
    for _ in range(10_000):
        data = bytearray(encode_request(EXAMPLE))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data))
            change = draw.randrange(3)
            if change == 0:
                data[place] = draw.randrange(256)
            elif change == 1:
                del data[place:]
            else:
                data[place:place] = draw.randbytes(draw.randint(1, 8))
            if not data:
                break
        try:
            decode_request(bytes(data))
        except MessageError:
            refused += 1
    assert 1000 < refused < 10_000


def test_the_layout_is_the_documented_one():
    request = Request("eng", ("deu",), 5, 160, bytes(range(16)), b"xyz", stream=True)
    head = bytes([1, 7, 5, 160, 0]) + b"eng" + bytes([1]) + b"deu"
    assert encode_request(request) == head + bytes(range(16)) + b"xyz"
    assert encode_reply(Miss()) == bytes([1, 1, 255])
    assert encode_reply(Piece(2, "ä")) == bytes([1, 2, 2]) + "ä".encode()
    answer = WireAnswer(0, "one", "eins", True, False)
    assert encode_reply(answer) == bytes([1, 3, 0, 1, 3, 0, 0, 0]) + b"oneeins"


def test_a_hit_for_one_language_is_28_bytes():
    assert len(encode_request(Request("eng", ("deu",), identifier=bytes(16)))) == 28


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beam": 9}, "beam is 9: this cloud takes 1 to 8"),
        ({"most_tokens": 513}, "new tokens is 513"),
        ({"tensor": b"x" * 2000}, "at most"),
        ({"targets": tuple(f"aa{c}" for c in "abcdefghijk")}, "11 target languages: at most 10"),
    ],
)
def test_more_than_the_bounds_is_refused_with_its_number(change, words):
    data = encode_request(Request(**{"source": "eng", "tensor": b"x", **change}))
    with pytest.raises(MessageError, match=words):
        decode_request(data, Bounds(tensor_bytes=1000, targets=10))


@pytest.mark.parametrize(
    "change",
    [{"beam": 0}, {"beam": 256}, {"source": "en"}, {"source": "ÄÖÜ"}, {"targets": ("deu", "deu")}],
)
def test_what_no_cloud_would_read_is_not_sent(change):
    with pytest.raises(MessageError):
        encode_request(Request(**{"source": "eng", "tensor": b"x", **change}))


def test_another_version_says_what_to_do():
    data = b"\x02" + encode_request(EXAMPLE)[1:]
    with pytest.raises(MessageError, match="version 2, not 1: edge and cloud need the same"):
        decode_request(data)


def test_an_answer_beyond_its_bound_is_not_written():
    with pytest.raises(MessageError, match="at most 1,048,576"):
        encode_reply(Piece(0, "x" * MOST_REPLY_BYTES))


def test_half_a_character_of_a_tokenizer_can_be_sent():
    assert decode_reply(encode_reply(Piece(0, "a\ud83d"))) == Piece(0, "a?")


def test_an_interceptor_needs_neither_grpc_nor_torch():
    code = "import sys, esrt_privacy.wire.messages; print({'grpc', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
