import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth.transfer import (
    GRPC_HANDSHAKES,
    INITIAL_WINDOW,
    Costs,
    Link,
    exchange_seconds,
)


def test_a_small_request_takes_three_round_trips_and_its_bits():
    # TCP, TLS, request; 1,000 B at 1 Mbit/s are 8 ms
    assert exchange_seconds([1_000], Link(1, 100)) == pytest.approx(0.3 + 0.008)


def test_slow_start_waits_as_computed_by_hand():
    # 122,880 B at 100 Mbit/s and 300 ms. Windows 14,600, 29,200, 58,400 go out, 20,680 B are left:
    # three waits of 0.3 s less 8 · (14,600 + 29,200 + 58,400) / 1e8 = 8.176 ms.
    expected = 3 * 0.3 + 122_880 * 8 / 1e8 + 3 * 0.3 - 0.008176
    assert exchange_seconds([122_880], Link(100, 300)) == pytest.approx(expected)


def test_grpc_takes_a_round_trip_more_to_open():
    link = Link(1, 100)
    plain, grpc = Costs(1_000, 64), Costs(1_000, 64, handshakes=GRPC_HANDSHAKES)
    assert plain.seconds(link, 1, False) == pytest.approx(0.3 + 0.008)
    assert grpc.seconds(link, 1, False) == pytest.approx(0.4 + 0.008)


def test_a_slow_line_is_busy_before_the_first_acknowledgement():
    # 1 Mbit/s and 20 ms hold 2,500 B: the initial window fills the line, nothing waits
    assert Link(1, 20).full_window == 2_500 < INITIAL_WINDOW
    assert exchange_seconds([122_880], Link(1, 20)) == pytest.approx(0.06 + 0.98304)


def test_a_cache_sends_identifiers_for_further_languages():
    costs = Costs(100.0, 64.0)
    assert costs.requests(3, True) == [100.0, 64.0, 64.0]
    assert costs.requests(3, False) == [100.0, 100.0, 100.0]
    assert costs.requests(1, True) == [100.0]


def test_opening_and_answers_occupy_the_link_as_well():
    # Two recordings into three languages: 1,000 B of opening; answers of 50 B to the recording, of
    # 20 B to each of two identifiers: 1,000 + 2 · (50 + 2 · 20) = 1,180 B, 9.44 ms at 1 Mbit/s.
    bare, whole = Costs(100.0, 64.0), Costs(100.0, 64.0, 50.0, 20.0, 1_000.0)
    assert whole.beside(3, True, 2) == 1_180
    assert whole.beside(3, False, 2) == 1_000 + 2 * 150
    link = Link(1, 20)
    added = whole.seconds(link, 3, True, 2) - bare.seconds(link, 3, True, 2)
    assert added == pytest.approx(0.00944)
    assert bare.seconds(link, 1, False) == exchange_seconds([100.0], link)


def test_further_languages_cost_a_round_trip_each_and_their_bytes():
    link = Link(1, 20)
    costs = Costs(122_880, 64)
    one = costs.seconds(link, 1, True)
    cached = costs.seconds(link, 44, True)
    again = costs.seconds(link, 44, False)
    assert cached - one == pytest.approx(43 * (0.02 + 64 * 8 / 1e6))
    assert again - one == pytest.approx(43 * (0.02 + 0.98304))


def test_a_connection_keeps_its_window_over_requests():
    link = Link(100, 100)
    first = exchange_seconds([50_000], link)
    both = exchange_seconds([50_000, 50_000], link)
    assert both - first < first - 2 * 0.1  # without the two handshakes: the second waits less


@given(
    st.floats(1, 1e7),
    st.integers(1, 5),
    st.floats(0.5, 1_000),
    st.floats(1, 500),
    st.integers(1, 9),
)
def test_time_is_never_less_than_round_trips_and_bits_and_grows_with_bytes(
    body, languages, rate, trip, repeats
):
    link = Link(rate, trip)
    bodies = Costs(body, 64).requests(languages, False)
    seconds = exchange_seconds(bodies, link, repeats)
    least = (2 + languages * repeats) * trip / 1e3 + body * languages * repeats * 8 / (rate * 1e6)
    assert seconds >= least * (1 - 1e-9)
    larger = exchange_seconds([2 * b for b in bodies], link, repeats)
    assert larger >= seconds * (1 - 1e-9)
