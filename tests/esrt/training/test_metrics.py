"""The loss curve on disk."""

import pytest

from esrt_privacy.esrt.training.devices import has_bfloat16, llm_dtype, training_device
from esrt_privacy.esrt.training.metrics import METRICS_FILE, Point, metrics, read_metrics

POINTS = [
    Point(stage, step, "asr", 80, 4, 30, 1 / (step + stage), 1e-4 / 3, 0.1, 0.25)
    for stage in (1, 2)
    for step in (1, 2, 3)
]


@pytest.fixture
def written(tmp_path):
    with metrics(tmp_path, "csv", 1, 0) as curve:
        for point in POINTS:
            curve.add(point)
    return tmp_path


def test_curve_is_read_as_it_was_written_to_the_last_digit(written):
    assert read_metrics(written) == POINTS


def test_rows_after_the_checkpoint_are_taken_away(written):
    with metrics(written, "csv", 2, 1) as curve:
        assert read_metrics(written) == POINTS[:4]
        curve.add(POINTS[4])
    assert read_metrics(written) == POINTS[:5]


def test_row_cut_short_by_a_kill_is_no_row(written):
    path = written / METRICS_FILE
    path.write_text(path.read_text()[:-20])
    assert read_metrics(written) == POINTS[:5]


def test_folder_without_a_curve_has_none(tmp_path):
    assert read_metrics(tmp_path) == []
    (tmp_path / METRICS_FILE).write_text("something,else\n1,2\n")
    assert read_metrics(tmp_path) == []


def test_device_is_one_that_torch_computes_on():
    import torch

    device = training_device()
    assert torch.ones(2, device=device).sum() == 2
    assert torch.accelerator.is_available() == (device.type != "cpu")
    assert isinstance(has_bfloat16(device), bool)
    expected = torch.bfloat16 if device.type != "cpu" and has_bfloat16(device) else torch.float32
    assert llm_dtype(device) == expected
