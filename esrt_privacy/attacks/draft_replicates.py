"""A draft's figure over speakers, kept beside the findings so that two runs can be compared speaker by speaker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np

from esrt_privacy.attacks.base import leakage_sign
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.replicates import FigureReplicates


def kept_replicates(drafts: Iterable[Draft]) -> dict[str, FigureReplicates]:
    """The replicates of each draft that has a figure and a comparison, by the finding's id.

    They are in the finding's unit and lie about its value: a comparison may hold the figure in another form (1 - R²
    instead of R²), or with its scores counted in bins, but the spread over speakers is the same.
    """
    found = {}
    for draft in drafts:
        value = draft.finding.estimate.value
        if value is None or not draft.comparisons:
            continue
        own = draft.comparisons[0]
        speakers = own.speakers
        leakage = own.leakage(speaker_generator(speakers))
        if len(leakage.jackknife) < 2:  # too few speakers for any interval
            continue
        to_figure = leakage_sign(draft.finding.leaks_when) * draft.scale
        found[draft.finding.id] = FigureReplicates(
            value=value,
            jackknife=value + to_figure * (leakage.jackknife - leakage.value),
            draws=value + to_figure * (leakage.resampled - leakage.value),
            speakers=speakers_fingerprint(speakers),
        )
    return found


def speaker_generator(speakers: Sequence[str]) -> np.random.Generator:
    """Draws that depend on the sorted speakers only: two runs over the same speakers draw the same ones."""
    return np.random.default_rng(int(speakers_fingerprint(speakers), 16))


def speakers_fingerprint(speakers: Sequence[str]) -> str:
    """SHA-256 of the sorted speakers."""
    return hashlib.sha256(json.dumps(list(speakers)).encode()).hexdigest()
