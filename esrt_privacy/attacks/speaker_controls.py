"""Trials answered without a tensor: by what was said, and by how long it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from esrt_privacy.attacks.fold_trials import FoldTrials
from esrt_privacy.attacks.label_controls import MOST_CHARACTERS, MOST_NGRAMS

_SHORTEST = 0.01  # seconds


def text_only(part: FoldTrials) -> np.ndarray | None:
    """Cosine of the words' character n-grams (1 to 4, tf-idf), enrolment against test, (trials,).

    The n-grams' weights come from the training utterances. None where a test text is unknown.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    fold = part.fold
    said = [(u.text or "").strip()[:MOST_CHARACTERS] for u in fold.test]
    if not all(said):
        return None
    heard = [(u.text or "")[:MOST_CHARACTERS] for u in (*fold.training, *fold.development)]
    model = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), max_features=MOST_NGRAMS)
    rows = model.fit([*heard, *said]).transform(said)
    # Each speaker's texts joined by their mean, as embeddings are.
    enrolled = np.vstack([np.asarray(rows[list(m)].mean(axis=0)).ravel() for m in part.members])
    lengths = np.maximum(np.linalg.norm(enrolled, axis=1, keepdims=True), 1e-9)
    return part.take(np.asarray((rows @ (enrolled / lengths).T).T))


def duration_only(part: FoldTrials) -> np.ndarray | None:
    """How near the test utterance's length is to the enrolment's, (trials,). None where a length is unknown."""
    seconds = np.array([u.duration or np.nan for u in part.fold.test])
    if not np.isfinite(seconds).all():
        return None
    logs = np.log(np.maximum(seconds, _SHORTEST))
    enrolled = np.array([logs[list(m)].mean() for m in part.members])
    return part.take(-np.abs(enrolled[:, None] - logs[None]))


CONTROLS: dict[str, Callable[[FoldTrials], np.ndarray | None]] = {
    "text only": text_only,
    "duration only": duration_only,
}
