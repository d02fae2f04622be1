"""The cloud's file of tensors: what is kept, what goes, and what a damaged or full disk does to it."""

import sqlite3
import stat
import threading

import pytest

from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.feature_cache import SqliteCache, cache_key

KEYS = [bytes([n]) * 32 for n in range(20)]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 0.001
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    made = SqliteCache(tmp_path / "c" / "features.sqlite", 1000, 60.0, clock)
    yield made
    made.close()


def test_what_is_kept_is_found_also_by_another_process(cache, tmp_path):
    assert cache.get(KEYS[0]) is None
    assert cache.put(KEYS[0], b"tensor")
    other = SqliteCache(cache.path, clock=cache._clock)
    assert other.get(KEYS[0]) == b"tensor" and other.get(KEYS[1]) is None
    other.close()


def test_the_file_is_for_its_owner_alone(cache):
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600


def test_the_least_recently_used_go_first_and_the_size_holds(cache, clock):
    for key in KEYS[:10]:
        clock.now += 2
        assert cache.put(key, bytes(100))
    assert cache.size == 1000
    clock.now += 2
    assert cache.get(KEYS[0]) is not None
    assert cache.put(KEYS[10], bytes(150))
    assert cache.size <= 1000
    gone = [n for n in range(11) if cache.get(KEYS[n]) is None]
    assert gone == [1, 2]


def test_what_is_larger_than_the_whole_is_not_kept(cache):
    cache.put(KEYS[0], bytes(500))
    assert not cache.put(KEYS[1], bytes(1001))
    assert cache.get(KEYS[0]) is not None


def test_a_tensor_expires_however_often_it_is_used(cache, clock):
    cache.put(KEYS[0], b"tensor")
    for _ in range(3):
        clock.now += 19
        assert cache.get(KEYS[0]) == b"tensor"
    clock.now += 4
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[1], b"x")
    assert cache.size == 1


def test_what_is_deleted_leaves_no_bytes_in_the_file(cache, clock):
    cache.put(KEYS[0], b"what somebody said" * 20)
    clock.now += 61
    cache.put(KEYS[1], b"x")
    cache.close()
    assert b"what somebody said" not in cache.path.read_bytes()


def test_a_changed_value_is_thrown_away_not_served(cache):
    cache.put(KEYS[0], b"tensor")
    other = sqlite3.connect(cache.path)
    other.execute("UPDATE features SET value = ?", (b"tampered",))
    other.commit()
    other.close()
    assert cache.get(KEYS[0]) is None
    assert cache.size == 0


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "text"])
def test_a_damaged_file_is_begun_anew(tmp_path, clock, damage):
    path = tmp_path / "features.sqlite"
    first = SqliteCache(path, 10**6, 60.0, clock)
    for key in KEYS:
        first.put(key, key * 100)
    first.close()
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = b"\xff" * 100
    elif damage == "middle":
        data[4096 : len(data) // 2] = b"\xaa" * (len(data) // 2 - 4096)
    elif damage == "cut":
        del data[5000:]
    path.write_bytes(b"not a database at all\n" * 300 if damage == "text" else data)
    cache = SqliteCache(path, 10**6, 60.0, clock)
    for key in KEYS:  # found unchanged, or missing
        assert cache.get(key) in (key * 100, None)
    cache.put(KEYS[0], b"new")  # which may be what finds the damage
    assert cache.put(KEYS[0], b"new") and cache.get(KEYS[0]) == b"new"
    cache.close()


def test_a_file_damaged_while_it_is_open_costs_its_tensors_only(cache):
    for key in KEYS[:3]:
        cache.put(key, b"tensor")
    cache._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with cache.path.open("r+b") as file:
        file.write(b"\x00" * cache.path.stat().st_size)
    for key in KEYS[:3]:
        assert cache.get(key) in (b"tensor", None)
    cache.put(KEYS[4], b"x")  # which may be what finds the damage
    assert cache.put(KEYS[4], b"x") and cache.get(KEYS[4]) == b"x"


def test_a_full_disk_keeps_nothing_more_and_serves_what_it_has(cache):
    cache.put(KEYS[0], b"tensor")
    cache._most_bytes = 10**9
    pages = cache._database.execute("PRAGMA page_count").fetchone()[0]
    cache._database.execute(f"PRAGMA max_page_count = {pages}")
    assert not cache.put(KEYS[1], bytes(10**6))
    assert cache.get(KEYS[1]) is None and cache.get(KEYS[0]) == b"tensor"
    cache._database.execute("PRAGMA max_page_count = 1000000")
    assert cache.put(KEYS[1], bytes(10**6))


def test_a_locked_file_is_a_miss_not_an_error(cache, monkeypatch):
    cache.put(KEYS[0], b"tensor")
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache._database.execute("PRAGMA busy_timeout = 10")
    assert not cache.put(KEYS[1], b"x")
    other.execute("ROLLBACK")
    other.close()
    assert cache.put(KEYS[1], b"x")


def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "precious.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE precious (a)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(WireError, match="another program's database"):
        SqliteCache(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WireError, match="give another --cache, or none"):
        SqliteCache(tmp_path / "file" / "features.sqlite")


def test_threads_share_a_file(tmp_path):
    caches = [SqliteCache(tmp_path / "features.sqlite", 10**6) for _ in range(2)]

    def work(cache):
        for key in KEYS:
            cache.put(key, key * 10)

    threads = [threading.Thread(target=work, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(caches[0].get(key) == key * 10 for key in KEYS)
    for cache in caches:
        cache.close()


def test_the_same_identifier_of_two_clients_is_two_keys():
    assert cache_key(b"one", bytes(16)) != cache_key(b"two", bytes(16))
    assert cache_key(b"one", bytes(16)) == cache_key(b"one", bytes(16))
