"""Trained heads on planted leaks: found where strong, not where absent, the same from the same seed."""

import numpy as np
import pytest

from esrt_privacy.attacks.heads import HEADS, train_head
from esrt_privacy.attacks.heads_linear import discriminant, ridge
from esrt_privacy.attacks.heads_networks import EMBEDDING, NETWORKS
from esrt_privacy.attacks.heads_training import _crops
from esrt_privacy.attacks.scoring import pairs_eer
from esrt_privacy.errors import AttackError
from tests.attacks.planted import people, planted

BUDGET = {"linear": 1.0, "attentive": 0.12, "ecapa": 0.12}


@pytest.fixture(scope="module")
def corpus():
    return people(24, 6)


def divided(corpus):
    """Training, development and test utterances of different speakers."""
    number = {u.id: int(u.speaker.removeprefix("planted")) for u in corpus}
    return [
        [u for u in corpus if low <= number[u.id] < high]
        for low, high in ((0, 14), (14, 18), (18, 24))
    ]


def trained(name, capture, task, label, seed=0):
    training, development, _ = divided(capture.corpus)
    return train_head(
        name,
        capture,
        training,
        [label(u) for u in training],
        development,
        [label(u) for u in development],
        task,
        seed,
        BUDGET[name],
    )


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("tap", ["qformer", "mel"])
def test_a_planted_voice_is_found_in_unseen_speakers(corpus, name, tap):
    capture = planted(corpus, tap, {"speaker": 4.0})
    head = trained(name, capture, "embedding", lambda u: u.speaker)
    test = divided(corpus)[2]
    rows = head.embed(capture, test)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert pairs_eer(rows, np.array([u.speaker for u in test])) < 0.2
    assert head.name == name
    assert all(0 <= error <= 0.5 for _, error in head.curve)


def test_nothing_is_found_where_nothing_is_planted(corpus):
    capture = planted(corpus, "qformer", {})
    head = trained("linear", capture, "embedding", lambda u: u.speaker)
    test = divided(corpus)[2]
    assert pairs_eer(head.embed(capture, test), np.array([u.speaker for u in test])) > 0.35


@pytest.mark.parametrize("name", HEADS)
def test_classes_get_probabilities(corpus, name):
    capture = planted(corpus, "qformer", {"sex": 4.0})
    head = trained(name, capture, "classes", lambda u: u.sex)
    test = divided(corpus)[2]
    logs = head.log_probabilities(capture, test)
    assert head.classes == ("F", "M")
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, rtol=1e-5)
    answered = np.array(head.classes)[logs.argmax(axis=1)]
    assert np.mean(answered == np.array([u.sex for u in test])) > 0.9
    with pytest.raises(AttackError):
        head.predict(capture, test)


@pytest.mark.parametrize("name", ["linear", "attentive"])
def test_numbers_are_predicted(corpus, name):
    capture = planted(corpus, "qformer", {"duration": 2.0})
    head = trained(name, capture, "regression", lambda u: u.duration)
    test = divided(corpus)[2]
    truth = np.array([u.duration for u in test])
    guessed = head.predict(capture, test)
    assert guessed.shape == truth.shape
    assert np.abs(guessed - truth).mean() < 0.7 * np.abs(truth - truth.mean()).mean()
    with pytest.raises(AttackError):
        head.log_probabilities(capture, test)


def test_vectors_are_predicted_too(corpus):
    capture = planted(corpus, "qformer", {"duration": 2.0})
    head = trained("linear", capture, "regression", lambda u: [u.duration, -u.duration])
    test = divided(corpus)[2]
    guessed = head.predict(capture, test)
    np.testing.assert_allclose(guessed[:, 0], -guessed[:, 1], atol=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_one_seed_gives_one_head_and_an_utterance_does_not_depend_on_others(corpus, name):
    capture = planted(corpus, "mel", {"speaker": 2.0})
    test = divided(corpus)[2]
    one, two = (trained(name, capture, "embedding", lambda u: u.speaker, seed=3) for _ in range(2))
    rows = one.embed(capture, test)
    assert np.array_equal(rows, two.embed(capture, test))
    np.testing.assert_allclose(one.embed(capture, test[4:5])[0], rows[4], atol=2e-6)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_can_do_without_development_speakers(corpus, name):
    capture = planted(corpus, "qformer", {"speaker": 4.0})
    training, _, test = divided(corpus)
    labels = [u.speaker for u in training]
    head = train_head(name, capture, training, labels, [], [], "embedding", 0, 0.01)
    assert head.curve == ()
    assert np.isfinite(head.embed(capture, test)).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_a_network_takes_any_number_of_steps(name, steps):
    import torch

    network = NETWORKS[name](6).eval()
    out = network(torch.randn(2, steps, 6))
    assert out.shape == (2, EMBEDDING)
    assert bool(torch.isfinite(out).all())


def test_what_cannot_be_learnt_is_said_in_one_line(corpus):
    capture = planted(corpus, "qformer", {})
    some = list(corpus)[:4]
    with pytest.raises(AttackError, match="have one label"):
        train_head("linear", capture, some, ["a"] * 4, [], [], "classes", 0)
    with pytest.raises(AttackError, match="no head"):
        train_head("oracle", capture, some, list("abcd"), [], [], "classes", 0)
    with pytest.raises(AttackError, match="is no number"):
        train_head("linear", capture, some, [1, 2, 3, np.nan], [], [], "regression", 0)
    with pytest.raises(AttackError, match="3 labels for 4"):
        train_head("linear", capture, some, [1, 2, 3], [], [], "regression", 0)


def test_the_discriminant_of_two_speakers_by_hand():
    # One deviation along x, ten along y: the difference (1, 1) counts a hundred times more in x.
    spread = np.array([[1.0, 0], [-1, 0], [0, 10], [0, -10]])
    rows = np.vstack([spread, spread + np.ones(2)])
    direction = discriminant(rows, np.repeat(["a", "b"], 4), 0.0)
    assert direction.shape == (2, 1)
    assert direction[0, 0] / direction[1, 0] == pytest.approx(100)


def test_crops_are_stretches_of_one_length_and_short_ones_are_repeated():
    import torch

    rows = [torch.arange(n, dtype=torch.float32)[:, None] for n in (3, 60, 100)]
    cut = _crops(rows, False, torch.Generator().manual_seed(0))[..., 0]
    assert 25 <= cut.shape[1] <= 60
    assert set(cut[0].tolist()) == {0.0, 1.0, 2.0}
    assert (cut[1:].diff(dim=1) == 1).all()


@pytest.mark.parametrize("shape", [(50, 20), (20, 50)])
@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_ridge_solves_the_normal_equations_whichever_side_is_smaller(shape, strength):
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(3.0, 1.0, shape), rng.normal(size=(shape[0], 2))
    weights, offset, _ = ridge(rows, targets)(strength)
    centred, rest = rows - rows.mean(axis=0), targets - targets.mean(axis=0)
    penalty = strength * shape[0] * np.eye(shape[1])
    expected = np.linalg.solve(centred.T @ centred + penalty, centred.T @ rest)
    assert weights == pytest.approx(expected, abs=1e-9)
    assert rows.mean(axis=0) @ weights + offset == pytest.approx(targets.mean(axis=0))
