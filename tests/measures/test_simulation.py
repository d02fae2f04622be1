import math

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit
from scipy.stats import norm

from esrt_privacy.measures import simulation
from esrt_privacy.measures.coverage import Cell, cells, coverage
from esrt_privacy.measures.intervals import Estimate
from esrt_privacy.measures.verification import eer


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def test_embeddings_that_know_nothing_have_an_eer_of_one_half(rng):
    model = simulation.SpeakerModel(between=0.0)
    assert simulation.population_eer(model, rng, 50_000) == pytest.approx(0.5, abs=0.01)


def test_a_population_has_the_eer_asked_for(rng):
    model = simulation.with_eer(simulation.SpeakerModel(between=1.0), 0.2, pairs=5000)
    assert simulation.population_eer(model, rng, 50_000) == pytest.approx(0.2, abs=0.015)
    assert simulation.with_eer(model, 0.5).between == 0.0
    with pytest.raises(ValueError, match="no population"):
        simulation.with_eer(model, 0.6)


def test_a_long_trial_list_has_the_population_eer(rng):
    model = simulation.SpeakerModel(between=0.5)
    found = simulation.sampled_trials(model, 2000, 60_000, rng)
    assert (found.is_target == (found.enrol == found.test)).all()
    assert found.test.min() >= 0 and found.test.max() < 2000
    wanted = simulation.population_eer(model, rng, 50_000)
    measured = eer(found.scores[found.is_target], found.scores[~found.is_target])
    assert measured == pytest.approx(wanted, abs=0.015)


def test_all_trials_are_all_pairs_of_uneven_speakers(rng):
    found = simulation.all_trials(simulation.SpeakerModel(between=1.0), 6, rng)
    utterances = (1 + math.isqrt(1 + 8 * len(found.scores))) // 2
    assert utterances * (utterances - 1) // 2 == len(found.scores)
    sizes = [np.sum(found.is_target & (found.enrol == i)) for i in range(6)]
    assert len(set(sizes)) > 1 and min(sizes) >= 1


def test_accuracy_of_the_population_is_known(rng):
    centre = simulation.centre_for(0.9, 1.0)
    wanted = integrate.quad(lambda z: expit(centre + z) * norm.pdf(z), -9, 9)[0]
    assert wanted == pytest.approx(0.9, abs=1e-6)
    truth, predicted, who = simulation.answers(3000, centre, 1.0, rng, labels=3)
    assert np.mean(truth == predicted) == pytest.approx(0.9, abs=0.01)
    assert all(len(set(truth[who == i])) == 1 for i in range(50))


def test_error_of_the_population_is_known(rng):
    errors, who = simulation.errors(20_000, 0.5, rng)
    assert errors.mean() == pytest.approx(math.exp(0.125), rel=0.02)
    assert len(np.unique(who)) == 20_000


def test_coverage_counts_what_lies_where():
    def estimate(low, high):
        return Estimate((low + high) / 2, low, high, 5, "")

    nothing = Estimate(1.0, float("nan"), float("nan"), 1, "undefined")
    found = coverage(
        1.0, [estimate(0, 2), estimate(0, 1), estimate(0, 0.5), estimate(2, 6), nothing]
    )
    assert found[:5] == (5, 2, 1, 1, 1)
    assert found.share == 0.5
    assert found.median_width == pytest.approx(1.5)
    assert math.isnan(coverage(1.0, []).share)


def test_every_cell_has_a_name_of_its_own_and_makes_intervals(rng):
    names = [cell.name for cell in cells()]
    assert len(set(names)) == len(names) == 33
    for cell in (Cell("accuracy", 10, 0.9), Cell("mae", 10, 0.5), Cell("eer", 10, 0.5)):
        population = cell.population()
        found = [population.estimate(np.random.default_rng([1, i]), 60) for i in range(12)]
        assert all(e.low <= e.value <= e.high and e.n == 10 for e in found)
        # Twelve intervals of 95% miss four or more once in 10,000 times.
        assert coverage(population.truth, found).covered >= 9
