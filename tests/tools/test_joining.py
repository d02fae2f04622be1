"""Joined recordings: every sentence once, within bounds, the sound of the parts."""

from pathlib import Path

import joining
import numpy as np
import pytest
import soundfile

from esrt_privacy.corpora import Corpus, Utterance

RATE = joining.SAMPLE_RATE


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Twelve recordings by two voices of 2 or 3 s, each a constant of its own."""
    utterances = []
    for i in range(12):
        path = tmp_path / f"{i}.wav"
        seconds = 2 + i % 2
        soundfile.write(path, np.full(seconds * RATE, (i + 1) / 20, np.float32), RATE, "PCM_16")
        utterances.append(
            Utterance(
                f"u{i}", path, f"v{i % 2}", language="eng", text=f"sentence {i}", duration=seconds
            )
        )
    return Corpus("short", tuple(utterances))


def test_each_sentence_occurs_once_beside_others_of_its_voice(corpus: Corpus) -> None:
    rows = joining.plan(corpus, 1)
    parts = [u.id for row in rows for u in row.parts]
    assert sorted(parts) == sorted(u.id for u in corpus)
    assert max(len(row.parts) for row in rows) > 1
    for row in rows:
        assert len({u.speaker for u in row.parts}) == 1
        assert len(row.pauses) == len(row.parts) - 1
        assert sum(u.duration or 0 for u in row.parts) + sum(row.pauses) <= joining.LONGEST
    assert rows == joining.plan(corpus, 1)


def test_a_text_beyond_the_bound_begins_a_new_recording(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "MOST_CHARACTERS", 15)
    assert all(len(row.parts) == 1 for row in joining.plan(corpus, 1))


def test_the_recording_holds_its_parts_in_order_with_pauses(corpus: Corpus, tmp_path: Path) -> None:
    joined = joining.join(corpus, tmp_path / "joined", 1)
    for row, u in zip(joining.plan(corpus, 1), joined, strict=True):
        wave = u.waveform()
        assert len(wave) / RATE == pytest.approx(u.duration)
        assert u.text == " ".join(part.text or "" for part in row.parts)
        levels = [round(float(v) * 20) for v in np.unique(np.round(wave[wave > 0], 3))]
        assert sorted(levels) == sorted(int(part.id[1:]) + 1 for part in row.parts)
        assert wave[0] * 20 == pytest.approx(int(row.parts[0].id[1:]) + 1, abs=0.01)
        silent = int((wave == 0).sum())
        assert silent == sum(int(p * RATE) for p in row.pauses)
