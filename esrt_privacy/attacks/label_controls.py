"""Answers to a label that never saw a tensor: from the length alone, and from the words alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from esrt_privacy.corpora import Utterance

MOST_CHARACTERS = 2000  # of a text that is looked at
MOST_NGRAMS = 20_000
SMOOTHING = 0.01

Guess = Callable[
    [Sequence[Utterance], Sequence[str], Sequence[Utterance], Sequence[str]], np.ndarray | None
]


def duration_only(
    training: Sequence[Utterance],
    labels: Sequence[str],
    test: Sequence[Utterance],
    classes: Sequence[str],
) -> np.ndarray | None:
    """Log probabilities (test, classes) by logistic regression on the length, its square and its logarithm.

    Every label counts alike, however many utterances it has. None where a length is unknown.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, asked = _lengths(training), _lengths(test)
    if known is None or asked is None:
        return None
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    model.fit(known, list(labels))
    return spread_over(classes, model.predict_log_proba(asked), [str(c) for c in model.classes_])


def text_only(
    training: Sequence[Utterance],
    labels: Sequence[str],
    test: Sequence[Utterance],
    classes: Sequence[str],
) -> np.ndarray | None:
    """Log probabilities (test, classes) by logistic regression on the words' character n-grams (1 to 4, tf-idf).

    Every label counts alike. None where a text is unknown.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    known, asked = _texts(training), _texts(test)
    if known is None or asked is None:
        return None
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), max_features=MOST_NGRAMS),
        LogisticRegression(class_weight="balanced", C=10.0, max_iter=1000),
    )
    model.fit(known, list(labels))
    return spread_over(classes, model.predict_log_proba(asked), [str(c) for c in model.classes_])


def spread_over(classes: Sequence[str], logs: np.ndarray, known: Sequence[str]) -> np.ndarray:
    """Log probabilities (utterances, classes) from those of the `known` classes; others are as good as impossible.

    A hundredth of the probability goes to all classes alike, so that no single answer weighs without bound.
    """
    table = np.zeros((len(logs), len(classes)))
    table[:, [classes.index(name) for name in known]] = np.exp(logs)
    table /= table.sum(axis=1, keepdims=True)
    return np.asarray(np.log((1 - SMOOTHING) * table + SMOOTHING / len(classes)))


CONTROLS: dict[str, Guess] = {"duration only": duration_only, "text only": text_only}


def _lengths(utterances: Sequence[Utterance]) -> np.ndarray | None:
    seconds = np.array([u.duration or np.nan for u in utterances])
    if not (seconds > 0).all():
        return None
    return np.column_stack([seconds, seconds**2, np.log(seconds)])


def _texts(utterances: Sequence[Utterance]) -> list[str] | None:
    texts = [(u.text or "")[:MOST_CHARACTERS] for u in utterances]
    return texts if all(text.strip() for text in texts) else None
