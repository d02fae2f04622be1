"""Speech-like sound, a corpus of it, and the tiny model of the ESRT tests."""

import numpy as np
import pytest

from esrt_privacy.corpora import Corpus, load_corpus
from tests import tiny
from tests.esrt.conftest import llm_folder, model, model_config, wire

__all__ = ["llm_folder", "model", "model_config", "wire"]


@pytest.fixture(scope="session")
def sound() -> np.ndarray:
    """Two seconds of syllables at 16 kHz."""
    return tiny.speech_like(140, 700, 2.0, seed=5)


@pytest.fixture(scope="session")
def corpus(tiny_speech) -> Corpus:
    """24 recordings of six speakers, English with texts."""
    return load_corpus(tiny_speech)
