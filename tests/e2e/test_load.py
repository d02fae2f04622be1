"""Many clients at once: no request is lost, none is answered with another's text. In full: benchmarks/load.py."""

import os

import pytest

from benchmarks.load import measured, stub_load
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.server import ServeOptions, in_background
from esrt_privacy.wire.tensors import WireShape
from tests.wire.echo import EchoCloud, expected, recordings


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "mTLS"])
def test_under_load_no_request_is_lost_or_answered_with_anothers_text(tls):
    load = stub_load(seconds=4.0, clients=16, tls=tls)
    assert not load.failures
    assert (load.lost, load.swapped, load.other) == (0, 0, 0)
    assert load.right == load.asked >= 16


class Swapping(EchoCloud):
    """Gives the answers of a batch to the wrong ones, and fails where there is no other."""

    def translate(self, wire, *rest, **options):
        if len(wire) == 1:
            raise ZeroDivisionError
        return super().translate(wire, *rest, **options)[::-1]


def test_an_answer_that_went_astray_is_counted_as_such():
    options = ServeOptions(WireShape(8, 24), Address("127.0.0.1", 0), grace=1.0)
    with in_background(Swapping(0.02), options) as address:
        load = measured(
            os.getpid(),
            address,
            None,
            clients=16,
            seconds=1.0,
            draw=lambda chance: recordings(1, seed=chance.getrandbits(48))[0],
            expect=lambda tensor, target: expected(tensor, "eng", target),
            most_tokens=8,
        )
    assert load.swapped > 0 and load.failures and load.lost == 0
    assert "ZeroDivisionError" in str(load)
