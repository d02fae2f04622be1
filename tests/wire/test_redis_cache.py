"""The cache that several servers share, on a real redis-server."""

import shutil
import socket
import subprocess
import time

import pytest

from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.redis_cache import PREFIX, RedisCache, _without_password
from tests.wire.echo import EchoCloud, expected, recordings

KEY = b"k" * 32


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    """A server of its own with 3 MB and LRU eviction, gone when the module's tests end."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server (Debian: apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly"]
    command += ["no", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]
    command += ["--dir", str(tmp_path_factory.mktemp("redis"))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture
def cache(redis_url):
    made = RedisCache(redis_url, 130_000)
    made._client.flushdb()
    yield made
    made.close()


def test_what_one_server_keeps_another_finds(cache, redis_url):
    assert cache.get(KEY) is None
    assert cache.put(KEY, b"tensor")
    assert RedisCache(redis_url, 130_000).get(KEY) == b"tensor"


def test_a_tensor_expires(redis_url):
    cache = RedisCache(redis_url, 1000, most_seconds=0.05)
    cache.put(KEY, b"tensor")
    time.sleep(0.1)
    assert cache.get(KEY) is None


def test_memory_is_bounded_by_the_server_and_the_last_ones_stay(cache):
    keys = [bytes([n]) * 32 for n in range(60)]
    for key in keys:
        assert cache.put(key, bytes(122_960))
    found = [cache.get(key) is not None for key in keys]
    assert 0 < sum(found) < 30 and found[-1]


def test_a_changed_or_endless_value_is_a_miss(cache):
    cache.put(KEY, b"tensor")
    cache._client.append(PREFIX + KEY, b"!")
    assert cache.get(KEY) is None
    cache._client.set(PREFIX + KEY, bytes(1_000_000))
    assert cache.get(KEY) is None
    assert not cache.put(KEY, bytes(130_001))


def test_two_servers_share_the_tensors_of_a_client(cache, redis_url, served, remote):
    wire = recordings(2)
    secret = b"s" * 32
    first = served(EchoCloud(), RedisCache(redis_url, 130_000))
    second = served(EchoCloud(), cache)
    remote(first, secret).translate(wire, "eng", ["deu"])
    kept = []
    cache.put = lambda *a: kept.append(a)
    answers = remote(second, secret, ask_first=True).translate(wire, "eng", ["fra"])
    assert answers == [{"fra": expected(row, "eng", "fra")} for row in wire]
    assert not kept


def test_without_its_server_requests_are_answered_and_it_is_not_asked_each_time(served, remote):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    now = [0.0]
    cache = RedisCache(f"redis://127.0.0.1:{port}", 1000, clock=lambda: now[0])
    client = remote(served(EchoCloud(), cache))
    wire = recordings(2)
    for _ in range(2):
        assert client.translate(wire, "eng", ["deu"]) == [
            {"deu": expected(row, "eng", "deu")} for row in wire
        ]
    tried = []
    cache._client.getrange = lambda *a: tried.append(a)
    assert cache.get(KEY) is None and not tried
    now[0] = 6.0
    assert cache.get(KEY) is None and tried


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(WireError, match="not an address of a Redis server"):
        RedisCache("redis://host:port", 1000)


def test_a_password_is_not_written_to_the_log():
    assert _without_password("redis://me:secret@host:1/2") == "redis://host:1/2"
