"""The cross-modal attacker: a recording of the target on one side, an intercepted tensor on the other.

Two ways to one space are learnt from other people, whose recordings and tensors are both known, and the better one on
development speakers counts: to predict the voice (GE2E) from the tensor, and to project both onto directions in which
tensor and voice of one speaker go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.heads_linear import Features, feature_candidates, ridge
from esrt_privacy.attacks.scoring import unit_length
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.measures.verification import eer

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
SHRINKAGES = (0.05, 0.2, 0.5, 0.8)
MOST_CORRELATIONS = 64
LEAST_SPEAKERS = 3
_TINY = 1e-9


@dataclass(frozen=True)
class CrossModal:
    """Two linear maps into one space."""

    name: str
    features: Features
    tensor_map: tuple[np.ndarray, np.ndarray]  # weights (features, size), offset (size,)
    voice_map: tuple[np.ndarray, np.ndarray]  # weights (256, size), offset (size,)
    development_error: float  # EER, or inf where it is not defined

    def of_tensors(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, size) of unit length."""
        weights, offset = self.tensor_map
        return unit_length(self.features.of(capture, utterances) @ weights + offset)

    def of_voices(self, voices: np.ndarray) -> np.ndarray:
        """(utterances, 256) -> (utterances, size) of unit length."""
        weights, offset = self.voice_map
        return unit_length(voices @ weights + offset)


def train_cross_modal(
    capture: Capture,
    training: Sequence[Utterance],
    development: Sequence[Utterance],
    voices: Mapping[str, np.ndarray],
) -> CrossModal:
    """Learn from utterances with a known speaker of which `voices` (by fingerprint) has the recording's voice.

    Raises AttackError with fewer than three such speakers.
    """
    own = [u for u in training if u.fingerprint in voices]
    watched = [u for u in development if u.fingerprint in voices]
    if len({u.speaker for u in own}) < LEAST_SPEAKERS:
        raise AttackError(
            f"fewer than {LEAST_SPEAKERS} training speakers have recordings with a voice in them; give more of them"
        )
    heard = np.stack([voices[u.fingerprint] for u in own]).astype(np.float64)
    speakers = np.array([str(u.speaker) for u in own])
    names, place = np.unique(speakers, return_inverse=True)
    means = np.stack([heard[place == i].mean(axis=0) for i in range(len(names))])
    centre = heard.mean(axis=0)
    best: CrossModal | None = None
    for features in feature_candidates(capture, own, trim=True):
        rows = features.of(capture, own)
        solve = ridge(rows, means[place] - centre)
        found = [
            # Towards the speaker's mean voice: what varies from recording to recording is no part of it.
            ("regression", solve(penalty)[:2], (np.eye(len(centre)), -centre))
            for penalty in PENALTIES
        ] + [
            ("correlation", *_correlation(rows, heard, means[place], shrinkage))
            for shrinkage in SHRINKAGES
        ]
        for name, tensor_map, voice_map in found:
            candidate = CrossModal(name, features, tensor_map, voice_map, float("inf"))
            error = _error(candidate, capture, watched, voices)
            if best is None or error < best.development_error:
                best = CrossModal(name, features, tensor_map, voice_map, error)
    assert best is not None
    return best


Map = tuple[np.ndarray, np.ndarray]


def _correlation(
    rows: np.ndarray, heard: np.ndarray, means: np.ndarray, shrinkage: float
) -> tuple[Map, Map]:
    """Canonical correlation of tensors with their speakers' voices, both covariances shrunk.

    Source: Hotelling, "Relations Between Two Sets of Variates", Biometrika 28 (1936), doi:10.1093/biomet/28.3-4.321;
    shrinkage: Vinod, J. Econometrics 4 (1976), doi:10.1016/0304-4076(76)90010-5.
    """
    x_mean, y_mean = rows.mean(axis=0), heard.mean(axis=0)
    x, y, m = rows - x_mean, heard - y_mean, means - y_mean
    x_white, y_white = _whitening(x, shrinkage), _whitening(y, shrinkage)
    left, strength, right = np.linalg.svd(
        x_white.T @ (x.T @ m / len(x)) @ y_white, full_matrices=False
    )
    kept = min(MOST_CORRELATIONS, max(1, int((strength > _TINY * strength[0]).sum())))
    # Each direction counts as much as it is shared.
    weight = np.sqrt(strength[:kept])
    x_map = x_white @ left[:, :kept] * weight
    y_map = y_white @ right[:kept].T * weight
    return (x_map, -x_mean @ x_map), (y_map, -y_mean @ y_map)


def _whitening(centred: np.ndarray, shrinkage: float) -> np.ndarray:
    covariance = centred.T @ centred / len(centred)
    size = len(covariance)
    level = max(float(np.trace(covariance)) / size, _TINY)
    spread, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * level * np.eye(size))
    return np.asarray(axes / np.sqrt(np.maximum(spread, _TINY)))


def _error(
    candidate: CrossModal,
    capture: Capture,
    watched: Sequence[Utterance],
    voices: Mapping[str, np.ndarray],
) -> float:
    """EER of all pairs of one utterance's tensor and another's recording; inf where it is not defined."""
    if len({u.speaker for u in watched}) < 2:
        return float("inf")
    heard = candidate.of_voices(np.stack([voices[u.fingerprint] for u in watched]))
    scores = candidate.of_tensors(capture, watched) @ heard.T
    speakers = np.array([str(u.speaker) for u in watched])
    same = speakers[:, None] == speakers[None]
    other = ~np.eye(len(watched), dtype=bool)
    value = eer(scores[same & other], scores[~same])
    return float("inf") if np.isnan(value) else value
