"""Frames of a batch: all of them, or thinned in the padding."""

import numpy as np
import pytest
import torch

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.esrt.training.frames import LiveFrames, StoredFrames, batch_of, thinned

CPU = torch.device("cpu")


@pytest.fixture
def spoken(tmp_path):
    return [Utterance(str(n), tmp_path / f"{n}.flac", duration=float(n)) for n in (1, 2, 28)]


def padded(speech):
    """Frames (1500, 32) of `speech` seconds, constant in the padding."""
    frames = torch.randn(1500, 32, generator=torch.Generator().manual_seed(speech))
    frames[speech * 50 + 25 :] = frames[-1]
    return frames


def test_all_frames_are_given_as_they_are(spoken):
    frames = {u.id: padded(int(u.id)).half() for u in spoken}
    batch, bias = batch_of(spoken, lambda us: [frames[u.id] for u in us], CPU)
    assert bias is None and batch.dtype == torch.float32
    assert torch.equal(batch, torch.stack([frames[u.id].float() for u in spoken]))


def test_thinning_keeps_the_speech_and_every_sixteenth_frame_of_the_padding():
    places, bias = thinned(2.0, np.random.default_rng(0))
    assert list(places[:125]) == list(range(125))
    assert (np.diff(places[125:]) == 16).all()
    assert 125 <= places[125] < 141 and places[-1] > 1500 - 17
    assert (bias[:125] == 0).all()
    np.testing.assert_allclose(bias[125:], np.log(16))
    everything, none = thinned(30.0, np.random.default_rng(0))
    assert list(everything) == list(range(1500)) and (none == 0).all()


def test_thinned_padding_weighs_as_much_as_the_whole(spoken, qformer):
    """Where the padding is constant the Q-Former's output is that of all 1500 frames."""
    frames = {u.id: padded(int(u.id)) for u in spoken}

    def of(utterances):
        return [frames[u.id] for u in utterances]

    whole, _ = batch_of(spoken, of, CPU)
    thin, bias = batch_of(spoken, of, CPU, np.random.default_rng(0))
    assert thin.shape[1] == 28 * 50 + 25 + 5 and bias.shape == (3, 1, 1, thin.shape[1])
    with torch.no_grad():
        expected = qformer(whole, 8)
        found = qformer(thin, 8, bias)
    # 16 frames stand for the 15 to 17 that a stretch of padding may hold.
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()
    unbiased = qformer(thin, 8, torch.where(bias > 0, 0.0, bias))
    assert (unbiased - expected).abs().mean() > 3 * (found - expected).abs().mean()


def test_frames_computed_in_the_loop_are_the_encoders(edge, utterances):
    found = LiveFrames(edge.encoder)(utterances[:2])
    mel = log_mel([u.waveform() for u in utterances[:2]], 80)
    torch.testing.assert_close(torch.stack(list(found)), edge.encoder(mel))


def test_stored_frames_are_found_by_the_audios_fingerprint(utterances):
    asked = []

    def frames_of(key):
        asked.append(key)
        return torch.zeros(1500, 32)

    assert len(StoredFrames(frames_of)(utterances[:2])) == 2
    assert asked == [u.fingerprint for u in utterances[:2]]
