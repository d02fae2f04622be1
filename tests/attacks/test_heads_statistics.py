"""Statistics of a sequence: what differs in its course is seen, also where every mean is the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from esrt_privacy.attacks.heads import train_head
from esrt_privacy.attacks.heads_statistics import COMPONENTS, fit_statistics
from tests.attacks.planted import people, planted


def rhythmic(corpus, tap: str, shape=(80, 6)):
    """Noise whose vectors follow one another smoothly for one sex and jump for the other; levels are alike."""
    capture = planted(corpus, tap, {}, shape)
    for u in corpus:
        tensor = capture.store.tensors[u.fingerprint]
        if u.sex == "F":
            tensor[:] = (
                torch.cumsum(tensor, dim=0) / torch.arange(1, len(tensor) + 1)[:, None].sqrt()
            )
            tensor[:] = (tensor - tensor.mean(dim=0)) / tensor.std(dim=0)
        else:
            tensor[:] = (tensor - tensor.mean(dim=0)) / tensor.std(dim=0)
    return capture


@pytest.mark.parametrize("tap", ["qformer", "transparent"])
def test_a_class_that_shows_only_in_how_vectors_follow_one_another_is_read(tap):
    corpus = people(16, 5)
    capture = rhythmic(corpus, tap)
    rows = list(corpus)
    training, development, test = rows[:40], rows[40:60], rows[60:]
    sexes = [[u.sex for u in part] for part in (training, development)]
    head = train_head(
        "linear", capture, training, sexes[0], development, sexes[1], "classes", seed=0
    )
    answered = np.array(head.classes)[head.log_probabilities(capture, test).argmax(axis=1)]
    assert np.mean(answered == [u.sex for u in test]) > 0.9


@pytest.mark.parametrize(("tap", "shape"), [("qformer", (6, 12)), ("mel", (3000, 20))])
def test_statistics_are_in_deviations_of_the_training_utterances(tap, shape):
    corpus = people(4, 4)
    capture = planted(corpus, tap, {}, shape)
    rows = list(corpus)
    for equal in (False, True):
        table = fit_statistics(capture, rows, trim=True, equal=equal).of(capture, rows)
        assert table.shape[0] == len(rows) and table.shape[1] > 4 * min(shape[1], COMPONENTS)
        varied = table.std(axis=0) > 0.01
        assert varied.any() and table.std(axis=0)[varied] == pytest.approx(1.0)
        assert table.mean(axis=0) == pytest.approx(0.0, abs=1e-6)


def test_an_utterance_of_one_step_has_statistics_too():
    corpus = people(3, 2)
    capture = planted(corpus, "mel", {}, (3000, 8))
    first = next(iter(corpus))
    tensor = capture.store.tensors[first.fingerprint]
    tensor[2:] = tensor[2]
    assert np.isfinite(
        fit_statistics(capture, list(corpus), True, False).of(capture, [first])
    ).all()


def test_a_rare_class_is_answered_as_often_as_it_is_right():
    """Logistic regression that counts utterances would always answer the frequent class."""
    corpus = people(24, 6, languages=6)
    rows = [replace(u, language="rare" if u.language == "l00" else "usual") for u in corpus]
    capture = planted(replace(corpus, utterances=tuple(rows)), "qformer", {"language": 1.0})
    training, development, test = rows[0::3], rows[1::3], rows[2::3]
    labels = [[u.language for u in part] for part in (training, development)]
    head = train_head("linear", capture, training, labels[0], development, labels[1], "classes", 0)
    shares = [np.mean([label == name for label in labels[0]]) for name in head.classes]
    balanced = head.log_probabilities(capture, test) - np.log(shares)
    answered = np.array(head.classes)[balanced.argmax(axis=1)]
    truth = np.array([u.language for u in test])
    assert all(np.mean(answered[truth == name] == name) > 0.7 for name in ("rare", "usual"))
