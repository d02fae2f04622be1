import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from esrt_privacy.captures import TapStore
from esrt_privacy.captures.store import ABOUT_FILE, About, _shard_digests
from esrt_privacy.errors import CaptureError

ABOUT = {"system": "s", "tap": "q", "fingerprint": "f", "shape": (4, 5)}


def tensor(seed: int) -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


@pytest.fixture
def store(tmp_path):
    """Two shards of two tensors."""
    store = TapStore.create(tmp_path / "store", **ABOUT)
    store.add({"a": tensor(0), "b": tensor(1)})
    store.add({"c": tensor(2), "d": tensor(3)})
    return store


def shard_of(store, key):
    return store._shards[key]


def refusal(folder, key="a") -> str:
    with pytest.raises(CaptureError) as error:
        TapStore.open(folder).tensor(key)
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    return message


def test_reopened_store_gives_back_every_bit(store):
    again = TapStore.open(store.folder)
    assert again.keys == ["a", "b", "c", "d"] and len(again) == 4
    for seed, key in enumerate("abcd"):
        assert key in again
        assert torch.equal(again.tensor(key), tensor(seed))
        assert again.tensor(key).dtype == torch.bfloat16
    assert again.about == About("s", "q", "f", (4, 5))


def test_views_into_a_batch_are_stored_whole(tmp_path):
    store = TapStore.create(tmp_path, **ABOUT)
    batch = torch.randn(2, 5, 4).to(torch.bfloat16).transpose(1, 2)
    store.add({"x": batch[0], "y": batch[1]})
    again = TapStore.open(tmp_path)
    assert torch.equal(again.tensor("x"), batch[0]) and torch.equal(again.tensor("y"), batch[1])


def test_a_run_killed_while_writing_leaves_whole_shards_only(store):
    (store.folder / "0123.safetensors.999.part").write_bytes(b"half a sha")
    again = TapStore.create(store.folder, **ABOUT)
    assert again.keys == ["a", "b", "c", "d"]
    again.add({"e": tensor(4)})
    assert torch.equal(TapStore.open(store.folder).tensor("e"), tensor(4))


def test_missing_audio_is_one_line(store):
    assert "no tensor of this audio" in refusal(store.folder, "z")


@pytest.mark.parametrize("other", [{"fingerprint": "g"}, {"shape": (4, 6)}])
def test_another_systems_store_is_refused(store, other):
    with pytest.raises(CaptureError, match=r"a capture of another system \(s, tap q\)"):
        TapStore.create(store.folder, **{**ABOUT, **other})


def test_flipped_byte_is_found_and_other_tensors_are_still_read(store):
    path = shard_of(store, "a")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # in the last tensor of the shard
    path.write_bytes(data)
    message = refusal(store.folder, "b")
    assert "checksum differs" in message and path.name in message
    again = TapStore.open(store.folder)
    assert torch.equal(again.tensor("a"), tensor(0))
    assert torch.equal(again.tensor("c"), tensor(2))


@pytest.mark.parametrize("size", [0, 5, 8, 40, -1, -20])
def test_truncated_shard_names_its_file_and_the_remedy(store, size):
    path = shard_of(store, "a")
    path.write_bytes(path.read_bytes()[:size])
    message = refusal(store.folder)
    assert path.name in message and "delete the file and run again" in message


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**64 - 1])
def test_header_that_lies_about_its_length_is_refused(store, length):
    path = shard_of(store, "a")
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert path.name in refusal(store.folder)


def foreign_shard(store, tensors, digests):
    metadata = {"sha256": json.dumps(digests)}
    (store.folder / "foreign.safetensors").write_bytes(save(tensors, metadata=metadata))


def digest(value: torch.Tensor) -> str:
    from esrt_privacy.captures.store import _digest

    return _digest(value)


def test_nan_with_a_true_checksum_is_refused(store):
    spoiled = tensor(9)
    spoiled[1, 2] = float("nan")
    foreign_shard(store, {"n": spoiled}, {"n": digest(spoiled)})
    assert "values that are no numbers" in refusal(store.folder, "n")


def test_wrong_shape_with_a_true_checksum_is_refused(store):
    wide = torch.zeros(4, 6)
    foreign_shard(store, {"w": wide}, {"w": digest(wide)})
    assert "shape (4, 6)" in refusal(store.folder, "w")


@pytest.mark.parametrize("digests", [{}, {"other": "x"}, ["w"], "w", 3, None])
def test_shard_without_its_checksums_is_refused(store, digests):
    foreign_shard(store, {"w": tensor(0)}, digests)
    assert "foreign.safetensors" in refusal(store.folder, "w")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_not_stored(store, value):
    spoiled = tensor(9)
    spoiled[0, 0] = value
    with pytest.raises(CaptureError, match="s gave values that are no numbers at q"):
        store.add({"n": spoiled})
    assert "n" not in store and len(list(store.folder.glob("*.safetensors"))) == 2


def test_tensor_of_another_shape_is_not_stored(store):
    with pytest.raises(CaptureError, match=r"shape \(4, 6\) at q, not \(4, 5\)"):
        store.add({"n": torch.zeros(4, 6)})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": 2}',
        b'{"format": 1, "system": "s", "tap": "q", "fingerprint": "f", "shape": "45"}',
        b'{"format": 1, "system": "s", "tap": "q", "fingerprint": "f", "shape": [4]}',
        b'{"format": 1, "system": "s", "tap": "q", "fingerprint": "f", "shape": [4, -5]}',
        b'{"format": 1, "system": "s", "tap": 3, "fingerprint": "f", "shape": [4, 5]}',
    ],
)
def test_damaged_about_file_is_one_line(store, content):
    (store.folder / ABOUT_FILE).write_bytes(content)
    assert str(store.folder) in refusal(store.folder)


def test_folder_without_about_file_is_one_line(tmp_path):
    with pytest.raises(CaptureError, match="no capture here"):
        TapStore.open(tmp_path)


def parsed_or_refused(path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        digests = _shard_digests(path)
    except CaptureError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(digests, dict)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_shard_or_refused(tmp_path_factory, data):
    parsed_or_refused(tmp_path_factory.getbasetemp() / "any.safetensors", data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
ROW = st.fixed_dictionaries({"data_offsets": JSON | st.just([0, 0])}) | JSON
HEADER = st.dictionaries(st.sampled_from(["a", "b"]), ROW).flatmap(
    lambda rows: st.builds(
        lambda digests: {**rows, "__metadata__": digests},
        st.fixed_dictionaries({"sha256": JSON.map(json.dumps)}) | JSON,
    )
)


@given(header=HEADER | JSON, tail=st.binary(max_size=8))
def test_any_json_header_is_a_shard_or_refused(tmp_path_factory, header, tail):
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + tail
    parsed_or_refused(tmp_path_factory.getbasetemp() / "header.safetensors", data)


@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_byte_is_found_or_changes_nothing(tmp_path_factory, position, value):
    folder = tmp_path_factory.getbasetemp() / "changed"
    store = TapStore.create(folder, **ABOUT)
    store.add({"a": tensor(0), "b": tensor(1)})
    path = shard_of(store, "a")
    data = bytearray(path.read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data)
    try:
        again = TapStore.open(folder)
        for seed, key in enumerate(again.keys):
            assert key in "ab" and torch.equal(again.tensor(key), tensor(seed))
    except CaptureError as error:
        assert "\n" not in str(error)
    finally:
        path.unlink()
