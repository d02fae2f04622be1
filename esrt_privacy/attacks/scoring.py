"""From embeddings to scores: enrolment by several utterances, cosine, and normalisation against strangers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esrt_privacy.measures.verification import eer

COHORT_SHARE = 0.5  # of the cohort, the nearest ones, normalise a score
LEAST_COHORT = 8  # fewer strangers say nothing of a score's spread
_TINY = 1e-9


def models(embeddings: np.ndarray, members: Sequence[Sequence[int]]) -> np.ndarray:
    """One model a group of rows: the mean of its embeddings, of unit length. (rows, size) -> (groups, size)."""
    return unit_length(np.stack([embeddings[list(rows)].mean(axis=0) for rows in members]))


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Each row divided by its length; a row of zeros stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)


def cosine_scores(enrolled: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """(models, size) and (utterances, size), both of unit length -> (models, utterances)."""
    return enrolled @ tested.T


def adaptive_s_norm(
    enrolled: np.ndarray,
    tested: np.ndarray,
    cohort: np.ndarray,
    enrolled_cohort: np.ndarray | None = None,
) -> np.ndarray:
    """Cosine scores in deviations from what strangers score, (models, utterances).

    s' = ((s - m_e) / d_e + (s - m_t) / d_t) / 2, with mean m and deviation d of the nearest half of the cohort's scores
    against the model (e) and against the test utterance (t). `cohort` (speakers, size) are models of training speakers;
    with fewer than LEAST_COHORT the cosine is returned as it is. It makes scores of different folds comparable. Where
    enrolment is of another kind than what is tested (recordings against tensors), `cohort` is of the tested kind and
    `enrolled_cohort` of the enrolled one.

    Source: Matejka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", Interspeech 2017,
    doi:10.21437/Interspeech.2017-803 (adaptive S-norm 1).
    """
    scores = cosine_scores(enrolled, tested)
    if len(cohort) < LEAST_COHORT:
        return scores
    nearest = max(LEAST_COHORT, round(COHORT_SHARE * len(cohort)))
    mean_e, deviation_e = _nearest(cosine_scores(enrolled, cohort), nearest)
    strangers = cohort if enrolled_cohort is None else enrolled_cohort
    mean_t, deviation_t = _nearest(cosine_scores(tested, strangers), nearest)
    by_model = (scores - mean_e[:, None]) / deviation_e[:, None]
    by_test = (scores - mean_t[None]) / deviation_t[None]
    return 0.5 * (by_model + by_test)


def pairs_eer(embeddings: np.ndarray, speakers: np.ndarray) -> float:
    """EER of the cosines of all pairs of utterances; inf where there are no pairs of both kinds."""
    first, second = np.triu_indices(len(embeddings), k=1)
    scores = (embeddings @ embeddings.T)[first, second]
    same = speakers[first] == speakers[second]
    value = eer(scores[same], scores[~same])
    return float("inf") if np.isnan(value) else value


def _nearest(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each row's `count` highest scores."""
    highest = np.sort(scores, axis=1)[:, -count:]
    return highest.mean(axis=1), np.maximum(highest.std(axis=1), _TINY)
