"""Simulated corpora from populations of speakers whose true figures are known.

Random effects throughout: speakers differ in where their voice lies and in how steady it is, in
how often they are right and in how many utterances they gave. Corpora are drawn from that
population, so an interval over speakers must contain the population's figure as often as it says
(`coverage`).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from esrt_privacy.measures.verification import eer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SpeakerModel:
    """A population of speakers whose utterances are embeddings.

    A speaker's mean is normal with deviation `between` in each of `width` dimensions; utterances
    scatter about it with a deviation of exp(normal · `unsteadiness`), the speaker's own. With
    `between` 0 the embeddings know nothing of who speaks, and the EER is 50%.
    """

    between: float
    width: int = 16
    unsteadiness: float = 0.2
    fewest: int = 2  # utterances of a speaker
    most: int = 8


class Trials(NamedTuple):
    """A trial list, (trials,) each."""

    scores: Floats  # cosines
    is_target: NDArray[np.bool_]
    enrol: NDArray[np.integer]
    test: NDArray[np.integer]


class Answers(NamedTuple):
    """Labels and guesses of utterances, (utterances,) each; every speaker has one label."""

    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    speakers: NDArray[np.intp]


def all_trials(model: SpeakerModel, speakers: int, rng: np.random.Generator) -> Trials:
    """Every pair of utterances of a corpus with an uneven number of utterances a speaker."""
    sizes = rng.integers(model.fewest, model.most + 1, speakers)
    who = np.repeat(np.arange(speakers), sizes)
    vectors = _embeddings(model, who, speakers, rng)
    i, j = np.triu_indices(len(who), 1)
    scores = (vectors @ vectors.T)[i, j]
    return Trials(scores, who[i] == who[j], who[i], who[j])


def enrolled_trials(model: SpeakerModel, speakers: int, rng: np.random.Generator) -> Trials:
    """Every speaker enrolled with the mean of half of their utterances, and all tested with the others."""
    sizes = rng.integers(model.fewest, model.most + 1, speakers)
    who = np.repeat(np.arange(speakers), sizes)
    vectors = _embeddings(model, who, speakers, rng)
    first = np.cumsum(sizes) - sizes
    enrolled = np.arange(len(who)) - first[who] < sizes[who] // 2
    means = np.zeros((speakers, model.width))
    np.add.at(means, who[enrolled], vectors[enrolled])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    tested = who[~enrolled]
    scores = (means @ vectors[~enrolled].T).ravel()
    enrol, test = np.repeat(np.arange(speakers), len(tested)), np.tile(tested, speakers)
    return Trials(scores, enrol == test, enrol, test)


def sampled_trials(
    model: SpeakerModel,
    speakers: int,
    trials: int,
    rng: np.random.Generator,
    target_share: float = 0.5,
    utterances: int = 30,
) -> Trials:
    """A trial list of any length: pairs drawn by lot among `utterances` of each speaker.

    Speakers are int32, to hold a long list in little memory.
    """
    who = np.repeat(np.arange(speakers), utterances)
    vectors = _embeddings(model, who, speakers, rng).astype(np.float32)
    is_target = rng.random(trials) < target_share
    enrol = rng.integers(0, speakers, trials, dtype=np.int32)
    # Another speaker: one of the others, counted on from the enrolled one.
    test = rng.integers(1, speakers, trials, dtype=np.int32)
    test[is_target] = 0
    test = (test + enrol) % np.int32(speakers)
    first = rng.integers(0, utterances, trials, dtype=np.int32)
    second = (first + rng.integers(1, utterances, trials, dtype=np.int32)) % np.int32(utterances)
    scores = np.empty(trials)
    for start in range(0, trials, 1 << 20):
        part = slice(start, start + (1 << 20))
        a = vectors[enrol[part] * utterances + first[part]]
        b = vectors[test[part] * utterances + second[part]]
        scores[part] = np.einsum("ij,ij->i", a, b)
    return Trials(scores, is_target, enrol, test)


def population_eer(model: SpeakerModel, rng: np.random.Generator, pairs: int = 400_000) -> float:
    """EER of the population: `pairs` independent target and as many non-target trials.

    Its standard error is below 0.1 points from 400,000 pairs on.
    """
    speakers = np.repeat(np.arange(pairs), 2)
    vectors = _embeddings(model, speakers, pairs, rng).reshape(pairs, 2, model.width)
    target = np.einsum("ij,ij->i", vectors[:, 0], vectors[:, 1])
    nontarget = np.einsum("ij,ij->i", vectors[:, 0], np.roll(vectors[:, 1], 1, axis=0))
    return eer(target, nontarget)


def with_eer(
    model: SpeakerModel, wanted: float, seed: int = 0, pairs: int = 20_000
) -> SpeakerModel:
    """The model whose `between` gives the population about the EER `wanted`, by bisection.

    One seed for all steps, so that the EER falls smoothly as voices move apart. How near it comes
    rests on `pairs`; `population_eer` of the model is its truth.

    Raises ValueError when `wanted` is not in (0, 0.5].
    """
    if not 0 < wanted <= 0.5:
        raise ValueError(f"no population has an EER of {wanted}")
    if wanted == 0.5:
        return replace(model, between=0.0)
    low, high = 0.0, 8.0
    for _ in range(14):
        middle = (low + high) / 2
        found = population_eer(replace(model, between=middle), np.random.default_rng(seed), pairs)
        low, high = (middle, high) if found > wanted else (low, middle)
    return replace(model, between=(low + high) / 2)


def answers(
    speakers: int, centre: float, spread: float, rng: np.random.Generator, labels: int = 2
) -> Answers:
    """Guesses at a label of the speaker (such as their sex), right with the speaker's own chance.

    That chance is expit(centre + spread · normal); wrong guesses fall on the other labels evenly.
    Speakers have 2 to 12 utterances and take the labels in turn.
    """
    sizes = rng.integers(2, 13, speakers)
    who = np.repeat(np.arange(speakers), sizes)
    truth = who % labels
    chance = expit(centre + spread * rng.normal(size=speakers))
    right = rng.random(len(who)) < chance[who]
    wrong = (truth + rng.integers(1, labels, len(who))) % labels
    return Answers(truth, np.where(right, truth, wrong), who)


def mean_chance(centre: float, spread: float) -> float:
    """The population's accuracy in `answers`: the mean of expit(centre + spread · normal)."""
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    return float((expit(centre + spread * points) * weights).sum() / weights.sum())


def centre_for(accuracy: float, spread: float) -> float:
    """The `centre` of `answers` at which the population's accuracy is `accuracy`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_chance(middle, spread) < accuracy else (low, middle)
    return (low + high) / 2


def errors(
    speakers: int, spread: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.intp]]:
    """(utterances,) absolute errors and speakers: each speaker's mean error is lognormal.

    A speaker's errors are exponential about exp(spread · normal), so the population's mean absolute
    error is exp(spread² / 2). Speakers have 2 to 12 utterances.
    """
    sizes = rng.integers(2, 13, speakers)
    who = np.repeat(np.arange(speakers), sizes)
    means = np.exp(spread * rng.normal(size=speakers))
    return rng.exponential(means[who]), who


def _embeddings(
    model: SpeakerModel, who: NDArray[np.intp], speakers: int, rng: np.random.Generator
) -> Floats:
    means = model.between * rng.normal(size=(speakers, model.width))
    steadiness = np.exp(model.unsteadiness * rng.normal(size=speakers))
    vectors = means[who] + steadiness[who, None] * rng.normal(size=(len(who), model.width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
