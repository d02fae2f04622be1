"""Lengths and pauses: planted ones are read, absent ones are not, and the truth is that of the audio."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from esrt_privacy.attacks import duration, pause_findings, pauses
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.duration_reader import coarser
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.pause_reader import train_pause_reader, wrong_share
from esrt_privacy.attacks.speech_pauses import speech_pauses
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import AttackError
from esrt_privacy.findings import Finding
from tests.attacks.planted import PlantedStore, inputs, people

RATE = 16_000
VECTORS, WIDTH = 60, 6  # half a second a vector


@dataclass(frozen=True)
class Spoken(CapturedUtterance):
    """Noise bursts where `pattern` (a text of 1 and 0, a tenth of a second each) says speech."""

    @property
    def pattern(self) -> list[int]:
        rng = np.random.default_rng(int.from_bytes(self.id.encode(), "big") % 2**32)
        onset = int(rng.integers(0, 8))
        bits, value = [0] * onset, 1
        while len(bits) < round(10 * (self.duration or 0)):
            bits += [value] * int(rng.integers(3, 9))
            value = 1 - value
        return bits[: round(10 * (self.duration or 0))]

    def waveform(self) -> np.ndarray:
        rng = np.random.default_rng(len(self.id))
        level = np.repeat([0.3 if bit else 0.0005 for bit in self.pattern], RATE // 10)
        return (level * rng.normal(size=len(level))).astype(np.float32)


def spoken(speakers: int = 10, each: int = 5) -> Corpus:
    rows = []
    for u in people(speakers, each):
        seconds = round(u.duration or 0, 1)
        rows.append(
            Spoken(
                u.id,
                u.audio,
                speaker=u.speaker,
                duration=seconds,
                corpus="planted",
                text=u.text,
                tensor_key=u.id,
            )
        )
    return Corpus("planted", tuple(rows))


def heard(corpus: Corpus, tap: str, told: bool) -> Capture:
    """Five channels of a vector tell the speech in each fifth of its half second, the sixth whether time is up."""
    rng = np.random.default_rng(len(tap))
    tensors = {}
    for u in corpus:
        tensor = 0.05 * rng.normal(size=(VECTORS, WIDTH))
        if told:
            bits = np.zeros(5 * VECTORS)
            bits[: len(u.pattern)] = u.pattern
            tensor[:, :5] += bits.reshape(VECTORS, 5)
            tensor[: -(-len(u.pattern) // 5), 5] += 1
        tensors[u.id] = torch.tensor(tensor, dtype=torch.float32)
    return Capture(corpus, PlantedStore(tap, tensors, (VECTORS, WIDTH)))


def found(material, seeds=(0,)) -> dict[str, Finding]:
    answers = {
        (tap, seed): duration.measure(material, tap, seed)
        for tap in material.captures
        for seed in seeds
    }
    return {f.id: f for f in judged(duration.drafts(material, answers))}


# --- the truth of a mask


def test_a_mask_follows_bursts_to_the_frame():
    wave = np.concatenate([np.zeros(8000), np.ones(16000), np.zeros(4000)]).astype(np.float32)
    wave *= np.random.default_rng(0).normal(size=len(wave)).astype(np.float32)
    mask = speech_pauses(wave + 1e-4 * np.random.default_rng(1).normal(size=len(wave)))
    assert len(mask) == 88  # 28,000 samples in frames of 320
    assert np.flatnonzero(mask)[[0, -1]].tolist() == [25, 74]
    assert mask[25:75].all()


def test_short_gaps_are_bridged_and_pauses_are_not():
    bits = [1] * 10 + [0] * 2 + [1] * 10 + [0] * 10 + [1] * 10
    wave = np.repeat([0.5 if bit else 1e-4 for bit in bits], 320)
    wave = wave * np.random.default_rng(0).normal(size=len(wave))
    assert speech_pauses(wave).astype(int).tolist() == [1] * 22 + [0] * 10 + [1] * 10


def test_silence_is_a_pause_and_a_long_recording_ends_at_the_window():
    assert not speech_pauses(np.zeros(3200)).any()
    assert len(speech_pauses(np.zeros(0))) == 0
    assert len(speech_pauses(np.ones(31 * RATE))) == 1500


def test_louder_noise_leaves_the_mask_where_it_was():
    rng = np.random.default_rng(2)
    level = np.repeat([0, 1, 0, 1, 0], RATE // 2)
    for noise in (1e-4, 1e-2):
        mask = speech_pauses(
            level * rng.normal(size=len(level)) + noise * rng.normal(size=len(level))
        )
        expected = level.reshape(-1, 320).mean(axis=1) > 0.5
        assert (mask == expected).mean() > 0.97


# --- floors and errors by hand


def test_masks_are_stretched_and_margins_are_medians():
    mask = np.array([0, 1, 1, 0], dtype=bool)
    assert pauses._stretched(mask, 8).astype(int).tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert pauses._stretched(mask, 2).astype(int).tolist() == [1, 0]
    rows = [np.array(row, dtype=bool) for row in ([0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0])]
    assert pauses._usual_margins(rows) == (1, 1)
    assert pauses._between(1, 1, 5).astype(int).tolist() == [0, 1, 1, 1, 0]
    assert pauses._between(9, 9, 3).astype(int).tolist() == [0, 0, 1]


def test_errors_of_one_mask_by_hand():
    truth, guess = np.zeros((2, 1, 1500), dtype=np.uint8)
    truth[0, 2:8] = 1
    guess[0, 3:6] = guess[0, 9:12] = 1
    arrays = {"pauses.truth": truth, "pauses.attack": guess, "pauses.frames": np.array([10])}
    # Wrong at 2, 6, 7 and 9; onset late by one frame, offset by four, of 20 ms each.
    assert pause_findings._errors(Answers(arrays), "attack").tolist() == [[4, 10, 20, 80]]
    arrays["pauses.attack"] = np.zeros_like(guess)
    assert pause_findings._errors(Answers(arrays), "attack").tolist() == [[6, 10, 200, 200]]


def test_figures_of_seconds_by_hand():
    truth, predicted = np.array([2.0, 4.0, 6.0]), np.array([2.1, 4.0, 5.0])
    totals = [np.sum(figure.columns(truth, predicted), axis=1) for figure in duration.FIGURES]
    ratios = [top / bottom for top, bottom in totals]
    assert ratios == pytest.approx([1.1 / 3, 1.01 / 8, 2 / 3])


def test_coarse_steps_keep_the_mean():
    corpus = people(speakers=2, each=1)
    tensors = {u.id: torch.arange(600.0).reshape(300, 2) for u in corpus}
    capture = Capture(corpus, PlantedStore("mel", tensors, (300, 2)))
    small = coarser(capture)
    first = next(iter(corpus))
    assert small.shape == (100, 2) == tuple(small.tensor(first).shape)
    assert small.tensor(first)[0].tolist() == [2.0, 3.0]
    assert coarser(small) is small


# --- the network that reads pauses


def test_pauses_are_read_off_tensors_that_tell_them():
    corpus = spoken()
    capture = heard(corpus, "transparent", True)
    masks = {u.id: speech_pauses(u.waveform()) for u in corpus}
    rows = list(corpus)
    reader = train_pause_reader(capture, rows[:35], rows[35:40], masks, 0)
    heard_there = reader.read(rows[40:])
    assert wrong_share(heard_there, rows[40:], masks) < 0.02
    assert np.array_equal(reader.read(rows[41:42])[0], heard_there[1])
    again = train_pause_reader(capture, rows[:35], rows[35:40], masks, 0)
    assert again.name == reader.name and np.array_equal(again.read(rows[40:]), heard_there)


def test_fine_vectors_are_seen_with_their_neighbours():
    # At 10 ms a vector, a tenth of a second of speech is heard in the tenth that follows it.
    corpus = spoken(speakers=6, each=4)
    rng = np.random.default_rng(0)
    tensors = {}
    for u in corpus:
        fine = np.zeros(3000)
        bits = np.repeat(u.pattern, 10)
        fine[5 : 5 + len(bits)] = bits
        tensor = np.stack([fine, 0.1 * rng.normal(size=3000)], axis=1)
        tensors[u.id] = torch.tensor(tensor, dtype=torch.float32)
    capture = Capture(corpus, PlantedStore("mel", tensors, (3000, 2)))
    masks = {u.id: speech_pauses(u.waveform()) for u in corpus}
    rows = list(corpus)
    reader = train_pause_reader(capture, rows[:16], rows[16:20], masks, 0)
    assert wrong_share(reader.read(rows[20:]), rows[20:], masks) < 0.03


def test_wrong_frames_behind_the_end_count_too():
    (u, *_) = spoken(speakers=1, each=1)
    guess = np.zeros((1, 1500), dtype=bool)
    guess[0, 1] = guess[0, 7] = True
    assert wrong_share(guess, [u], {u.id: np.array([1, 1, 0, 0], dtype=bool)}) == 0.5


# --- the family


def test_planted_lengths_and_pauses_leak_and_absent_ones_do_not(tmp_path):
    corpus = spoken()
    captures = {
        "transparent": heard(corpus, "transparent", True),
        "qformer": heard(corpus, "q", False),
    }
    material = Inputs("planted", captures, corpus, None, 0, folds=3, budget=0.4)
    findings = found(material)
    duration.measure(material, "qformer", 0).save(tmp_path / "answers")
    kept = Answers.load(tmp_path / "answers")
    assert kept.arrays["pauses.attack"].shape == (len(corpus), 1500)
    mae = findings["duration.transparent.mae"]
    assert mae.verdict == "leaks" and mae.estimate.value < 0.4 * mae.floors["median duration"].value
    assert findings["duration.transparent.r2"].verdict == "leaks"
    assert findings["duration.transparent.within-5-percent"].estimate.value > 20
    assert findings["duration.transparent.frame-error"].verdict == "leaks"
    for slug in ("mae", "r2", "within-5-percent", "frame-error", "onset-error", "offset-error"):
        assert findings[f"duration.qformer.{slug}"].verdict in ("not detected", "inconclusive")
    assert set(findings["duration.qformer.frame-error"].floors) == set(pauses.FLOORS)
    assert findings["duration.qformer.mae"].control_passed


def test_an_attack_that_misses_the_length_of_a_transparent_tensor_is_invalid():
    material = inputs(people(), {"transparent": {}, "qformer": {}})
    findings = found(material)
    assert findings["duration.qformer.r2"].verdict == "invalid"
    # There is no audio of these, so that no mask is known.
    assert "duration.qformer.frame-error" not in findings
    assert any("without their audio" in note for note in findings["duration.qformer.r2"].notes)


def test_the_padding_of_a_mel_tells_the_length_and_that_of_an_encoder_is_not_taken_from_the_label():
    corpus = people(speakers=8)
    rng = np.random.default_rng(0)
    tensors = {}
    for u in corpus:
        tensor = torch.full((VECTORS * 5, 4), -1.0)
        last = round((u.duration or 0) * 10)
        tensor[:last] = torch.tensor(rng.normal(size=(last, 4)), dtype=torch.float32)
        tensors[u.id] = tensor
    mel = Capture(corpus, PlantedStore("mel", tensors, (VECTORS * 5, 4)))
    noise = {key: torch.randn(VECTORS * 5, 4) for key in tensors}
    encoder = Capture(corpus, PlantedStore("encoder", noise, (VECTORS * 5, 4)))
    material = Inputs(
        "planted", {"mel": mel, "encoder": encoder}, corpus, None, 0, folds=2, budget=0.05
    )
    findings = found(material)
    assert findings["duration.mel.mae"].estimate.value < 0.1
    assert findings["duration.mel.r2"].estimate.value > 0.99
    assert any("padding begins (2)" in note for note in findings["duration.mel.mae"].notes)
    assert findings["duration.encoder.r2"].estimate.value < 0.3


@pytest.mark.parametrize(
    ("seconds", "says"), [(None, "no utterance says how long"), (2.0, "equally long")]
)
def test_lengths_that_cannot_be_asked_for_are_a_line(seconds, says):
    corpus = people(speakers=4)
    same = replace(corpus, utterances=tuple(replace(u, duration=seconds) for u in corpus))
    with pytest.raises(AttackError, match=says):
        duration.measure(inputs(same, {"qformer": {}}), "qformer", 0)


def test_one_speaker_alone_is_a_line():
    with pytest.raises(AttackError, match="one speaker"):
        duration.measure(inputs(people(speakers=1), {"qformer": {}}), "qformer", 0)
