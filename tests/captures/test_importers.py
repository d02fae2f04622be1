import builtins
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from esrt_privacy.captures import capture, open_capture, with_labels
from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.errors import AudioError, CaptureError
from esrt_privacy.reports.listings import capture_table

ROWS = 5
VALUES = np.random.default_rng(0).standard_normal((ROWS, 8, 6)).astype(np.float16)
NAMES = [f"speech/{'anna' if i % 2 else 'bert'}/{i}.wav" for i in range(ROWS)]


def lists(values: np.ndarray, kind: pa.DataType | None = None) -> pa.Array:
    kind = kind or pa.list_(pa.list_(pa.float16()))
    return pa.array([[list(row) for row in matrix] for matrix in values], kind)


def table(values: np.ndarray = VALUES, names: list | pa.Array = NAMES, **columns) -> pa.Table:
    embeds = columns.pop("adapter_embeds", None)
    if embeds is None:
        embeds = lists(values)
    audio = names if isinstance(names, pa.Array) else pa.array(names[: len(embeds)], pa.string())
    return pa.table({"audio": audio, "adapter_embeds": embeds, **columns})


def refusal(folder: Path) -> str:
    with pytest.raises(CaptureError) as error:
        held(open_capture(folder))
    message = str(error.value)
    assert "\n" not in message and len(message) < 600 and str(folder) in message
    return message


def held(opened) -> np.ndarray:
    return torch.stack([opened.tensor(u) for u in opened.corpus]).numpy()


FORMS = {
    "lists": lambda: lists(VALUES),
    "large lists": lambda: lists(VALUES, pa.large_list(pa.large_list(pa.float16()))),
    "fixed sizes": lambda: lists(VALUES, pa.list_(pa.list_(pa.float16(), 6), 8)),
    "lists of fixed sizes": lambda: lists(VALUES, pa.list_(pa.list_(pa.float16(), 6))),
    "a leading 1": lambda: pa.array(
        [[[list(row) for row in matrix]] for matrix in VALUES],
        pa.list_(pa.list_(pa.list_(pa.float16()))),
    ),
    "float32": lambda: lists(VALUES.astype(np.float32), pa.list_(pa.list_(pa.float32()))),
    "float64": lambda: lists(VALUES.astype(np.float64), pa.list_(pa.list_(pa.float64()))),
}


@pytest.mark.parametrize("form", FORMS)
def test_edge_cache_is_read_bit_by_bit(dataset, tmp_path, form):
    opened = open_capture(dataset(tmp_path / "cache", [table(adapter_embeds=FORMS[form]())]))
    np.testing.assert_array_equal(held(opened).astype(np.float16), VALUES)
    assert (opened.tap, opened.shape, opened.system_name) == ("qformer", (8, 6), "edge cache")
    assert opened.system_fingerprint.startswith("unknown-")
    assert [u.id for u in opened.corpus] == ["0", "1", "2", "3", "4"]
    assert opened.batch(opened.corpus.utterances).dtype == torch.float32


@pytest.mark.parametrize("queries", [80, 40])
def test_edge_cache_of_the_released_sizes(dataset, tmp_path, queries):
    values = np.random.default_rng(1).standard_normal((3, queries, 768)).astype(np.float16)
    opened = open_capture(dataset(tmp_path / "cache", [table(values)]))
    assert opened.shape == (queries, 768)
    np.testing.assert_array_equal(held(opened), values)


def test_sliced_table_is_read_from_where_it_begins(dataset, tmp_path):
    opened = open_capture(dataset(tmp_path / "cache", [table().slice(3, 2)]))
    np.testing.assert_array_equal(held(opened), VALUES[3:])


def test_audio_column_may_hold_embedded_files(dataset, tmp_path):
    audio = pa.array([{"path": f"{i}.wav", "bytes": b"RIFF" * 100} for i in range(ROWS)])
    opened = open_capture(dataset(tmp_path / "cache", [table(names=audio)]))
    assert [str(u.audio) for u in opened.corpus] == [f"{i}.wav" for i in range(ROWS)]


def test_rows_without_a_name_are_numbered(dataset, tmp_path):
    names = ["a.wav", None, None, "b.wav", ""]
    opened = open_capture(dataset(tmp_path / "cache", [table(names=names)]))
    assert [u.id for u in opened.corpus] == ["a", "row 1", "row 2", "b", "row 4"]


def test_other_columns_are_passed_over(dataset, tmp_path):
    opened = open_capture(dataset(tmp_path / "cache", [table(text=pa.array(["x"] * ROWS))]))
    np.testing.assert_array_equal(held(opened), VALUES)


def test_files_follow_in_the_order_of_the_state_file(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [table().slice(0, 2), table().slice(2)])
    np.testing.assert_array_equal(held(open_capture(folder)), VALUES)


def test_dictionary_of_datasets_is_one_capture(dataset, tmp_path):
    folder = tmp_path / "cache"
    dataset(folder / "test", [table().slice(0, 2)])
    dataset(folder / "dev", [table().slice(2)])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["dev", "test"]}))
    np.testing.assert_array_equal(held(open_capture(folder)), VALUES[[2, 3, 4, 0, 1]])


def test_fingerprint_is_of_the_content(dataset, tmp_path):
    first = open_capture(dataset(tmp_path / "a", [table()]))
    same = open_capture(dataset(tmp_path / "b", [table()]))
    other = open_capture(dataset(tmp_path / "c", [table(VALUES + np.float16(1))]))
    assert first.fingerprint == same.fingerprint
    assert first.system_fingerprint != other.system_fingerprint
    assert first.fingerprint != other.fingerprint


def test_edge_cache_is_of_no_known_system(dataset, tmp_path, system):
    opened = open_capture(dataset(tmp_path / "cache", [table()]))
    with pytest.raises(CaptureError, match="a capture of edge cache at qformer, not of counting"):
        opened.require(system)


def test_repeated_audio_is_left_out_with_a_note(dataset, tmp_path):
    names = ["a.wav", "b.wav", "a.wav", "c.wav", "b.wav"]
    opened = open_capture(dataset(tmp_path / "cache", [table(names=names)]))
    assert [u.id for u in opened.corpus] == ["a", "b", "c"]
    assert "left out 2 rows" in opened.corpus.notes[0]


def test_one_name_in_two_folders_keeps_apart(dataset, tmp_path):
    names = ["x/1.wav", "y/1.wav", "x/2.wav", "3.wav", "4.wav"]
    opened = open_capture(dataset(tmp_path / "cache", [table(names=names)]))
    assert [u.id for u in opened.corpus] == ["x/1.wav", "y/1.wav", "2", "3", "4"]


def test_listing_reads_every_tensor(dataset, tmp_path):
    capture_table(open_capture(dataset(tmp_path / "good", [table()])))
    spoiled = VALUES.copy()
    spoiled[3, 1, 1] = np.nan
    folder = dataset(tmp_path / "bad", [table(spoiled)])
    with pytest.raises(CaptureError, match="adapter_embeds of row 3 holds values that are no num"):
        capture_table(open_capture(folder))


def test_dataset_without_the_columns_names_those_found(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [pa.table({"audio": ["a"], "text": ["b"]})])
    assert "columns audio and adapter_embeds are needed, found audio, text" in refusal(folder)


RAGGED = pa.array([[[1.0, 2.0], [3.0]]] * ROWS, pa.list_(pa.list_(pa.float16())))
BROKEN = {
    "ragged": RAGGED,
    "empty": pa.array([[]] * ROWS, pa.list_(pa.list_(pa.float16()))),
    "missing row": pa.array([None, *[[[1.0]]] * (ROWS - 1)], pa.list_(pa.list_(pa.float16()))),
    "missing value": pa.array([[[None]]] * ROWS, pa.list_(pa.list_(pa.float16()))),
    "text": pa.array([[["x"]]] * ROWS),
    "whole numbers": pa.array([[[1]]] * ROWS),
    "vectors": pa.array([[1.0]] * ROWS, pa.list_(pa.float16())),
    "numbers": pa.array([1.0] * ROWS),
    "stacks": pa.array([[[[1.0]], [[1.0]]]] * ROWS, pa.list_(pa.list_(pa.list_(pa.float16())))),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_tensors_that_are_no_matrices_of_one_shape_are_refused(dataset, tmp_path, kind):
    assert "adapter_embeds" in refusal(
        dataset(tmp_path / "cache", [table(adapter_embeds=BROKEN[kind])])
    )


def test_shapes_that_differ_between_files_are_refused(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [table(), table(VALUES[:, :4])])
    assert "4×6 beside 8×6" in refusal(folder)


def test_audio_that_is_no_path_is_refused(dataset, tmp_path):
    audio = pa.array([1.0] * ROWS)
    assert "column audio is double" in refusal(dataset(tmp_path / "c", [table(names=audio)]))


def test_dataset_without_rows_is_refused(dataset, tmp_path):
    assert "no rows" in refusal(dataset(tmp_path / "cache", [table().slice(0, 0)]))


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
def test_packed_buffers_are_refused_before_they_unfold(dataset, tmp_path, packing):
    folder = dataset(tmp_path / "cache", [table()])
    bomb = table(np.zeros((1, 4000, 1000), np.float16))
    options = pa.ipc.IpcWriteOptions(compression=packing)
    path = folder / "data-00000-of-00001.arrow"
    with pa.ipc.new_stream(str(path), bomb.schema, options=options) as writer:
        writer.write_table(bomb)
    before = pa.total_allocated_bytes()
    assert "packed or encoded" in refusal(folder)
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.95])
def test_truncated_arrow_file_is_refused(dataset, tmp_path, share):
    folder = dataset(tmp_path / "cache", [table()])
    path = folder / "data-00000-of-00001.arrow"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert path.name in refusal(folder)


def test_file_that_ends_after_a_whole_batch_is_refused(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [table()])
    path = folder / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    assert "its end is missing" in refusal(folder)


def test_file_that_is_only_an_end_is_refused(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [table()])
    (folder / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff\0\0\0\0")
    assert "damaged Arrow file" in refusal(folder)


def test_a_changed_byte_never_crashes(dataset, tmp_path):
    folder = dataset(tmp_path / "cache", [table()])
    path = folder / "data-00000-of-00001.arrow"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(data), 150):
        changed = bytearray(data)
        changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert held(open_capture(folder)).shape[1:] == (8, 6)
        except CaptureError as error:
            assert "\n" not in str(error)
        path.unlink()


STATES = {
    "no state": None,
    "no JSON": "{",
    "a list": "[]",
    "no files": "{}",
    "files that are text": '{"_data_files": ["a"]}',
    "a path that leads out": '{"_data_files": [{"filename": "../x.arrow"}]}',
    "a file that is gone": '{"_data_files": [{"filename": "gone.arrow"}]}',
    "a number": '{"_data_files": 3}',
    "a selection": '{"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}',
}


@pytest.mark.parametrize("state", STATES)
def test_half_saved_or_foreign_dataset_is_refused(dataset, tmp_path, state):
    folder = dataset(tmp_path / "cache", [table()])
    if STATES[state] is None:
        (folder / "state.json").unlink()
    else:
        (folder / "state.json").write_text(STATES[state])
    refusal(folder)


@pytest.mark.parametrize("splits", ["{}", '{"splits": []}', '{"splits": ["../cache"]}', "3"])
def test_dictionary_that_names_no_splits_is_refused(tmp_path, splits):
    (tmp_path / "dataset_dict.json").write_text(splits)
    refusal(tmp_path)


def test_without_pyarrow_the_extra_is_named(dataset, tmp_path, monkeypatch):
    folder = dataset(tmp_path / "cache", [table()])
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'esrt-privacy[train]'" in refusal(folder)


def test_own_capture_is_opened_without_its_audio(system, corpus, tmp_path):
    made = capture(system, ["q"], corpus, tmp_path / "store")["q"]
    tensors = {u.fingerprint: made.tensor(u) for u in corpus}
    shutil.rmtree(tmp_path / "speech")
    opened = open_capture(made.store.folder)
    assert len(opened.corpus) == len(corpus)
    assert (opened.tap, opened.shape, opened.system_name) == ("q", (4, 5), "counting")
    opened.require(system)
    for utterance in opened.corpus:
        assert torch.equal(opened.tensor(utterance), tensors[utterance.fingerprint])
    with pytest.raises(AudioError, match="the capture holds its tensor, not its audio"):
        opened.corpus.utterances[0].waveform()
    assert len(opened.fingerprint) == len(opened.corpus.fingerprint) == 64


def test_folder_of_captures_names_them(system, corpus, tmp_path):
    capture(system, ["q", "mel"], corpus, tmp_path / "store")
    message = refusal(tmp_path / "store")
    assert "holds the captures mel-" in message and "q-" in message


def test_folder_of_something_else_is_one_line(tmp_path):
    assert "no capture here" in refusal(tmp_path)
    assert "no such folder" in refusal(tmp_path / "gone")


def test_own_capture_gets_its_labels_by_the_audio(system, corpus, tmp_path):
    made = capture(system, ["q"], corpus, tmp_path / "store")["q"]
    anna = corpus.select(speaker="anna")
    (tmp_path / "speech" / "anna" / "1.wav").rename(tmp_path / "moved.wav")
    labelled = with_labels(open_capture(made.store.folder), anna)
    assert [u.id for u in labelled.corpus] == [u.id for u in anna.utterances[1:]]
    assert {u.speaker for u in labelled.corpus} == {"anna"}
    assert "left out 6 of 10 tensors" in labelled.corpus.notes[-1]
    for utterance in labelled.corpus:
        wanted = system.represent([utterance.waveform()], ["q"])["q"][0]
        assert torch.equal(labelled.tensor(utterance), wanted)


def test_edge_cache_gets_its_labels_by_file_name(dataset, corpus, tmp_path):
    names = ["/elsewhere/0.wav", "C:\\speech\\1.wav", "/elsewhere/99.wav", "2.wav", None]
    labelled = with_labels(open_capture(dataset(tmp_path / "c", [table(names=names)])), corpus)
    assert [(u.id, u.speaker) for u in labelled.corpus] == [
        ("bert/0", "bert"),
        ("anna/1", "anna"),
        ("bert/2", "bert"),
    ]
    np.testing.assert_array_equal(held(labelled), VALUES[[0, 1, 3]])
    assert "left out 2 of 5 tensors" in labelled.corpus.notes[-1]
    assert "99, row 4" in labelled.corpus.notes[-1]
    assert labelled.corpus.utterances[0].waveform().size == 4_000


def test_folders_tell_recordings_of_one_name_apart(dataset, recording, tmp_path):
    for i, speaker in enumerate(("anna", "bert")):
        recording(tmp_path / "speech" / speaker / "1.wav", i)
    corpus = load_corpus(tmp_path / "speech")
    names = ["data/bert/1.wav", "data/anna/1.wav", "carl/1.wav"]
    cache = open_capture(dataset(tmp_path / "cache", [table(VALUES[:3], names)]))
    labelled = with_labels(cache, corpus)
    assert [u.speaker for u in labelled.corpus] == ["bert", "anna"]
    np.testing.assert_array_equal(held(labelled), VALUES[:2])


def test_two_tensors_that_claim_one_recording_are_not_labelled(dataset, corpus, tmp_path):
    names = ["x/0.wav", "y/0.wav", "1.wav"]
    cache = open_capture(dataset(tmp_path / "cache", [table(VALUES[:3], names)]))
    labelled = with_labels(cache, corpus)
    assert [u.id for u in labelled.corpus] == ["anna/1"]
    assert any("2 tensors have the name of bert/0" in note for note in labelled.corpus.notes)


def test_of_a_recording_in_windows_the_first_is_what_the_script_encoded(
    dataset, recording, tmp_path
):
    recording(tmp_path / "speech" / "long.wav", 0, seconds=31)
    corpus = load_corpus(tmp_path / "speech")
    assert len(corpus) == 2
    cache = open_capture(dataset(tmp_path / "cache", [table(VALUES[:1], ["long.wav"])]))
    (utterance,) = with_labels(cache, corpus).corpus
    assert utterance.start == 0.0 and utterance.id == corpus.utterances[0].id


def test_no_recording_of_the_capture_is_an_error(dataset, recording, tmp_path):
    recording(tmp_path / "speech" / "other.wav", 0)
    cache = open_capture(dataset(tmp_path / "cache", [table()]))
    with pytest.raises(CaptureError, match="none of its 5 tensors is of a recording in speech"):
        with_labels(cache, load_corpus(tmp_path / "speech"))


def test_labelled_utterances_can_be_chosen_as_from_any_corpus(dataset, corpus, tmp_path):
    labelled = with_labels(open_capture(dataset(tmp_path / "cache", [table()])), corpus)
    anna = labelled.corpus.select(speaker="anna")
    assert isinstance(anna, Corpus) and len(anna) == 2
    np.testing.assert_array_equal(
        torch.stack([labelled.tensor(u) for u in anna]).numpy(), VALUES[[1, 3]]
    )
