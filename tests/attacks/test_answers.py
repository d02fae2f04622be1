"""Answers on disk: what is written comes back, and what is damaged is one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.errors import AttackError

NUMBERS = st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_])


def example() -> Answers:
    arrays = {"scores": np.array([[0.5, np.nan], [1.5, 2.0]]), "hits": np.array([True, False])}
    return Answers(arrays, {"utterances": ("u1", "sé\x00ñ")}, ("a note",))


@given(
    arrays=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        NUMBERS.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_side=0, max_dims=3))),
        max_size=3,
    ),
    rows=st.dictionaries(
        st.text(max_size=8), st.lists(st.text(max_size=8), max_size=4).map(tuple), max_size=3
    ),
)
def test_answers_come_back_as_they_were(tmp_path_factory, arrays, rows):
    path = tmp_path_factory.mktemp("answers") / "one.safetensors"
    Answers(arrays, rows, ("note",)).save(path)
    back = Answers.load(path)
    assert (dict(back.rows), back.notes) == (rows, ("note",))
    assert set(back.arrays) == set(arrays)
    for name, array in arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)


def test_an_array_that_is_not_contiguous_comes_back(tmp_path):
    turned = np.arange(6.0).reshape(2, 3).T
    Answers({"a": turned}).save(tmp_path / "a")
    np.testing.assert_array_equal(Answers.load(tmp_path / "a").arrays["a"], turned)


def test_text_is_no_array():
    with pytest.raises(ValueError, match="not numbers"):
        Answers({"names": np.array(["a"])})


def test_nothing_is_left_beside_a_file_that_was_written(tmp_path):
    example().save(tmp_path / "deep" / "a.safetensors")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def damaged(path: Path) -> None:
    with pytest.raises(AttackError, match="delete the file and run again") as caught:
        Answers.load(path)
    assert path.name in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    damaged(path)
    example().save(path)
    whole = path.read_bytes()
    for broken in (b"", whole[:5], whole[:-1], whole[:-1] + b"\x01", b"\xff" * 64, whole + b"x"):
        path.write_bytes(broken)
        damaged(path)
    path.write_bytes(whole.replace(b"a note", b"A note"))
    damaged(path)


@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_byte_is_seen_or_changes_nothing(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("answers") / "a.safetensors"
    example().save(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(bytes(content))
    try:
        back = Answers.load(path)
    except AttackError:
        return
    np.testing.assert_array_equal(back.arrays["scores"], example().arrays["scores"])
    assert back.rows == example().rows and back.notes == example().notes


def test_another_safetensors_file_is_no_answer(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "a.safetensors", metadata={"format": "np"})
    damaged(tmp_path / "a.safetensors")
