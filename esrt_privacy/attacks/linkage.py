"""Linkage: do two tensors come from one person, or from one recording, and which recording is a tensor of?

None needs a name. Pairs of intercepted tensors are compared one with one, by a head that learnt from other people. For
the search, the attacker has N recordings and no access to the edge model: a regression, learnt from other people's
tensors and recordings, predicts from the tensor what a recording's spectrum is like and how long it is, and the
likeliest one is named: each value counts by how well it is predicted of development speakers. With the edge model and
the very recording there is nothing to ask: its tensor is the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.folds import Fold, make_folds
from esrt_privacy.attacks.heads import train_head
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.linkage_findings import drafts
from esrt_privacy.attacks.positive_control import CEILING_TAP
from esrt_privacy.attacks.sequences import pooled, readable, remembered
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.corpora.split import speaker_key
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent

__all__ = ["FAMILY", "drafts", "measure"]

FAMILY = Family(
    name="linkage",
    question="Do two tensors come from one person or one recording, and which recording is a tensor of?",
    version=2,
)
PAIR_HEADS = ("linear", "attentive")
MOST_PAIRS = 200_000  # a fold and question, drawn
CANDIDATES = 100  # recordings that a search chooses from, at most
LEAST_CANDIDATES = 20  # with fewer, ten guesses say nothing
LEAST_WATCHED = 10  # development recordings by which the regression's errors are known
LEAST_ERROR = 0.02  # of a deviation: nothing is predicted better than that
FOLDS_OF = 10  # utterances at least, so that a search has something to choose from


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Answer the three questions at one tap.

    Answers hold `person.*` and `recording.*` (pairs,): `scores`, `duration only` and `target`, with the rows `.first`
    and `.second`, who speaks (or the recording) on both sides; and `search.*` (utterances,): `top-1` and `top-10`, the
    chance of the true recording among the first 1 and 10, the same `by chance` and, for somebody who was told the true
    length of what was said, `by duration`; with the rows `search.speakers`. Questions that the corpus cannot answer are
    left out with a note.

    Raises AttackError where none can be answered.
    """
    kept, notes = readable(inputs.captures[tap], inputs.test)
    if len(kept) < 2:
        raise AttackError(f"{inputs.test.name}: fewer than two readable tensors, nothing to link")
    test = replace(inputs.test, utterances=kept)
    capture = remembered(inputs.captures[tap])
    folds = make_folds(test, _training(inputs, tap), _fold_count(inputs, test), inputs.seed)
    arrays: dict[str, list[np.ndarray]] = {}
    rows: dict[str, list[str]] = {}
    said = list(notes)
    for number, fold in enumerate(folds):
        report(f"linking at {tap}", number, len(folds))
        said += fold.notes
        rng = np.random.default_rng([inputs.seed, 6, number])
        found = [_person(capture, fold, seed, inputs.budget, rng, report)]
        found.append(_recording(capture, fold, seed, inputs.budget, rng, report))
        found.append(_search(inputs, capture, fold, seed, rng))
        for question in found:
            for name, values in question.arrays.items():
                arrays.setdefault(name, []).append(values)
            for name, names in question.rows.items():
                rows.setdefault(name, []).extend(names)
            said += question.notes
    report(f"linking at {tap}", len(folds), len(folds))
    if not arrays:
        raise AttackError(f"{test.name}: nothing to link: {'; '.join(dict.fromkeys(said))}")
    return Answers(
        {name: np.concatenate(values) for name, values in arrays.items()},
        {name: tuple(names) for name, names in rows.items()},
        tuple(dict.fromkeys(said)),
    )


def _person(
    capture: Capture,
    fold: Fold,
    seed: int,
    budget: float,
    rng: np.random.Generator,
    report: Reporter,
) -> Answers:
    """Pairs of different recordings: one person?"""
    test = tuple(u for u in fold.test if u.speaker is not None)
    if len({u.speaker for u in test}) < 2:
        return Answers(notes=("same person: a fold with fewer than two known speakers",))
    first, second = _pairs(len(test), rng)
    apart = np.array([u.recording for u in test])
    other = apart[first] != apart[second]
    return _linked(
        "person",
        capture,
        fold,
        test,
        speaker_key,
        first[other],
        second[other],
        seed,
        budget,
        report,
    )


def _recording(
    capture: Capture,
    fold: Fold,
    seed: int,
    budget: float,
    rng: np.random.Generator,
    report: Reporter,
) -> Answers:
    """Pairs of windows: one recording? Only of one speaker's, where a speaker has several recordings."""
    test = fold.test
    recordings = np.array([u.recording for u in test])
    if len(set(recordings)) == len(test):
        return Answers(notes=("same recording: no two utterances are cut from one recording",))
    first, second = _pairs(len(test), rng)
    speakers = np.array(speakers_of(test))
    same = speakers[first] == speakers[second]
    several = bool((recordings[first][same] != recordings[second][same]).any())
    kept = same if several else np.ones(len(first), dtype=bool)
    answers = _linked(
        "recording",
        capture,
        fold,
        test,
        lambda u: f"{u.corpus}|{u.recording}",
        first[kept],
        second[kept],
        seed,
        budget,
        report,
    )
    if several:
        return answers
    note = "same recording: one recording a speaker, so it is not told from the same person"
    return replace(answers, notes=(*answers.notes, note))


def _linked(
    name: str,
    capture: Capture,
    fold: Fold,
    test: Sequence[Utterance],
    label: Callable[[Utterance], str],
    first: np.ndarray,
    second: np.ndarray,
    seed: int,
    budget: float,
    report: Reporter,
) -> Answers:
    """Cosines of the pairs' embeddings: those of both heads joined, of which each counts alike."""
    labels = [label(u) for u in test]
    target = np.array([labels[i] == labels[j] for i, j in zip(first, second, strict=True)], bool)
    if not target.any() or target.all():
        return Answers(notes=(f"same {name}: a fold without pairs of both kinds",))
    own, watched = [label(u) for u in fold.training], [label(u) for u in fold.development]
    parts = []
    for head_name in PAIR_HEADS:
        head = train_head(
            head_name,
            capture,
            fold.training,
            own,
            fold.development,
            watched,
            "embedding",
            seed,
            budget,
            report,
        )
        parts.append(head.embed(capture, test))
    rows = np.hstack(parts) / np.sqrt(len(parts))
    seconds = np.array([u.duration or np.nan for u in test])
    logs = np.log(np.maximum(seconds, 0.01))
    return Answers(
        {
            f"{name}.scores": np.einsum("ij,ij->i", rows[first], rows[second]),
            f"{name}.duration only": -np.abs(logs[first] - logs[second]),
            f"{name}.target": target,
        },
        {
            f"{name}.first": tuple(labels[i] for i in first),
            f"{name}.second": tuple(labels[i] for i in second),
        },
    )


def _search(
    inputs: Inputs, capture: Capture, fold: Fold, seed: int, rng: np.random.Generator
) -> Answers:
    """Each test tensor against up to CANDIDATES recordings of the fold, its own among them."""
    from esrt_privacy.measures.identification import top_k_hits

    mels = inputs.captures.get(CEILING_TAP)
    if mels is None:
        return Answers(notes=("recording search: the log-mel of the recordings was not captured",))
    test = fold.test
    if len(test) < LEAST_CANDIDATES:
        return Answers(notes=("recording search: a fold with fewer than 20 recordings",))
    known = _spectra(mels, fold.training)
    centre, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    watched = (_spectra(mels, fold.development) - centre) / scale
    head = train_head(
        "linear",
        capture,
        fold.training,
        (known - centre) / scale,
        fold.development,
        watched,
        "regression",
        seed,
        inputs.budget,
    )
    guessed = head.predict(capture, test)
    heard = (_spectra(mels, test) - centre) / scale
    error = np.ones(heard.shape[1])
    if len(watched) >= LEAST_WATCHED:
        missed = head.predict(capture, fold.development) - watched
        error = np.sqrt(np.square(missed).mean(axis=0) + LEAST_ERROR**2)
    guessed, heard = guessed / error, heard / error
    count = min(CANDIDATES, len(test))
    logs = np.log(np.maximum([u.duration or np.nan for u in test], 0.01))
    hits: dict[str, list[float]] = {}
    for i in range(len(test)):
        others = np.delete(np.arange(len(test)), i)
        among = np.r_[i, np.sort(rng.choice(others, count - 1, replace=False))]
        by_tensor = -np.square(heard[among] - guessed[i]).sum(axis=1)[None]
        by_length = -np.abs(logs[among] - logs[i])[None]
        for k in (1, 10):
            hits.setdefault(f"search.top-{k}", []).append(top_k_hits(by_tensor, [0], k)[0])
            length = top_k_hits(by_length, [0], k)[0]
            hits.setdefault(f"search.top-{k} by duration", []).append(length)
            hits.setdefault(f"search.top-{k} by chance", []).append(min(1.0, k / count))
    return Answers(
        {name: np.array(values) for name, values in hits.items()},
        {"search.speakers": tuple(speakers_of(test))},
        (f"recording search: among {count} recordings",),
    )


def _spectra(mels: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
    """What a recording is like, (utterances, 2 · mel bins + 1): mean and deviation of its log-mel, and its length."""
    rows = pooled(mels, utterances)
    seconds = np.array([[u.duration or 1.0] for u in utterances]).reshape(len(utterances), 1)
    return np.hstack([rows, np.log(np.maximum(seconds, 0.01))])


def _pairs(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of utterances, or MOST_PAIRS drawn of them."""
    first, second = np.triu_indices(count, k=1)
    if len(first) > MOST_PAIRS:
        drawn = np.sort(rng.choice(len(first), MOST_PAIRS, replace=False))
        first, second = first[drawn], second[drawn]
    return first, second


def _fold_count(inputs: Inputs, test: Corpus) -> int:
    units = len({speaker_key(u) for u in test})
    return max(2, min(inputs.folds, units // 8, len(test) // FOLDS_OF))


def _training(inputs: Inputs, tap: str) -> Corpus | None:
    if inputs.training is None:
        return None
    kept, _ = readable(inputs.captures[tap], inputs.training)
    return replace(inputs.training, utterances=kept) if kept else None
