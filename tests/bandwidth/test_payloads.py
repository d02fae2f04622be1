import numpy as np
import pytest

from esrt_privacy.bandwidth import payloads
from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.codecs import audio_formats
from esrt_privacy.bandwidth.payloads import (
    Draw,
    audio_sizes,
    draw_recordings,
    mean_bytes,
)
from esrt_privacy.bandwidth.rows import audio_rows
from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import CorpusError
from tests import tiny

WAV = tuple(each for each in audio_formats() if each.name in ("wav-16", "wav-16-json"))


def test_fewer_samples_than_recordings_are_distinct(corpus):
    draw = draw_recordings(corpus, 10, seed=1)
    assert draw.samples == len(draw.utterances) == 10
    assert set(draw.counts) == {1}
    assert not draw.with_replacement
    assert "without replacement" in draw.says(len(corpus))


def test_more_samples_than_recordings_are_drawn_with_replacement_and_say_so(corpus):
    draw = draw_recordings(corpus, 647, seed=1)
    assert draw.samples == 647
    assert draw.with_replacement
    assert len(draw.utterances) <= len(corpus)
    assert "with replacement by seed 1" in draw.says(len(corpus))


def test_all_recordings_are_all_of_them_once_and_a_seed_repeats_its_draw(corpus):
    every = draw_recordings(corpus, len(corpus), seed=3)
    assert every.utterances == corpus.utterances
    assert draw_recordings(corpus, 50, 4) == draw_recordings(corpus, 50, 4)
    assert draw_recordings(corpus, 50, 4) != draw_recordings(corpus, 50, 5)


def test_each_draw_counts_as_a_recording_and_is_encoded_once(corpus, monkeypatch):
    draw = Draw(corpus.utterances[:2], (3, 1), True, 0)
    encoded = []
    real = payloads.encode_all
    monkeypatch.setattr(
        payloads, "encode_all", lambda wave, formats: encoded.append(1) or real(wave, formats)
    )
    sizes = audio_sizes(draw, WAV)
    assert len(encoded) == 2
    first, second = (u.waveform().size for u in draw.utterances)
    row = next(r for r in audio_rows(sizes, WAV, 0) if r.name == "wav-16")
    assert row.total_bytes == 3 * (44 + 2 * first) + 44 + 2 * second
    assert row.bytes_per_recording.value == pytest.approx(row.total_bytes / 4)
    assert row.kbit_per_second == pytest.approx(
        row.total_bytes * 8 / ((3 * first + second) / 16_000) / 1_000
    )


def test_bodies_are_counted_and_what_a_carrier_says_stands_beside_them(corpus):
    class Headers:
        def carry(self, each, body: bytes) -> Carried:
            return Carried(len(body) + 100, 40)

    draw = Draw(corpus.utterances[:2], (1, 1), False, 0)
    bare = audio_sizes(draw, WAV)
    assert bare.carried == {}
    both = audio_sizes(draw, WAV, Headers())
    assert both.by_format == bare.by_format
    for name, sizes in bare.by_format.items():
        assert both.carried[name] == tuple(Carried(size + 100, 40) for size in sizes)


def test_an_unreadable_recording_is_left_out_with_its_draws(tmp_path):
    tiny.write_speech(tmp_path, speakers=2, each=1, longest=1.2)
    corpus = load_corpus(tmp_path)
    bad = corpus.utterances[0].audio
    draw = Draw(corpus.utterances, (5, 2), True, 0)
    bad.write_bytes(bad.read_bytes()[:2_000])
    sizes = audio_sizes(draw, WAV)
    assert sizes.draw.samples == 2
    assert len(sizes.notes) == 1 and bad.name in sizes.notes[0] and "5 draws" in sizes.notes[0]
    with pytest.raises(CorpusError, match="no recording"):
        audio_sizes(Draw(corpus.utterances[:1], (1,), False, 0), WAV)


def test_mean_bytes_have_an_interval_over_speakers(corpus):
    utterances = corpus.utterances
    sizes = np.random.default_rng(0).normal(1_000, 100, len(utterances))
    found = mean_bytes(sizes, [1] * len(utterances), utterances, 0)
    assert found.n == 6
    assert found.value == pytest.approx(sizes.mean())
    assert found.low < found.value < found.high
