"""Recordings on one side, tensors on the other."""

import numpy as np
import pytest

from esrt_privacy.attacks.cross_modal import train_cross_modal
from esrt_privacy.attacks.scoring import unit_length
from esrt_privacy.errors import AttackError
from tests.attacks.planted import direction, people, planted

SIZE = 256


@pytest.fixture(scope="module")
def corpus():
    return people(30, 5)


def voices_of(corpus, strength):
    """GE2E-like vectors: a linear image of the speaker's planted direction, and noise."""
    rng = np.random.default_rng(5)
    image = rng.standard_normal((12, SIZE))
    rows = {}
    for u in corpus:
        clean = strength * direction(f"speaker {u.speaker}", 12) @ image
        rows[u.fingerprint] = unit_length(clean + 0.3 * rng.standard_normal(SIZE))
    return rows


def error_of(corpus, strength, leak):
    capture = planted(corpus, "qformer", {"speaker": leak})
    voices = voices_of(corpus, strength)
    number = {u.id: int(u.speaker.removeprefix("planted")) for u in corpus}
    training, development, test = (
        [u for u in corpus if low <= number[u.id] < high]
        for low, high in ((0, 18), (18, 23), (23, 30))
    )
    model = train_cross_modal(capture, training, development, voices)
    scores = (
        model.of_tensors(capture, test)
        @ model.of_voices(np.stack([voices[u.fingerprint] for u in test])).T
    )
    speakers = np.array([u.speaker for u in test])
    same = speakers[:, None] == speakers[None]
    # How often a stranger's recording fits a tensor better than its own speaker's.
    return float((scores[same][:, None] < scores[~same][None]).mean())


def test_a_shared_voice_is_found_across_and_an_absent_one_is_not(corpus):
    assert error_of(corpus, 1.0, 4.0) < 0.15
    assert error_of(corpus, 1.0, 0.0) > 0.35
    assert error_of(corpus, 0.0, 4.0) > 0.35


def test_too_few_voices_are_an_error_of_one_line(corpus):
    capture = planted(corpus, "qformer", {})
    with pytest.raises(AttackError, match="fewer than 3 training speakers"):
        train_cross_modal(capture, list(corpus), [], {})
