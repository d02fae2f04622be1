import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.tcp_ip import (
    HEADER_BYTES,
    OPENING_AND_END,
    SEGMENT_BYTES,
    header_bytes,
    segments,
)


def test_a_tensor_is_85_segments():
    # 122,880 / 1,448 = 84.9
    assert (HEADER_BYTES, SEGMENT_BYTES) == (52, 1_448)
    assert segments(122_880) == 85


@pytest.mark.parametrize(("payload", "count"), [(0, 0), (1, 1), (1_448, 1), (1_449, 2)])
def test_the_last_segment_may_be_short(payload, count):
    assert segments(payload) == count


def test_headers_of_a_tensor_and_its_answer_by_hand():
    # Up 85 segments of data and an ACK for the answer's one, 86 · 52 = 4,472 B.
    # Down one segment and 43 ACKs of the 85, 44 · 52 = 2,288 B.
    assert header_bytes(Carried(122_880, 200)) == Carried(4_472, 2_288)


def test_headers_of_an_identifier_by_hand():
    # One segment and one acknowledgement each way.
    assert header_bytes(Carried(120, 200)) == Carried(104, 104)
    assert header_bytes(Carried(0, 0)) == Carried(0, 0)


def test_a_connection_opens_and_ends_with_packets_of_its_own():
    # SYN of 60 B, ACK, FIN, ACK of 52 B each; SYN-ACK of 60 B, FIN, ACK.
    assert Carried(216, 164) == OPENING_AND_END


@given(st.integers(0, 10**8), st.integers(0, 10**6))
def test_headers_never_shrink_with_payload(up, down):
    few, more = header_bytes(Carried(up, down)), header_bytes(Carried(up + SEGMENT_BYTES, down))
    assert more.up == few.up + HEADER_BYTES
    assert more.down >= few.down
