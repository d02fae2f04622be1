"""Small corpora with real structure and no leak but those that a test plants."""

import numpy as np
import pytest

from esrt_privacy.validity.held import Held
from tests.attacks import planted


@pytest.fixture
def noisy() -> Held:
    """24 people with 6 utterances each; tensors of (6, 12) that know nothing but whose utterance is whose."""
    corpus = planted.people(speakers=24, each=6)
    return Held.of(planted.planted(corpus, "qformer", {"speaker": 0.6}), corpus)


@pytest.fixture
def rng() -> np.random.Generator:
    """The same draws each time."""
    return np.random.default_rng(5)
