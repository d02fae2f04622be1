"""Shuffled labels are null, planted ones are found, and a probe that sees the answers is caught."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from esrt_privacy.errors import AttackError
from esrt_privacy.measures.information import discrete_channel_bits, gaussian_channel_bits
from esrt_privacy.validity import probes
from esrt_privacy.validity.held import Held
from esrt_privacy.validity.power import planted_bits, planted_leak
from esrt_privacy.validity.probes import PROBES, read
from esrt_privacy.validity.shuffling import shuffled


def test_sexes_are_shuffled_over_speakers(noisy: Held, rng: np.random.Generator) -> None:
    null = shuffled(noisy, "sex", rng)
    by_speaker: dict[str, set[str]] = {}
    for u in null.corpus:
        by_speaker.setdefault(str(u.speaker), set()).add(str(u.sex))
    assert all(len(sexes) == 1 for sexes in by_speaker.values())
    assert sorted(str(u.sex) for u in null.corpus) == sorted(str(u.sex) for u in noisy.corpus)
    assert [u.sex for u in null.corpus] != [u.sex for u in noisy.corpus]


def test_speakers_are_shuffled_over_utterances_of_their_sex(
    noisy: Held, rng: np.random.Generator
) -> None:
    null = shuffled(noisy, "speaker", rng)
    sexes: dict[str, set[str]] = {}
    for u in null.corpus:
        sexes.setdefault(str(u.speaker), set()).add(str(u.sex))
    assert all(len(held) == 1 for held in sexes.values())
    kept = sum(a.speaker == b.speaker for a, b in zip(noisy.corpus, null.corpus, strict=True))
    assert kept < len(noisy.corpus) / 4


def test_a_label_that_varies_within_speakers_is_shuffled_within_them(
    noisy: Held, rng: np.random.Generator
) -> None:
    mixed = noisy.labelled("language", [f"l{i % 2}" for i in range(len(noisy.corpus))])
    null = shuffled(mixed, "language", rng)

    def counts(held: Held) -> list[tuple[str, str]]:
        return sorted((str(u.speaker), str(u.language)) for u in held.corpus)

    assert counts(null) == counts(mixed)
    assert [u.language for u in null.corpus] != [u.language for u in mixed.corpus]


def test_tensors_follow_their_utterances(noisy: Held, rng: np.random.Generator) -> None:
    null = shuffled(noisy, "speaker", rng)
    for before, after in zip(noisy.corpus, null.corpus, strict=True):
        assert torch.equal(noisy.capture.tensor(before), null.capture.tensor(after))


def test_directions_are_those_in_which_tensors_vary_by_one(
    noisy: Held, rng: np.random.Generator
) -> None:
    rows = torch.stack([noisy.capture.tensor(u).flatten() for u in noisy.corpus]).double()
    centred = rows - rows.mean(dim=0)
    covariance = centred.T @ centred / len(rows)
    axes = torch.stack([d.flatten() for d in noisy.directions(rng, 3)]).double()
    # d' C^-1 d = 1 for each of them and 0 between them, within the kept principal components.
    strength, vectors = torch.linalg.eigh(covariance)
    kept = strength > 1e-6 * strength.max()
    inverse = (vectors[:, kept] / strength[kept]) @ vectors[:, kept].T
    assert torch.allclose(axes @ inverse @ axes.T, torch.eye(3).double(), atol=1e-4)


def test_too_few_tensors_have_too_few_directions(noisy: Held, rng: np.random.Generator) -> None:
    few = replace(noisy.corpus, utterances=noisy.corpus.utterances[:4])
    with pytest.raises(AttackError, match="vary in 3 directions"):
        Held.of(noisy.capture, few).directions(rng, 8)


@pytest.mark.parametrize("label", ["speaker", "sex", "duration"])
def test_a_strong_planted_leak_is_found_and_shuffled_labels_are_not(
    noisy: Held, label: str
) -> None:
    probe = PROBES[label]

    def detected(held: Held, seed: int) -> bool:
        readings = {r.statistic: r for r in read(probe, held, "planted", 3, seed)}
        return readings[probe.headline].leaks

    nulls = [detected(shuffled(noisy, label, np.random.default_rng([6, i])), i) for i in range(4)]
    leaks = [
        detected(planted_leak(noisy, label, 4.0, np.random.default_rng([7, i])), i)
        for i in range(2)
    ]
    assert sum(nulls) <= 1
    assert all(leaks)


def test_mixed_trials_are_no_null_where_speakers_keep_their_sex(
    noisy: Held, rng: np.random.Generator
) -> None:
    """A tensor that tells the sex alone beats chance on them, so that figure is not read."""
    sexed = noisy.planted(lambda u: torch.full(noisy.capture.shape, 3.0 * (u.sex == "F")))
    readings = read(PROBES["speaker"], shuffled(sexed, "speaker", rng), "planted", 3, 0)
    assert [r.statistic for r in readings] == ["speaker.semi-informed-eer"]
    assert not readings[0].leaks


def test_a_probe_that_sees_the_test_labels_is_caught(
    noisy: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on the very people that it answers for, it finds what is not there, each time."""
    honest = probes.trial_table

    def leaky(inputs, tap):  # type: ignore[no-untyped-def]
        table = honest(inputs, tap)
        parts = tuple(
            replace(p, fold=replace(p.fold, training=(*p.fold.training, *p.fold.test)))
            for p in table.parts
        )
        return replace(table, parts=parts)

    monkeypatch.setattr(probes, "trial_table", leaky)
    probe = PROBES["speaker"]
    alarms = []
    for seed in range(3):
        null = shuffled(noisy, "speaker", np.random.default_rng([8, seed]))
        readings = {r.statistic: r for r in read(probe, null, "planted", 3, seed)}
        alarms.append(readings[probe.headline].beats_chance)
    assert all(alarms)


def test_bits_of_a_planted_signal_by_hand(noisy: Held) -> None:
    # ½ log2(1 + 3) = 1; eight directions eight times that, but at most log2 of 24 speakers.
    assert planted_bits(noisy, "duration", np.sqrt(3)) == pytest.approx(1.0)
    assert planted_bits(noisy, "speaker", 0.1) == pytest.approx(4 * np.log2(1.01))
    assert planted_bits(noisy, "speaker", 10.0) == pytest.approx(np.log2(24))
    # Two values far apart tell one bit, close together next to nothing (s² / 2 ln 2).
    assert planted_bits(noisy, "sex", 8.0) == pytest.approx(1.0, abs=1e-4)
    assert planted_bits(noisy, "sex", 0.05) == pytest.approx(0.0025 / 2 / np.log(2), rel=0.02)


def test_channels_refuse_what_is_no_signal() -> None:
    assert gaussian_channel_bits(0.0) == 0.0
    with pytest.raises(ValueError, match="no deviation"):
        gaussian_channel_bits(-1.0)
    with pytest.raises(ValueError, match="no distribution"):
        discrete_channel_bits([0.0, 1.0], [0.5, 0.6])
