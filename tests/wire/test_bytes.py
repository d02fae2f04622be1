"""What a request costs on the wire: TCP payload from the edge, counted by a proxy on an open connection."""

import pytest

from esrt_privacy.esrt.config import ESRT_4B
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.tensors import WireShape
from tests.wire.echo import EchoCloud, recordings
from tests.wire.proxy import Proxy

SHAPE = WireShape(*ESRT_4B.wire_shape)


@pytest.fixture(params=["plaintext", "mTLS"])
def counted(request, served, remote, both_sides, tmp_path):
    """cost(wire, targets) -> bytes upstream of that request, on a connection that has carried one before."""
    server, client = both_sides if request.param == "mTLS" else (None, None)
    cache = SqliteCache(tmp_path / "features.sqlite")
    with Proxy(served(EchoCloud(), cache, shape=SHAPE, credentials=server)) as proxy:
        edge = remote(proxy.address, credentials=client)
        edge.translate(recordings(1, 80, 768, seed=9), "eng", ["deu"])

        def cost(wire, targets):
            before = proxy.upstream
            edge.translate(wire, "eng", targets)
            return proxy.upstream - before

        yield cost


def test_a_request_costs_its_tensor_and_2_percent_at_most(counted):
    for seed in range(3):
        assert ESRT_4B.wire_bytes < counted(recordings(1, 80, 768, seed), ["deu"])
        assert counted(recordings(1, 80, 768, seed + 10), ["deu"]) <= 1.02 * ESRT_4B.wire_bytes


def test_a_hit_costs_200_bytes_at_most_and_three_for_each_further_language(counted):
    wire = recordings(1, 80, 768)
    counted(wire, ["deu"])
    costs = [counted(wire, ["fra"]) for _ in range(5)]
    assert max(costs) <= 200
    # HTTP/2's own pings and window updates come and go; the least of several shows the message.
    further = [counted(wire, ["fra", "spa", "ita", "por"]) for _ in range(5)]
    assert min(further) <= min(costs) + 9 + 40
