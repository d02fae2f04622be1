"""The file of replicates: written, read, bounded, and never anything but numbers."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from esrt_privacy import replicates
from esrt_privacy.errors import ReportError
from esrt_privacy.replicates import FigureReplicates, read_replicates, write_replicates


def figure(**changes: object) -> FigureReplicates:
    fields = {"value": 71.4, "jackknife": np.arange(5.0), "draws": np.arange(9.0), "speakers": "ab"}
    return FigureReplicates(**(fields | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_in_single_precision(tmp_path: Path):
    kept = figure(value=1 / 3, draws=np.array([1 / 3, np.nan]))
    write_replicates(
        {"speaker.qformer.eer": kept, "structure.x": figure(draws=np.empty(0))}, tmp_path
    )
    found = read_replicates(tmp_path)
    assert set(found) == {"speaker.qformer.eer", "structure.x"}
    one = found["speaker.qformer.eer"]
    assert one.value == 1 / 3 and one.speakers == "ab"
    np.testing.assert_array_equal(one.draws, np.float32([1 / 3, np.nan]))
    assert found["structure.x"].draws.shape == (0,)


def test_a_run_without_the_file_has_none(tmp_path: Path):
    assert read_replicates(tmp_path) == {}


def test_a_run_without_replicates_writes_an_empty_file_over_an_old_one(tmp_path: Path):
    write_replicates({"a.b": figure()}, tmp_path)
    write_replicates({}, tmp_path)
    assert read_replicates(tmp_path) == {}


@pytest.mark.parametrize(
    "other",
    [figure(speakers="other"), figure(draws=np.arange(8.0)), figure(jackknife=np.arange(4.0))],
)
def test_only_the_same_speakers_drawn_alike_are_pairs(other: FigureReplicates):
    assert figure().pairs_with(figure(value=3.0))
    assert not figure().pairs_with(other)


def test_files_that_are_not_ours_or_damaged_are_refused(tmp_path: Path):
    path = tmp_path / replicates.FILE_NAME
    for content in (b"", b"\x00" * 7, b"\xff" * 64, b"PK\x03\x04" + b"\0" * 60):
        path.write_bytes(content)
        with pytest.raises(ReportError, match="replicates"):
            read_replicates(tmp_path)
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(ReportError, match="not a file of replicates"):
        read_replicates(tmp_path)
    write_replicates({"a.b": figure()}, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ReportError, match="damaged"):
        read_replicates(tmp_path)


def test_arrays_of_another_form_are_refused_before_they_are_loaded(tmp_path: Path):
    about = '{"a.b": {"value": 1.0, "speakers": "ab"}}'
    metadata = {"format": replicates.FORMAT, "about": about}
    path = tmp_path / replicates.FILE_NAME
    for draws in (np.zeros((2, 2), np.float32), np.zeros(2, np.float64)):
        save_file({"a.b/draws": draws, "a.b/jackknife": np.zeros(2, np.float32)}, path, metadata)
        with pytest.raises(ReportError, match="has the form"):
            read_replicates(tmp_path)
    save_file({"a.b/draws": np.zeros(2, np.float32)}, path, metadata)
    with pytest.raises(ReportError, match="damaged"):
        read_replicates(tmp_path)
