import json

import numpy as np
import pytest
import torch

from esrt_privacy.errors import AssetError, AudioError
from esrt_privacy.judges.speakers import Ge2e, _partial_starts, _raise_volume


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 256, num_layers=3), torch.nn.Linear(256, 256)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    return Ge2e(state | {f"linear.{name}": value for name, value in linear.state_dict().items()})


def test_an_embedding_has_unit_length_and_is_repeatable(untrained):
    wave = np.random.default_rng(1).normal(0, 0.1, 40_000).astype(np.float32)
    first, second = untrained.embed(wave), untrained.embed(wave)
    assert first.shape == (256,)
    assert first.dtype == np.float32
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(first, second)


def test_no_recordings_give_no_embeddings(untrained):
    assert untrained.embed_all([]).shape == (0, 256)


@pytest.mark.parametrize(
    ("seconds", "starts"),
    # By hand: partials of 160 frames every 77 frames; the last one dropped under 75% coverage.
    [(0.1, [0]), (1.6, [0]), (1.9, [0]), (2.0, [0, 77]), (2.5, [0, 77]), (4.0, [0, 77, 154, 231])],
)
def test_partials_lie_where_resemblyzer_puts_them(seconds, starts):
    assert _partial_starts(int(seconds * 16_000)) == starts


def test_quiet_recordings_are_raised_and_loud_ones_left_alone():
    tone = np.sin(np.arange(16_000) / 10).astype(np.float32)
    quiet = _raise_volume(0.001 * tone)
    assert 10 * np.log10(np.mean(quiet**2)) == pytest.approx(-30, abs=0.01)
    np.testing.assert_allclose(_raise_volume(tone), tone)


@pytest.mark.parametrize(
    "wave",
    [np.zeros(0), np.zeros(16_000), np.array([0.1, np.inf]), np.zeros((2, 100))],
    ids=["empty", "silent", "infinite", "stereo"],
)
def test_what_holds_no_voice_is_refused(untrained, wave):
    with pytest.raises(AudioError):
        untrained.embed(wave.astype(np.float32))


def test_weights_of_another_network_are_refused():
    with pytest.raises(AssetError, match="assets fetch ge2e"):
        Ge2e({"linear.weight": torch.zeros(2, 2)})


@pytest.mark.weights
@pytest.mark.speech
def test_the_same_speaker_is_closer_than_another_of_the_same_sex(ge2e, speech_folder):
    from soundfile import read

    lines = (speech_folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["corpus"] == "an4" and row["sex"] == "F"]
    rows = [row for row in rows if row["duration"] > 2]
    speakers = sorted({row["speaker"] for row in rows})[:6]
    chosen = [row for name in speakers for row in rows if row["speaker"] == name][:30]
    vectors = ge2e.embed_all(
        [read(speech_folder / row["audio"], dtype="float32")[0] for row in chosen]
    )
    cosines = vectors @ vectors.T
    names = np.array([row["speaker"] for row in chosen])
    same = names[:, None] == names[None, :]
    pairs = ~np.eye(len(names), dtype=bool)
    assert cosines[same & pairs].mean() > cosines[~same].mean() + 0.08
