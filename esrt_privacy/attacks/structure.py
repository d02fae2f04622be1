"""Without labels: do tensors fall into groups by themselves, and are these voices, languages, lengths or sexes?

The attacker holds intercepted tensors and nothing else. They are clustered into as many groups as a label has values,
by the clustering that is most stable, and only the report compares the groups with the label.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.clusterings import strongest_clustering
from esrt_privacy.attacks.drafts import Draft
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.sequences import pooled, readable
from esrt_privacy.attacks.structure_findings import Target, structure_drafts
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter, silent

FAMILY = Family(
    name="structure",
    question="Do tensors without any label fall into groups that mean something?",
    attackers=("ignorant",),
)
MOST_UTTERANCES = 1500  # clustering by distances grows with their square
TERCILES = ("short", "middle", "long")


TARGETS = (
    Target("speaker", "Do tensors without labels group by who speaks?"),
    Target("language", "Do tensors without labels group by language?"),
    Target("duration", "Do tensors without labels group by length?"),
    Target("sex", "Do tensors without labels group by the speaker's sex?"),
)


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Cluster the test utterances' tensors at one tap, once for each target.

    Answers hold, for each target that the corpus has labels of, `<target>.clusters` and `<target>.duration_only`
    (utterances,), the same from the tensors and from lengths alone (-1: unknown), and the rows `<target>.truth` ("":
    unknown), `ids` and `speakers`. Raises AttackError where no target has two values with two utterances each.
    """
    rng = np.random.default_rng([seed, 2])
    utterances, notes = _chosen(inputs, tap, rng)
    truths = {target.name: _labels(target.name, utterances) for target in TARGETS}
    asked, reasons = {}, []
    for name, truth in truths.items():
        reason = _unusable(name, truth)
        if reason:
            reasons.append(reason)
        else:
            asked[name] = truth
    if not asked:
        raise AttackError(
            f"{inputs.test.name}: nothing to compare groups with: {'; '.join(reasons)}"
        )
    features = _features(inputs, tap, utterances)
    seconds = np.array([u.duration if u.duration else np.nan for u in utterances])
    arrays: dict[str, np.ndarray] = {}
    rows = {"ids": tuple(u.id for u in utterances), "speakers": tuple(speakers_of(utterances))}
    for done, (name, truth) in enumerate(asked.items()):
        report(f"clustering {tap} for {name}", done, len(asked))
        count = len(set(truth) - {""})
        found = strongest_clustering(features, count, rng)
        arrays[f"{name}.clusters"] = found.assignment.astype(np.int64)
        arrays[f"{name}.stability"] = np.array([found.stability])
        arrays[f"{name}.duration_only"] = _by_length(seconds, count, seed)
        rows[f"{name}.truth"] = tuple(truth)
        rows[f"{name}.method"] = (found.method,)
    report(f"clustering {tap}", len(asked), len(asked))
    return Answers(arrays, rows, (*notes, *reasons))


def drafts(inputs: Inputs, answers: Mapping[tuple[str, int], Answers]) -> tuple[Draft, ...]:
    """NMI and purity of each target at each tap; of several seeds the most stable clustering counts."""
    return structure_drafts(inputs, answers, TARGETS)


def _chosen(
    inputs: Inputs, tap: str, rng: np.random.Generator
) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    utterances, notes = readable(inputs.captures[tap], inputs.test)
    if len(utterances) > MOST_UTTERANCES:
        kept = sorted(rng.choice(len(utterances), MOST_UTTERANCES, replace=False))
        notes = (*notes, f"{MOST_UTTERANCES} of {len(utterances)} utterances were clustered")
        utterances = tuple(utterances[i] for i in kept)
    return utterances, notes


def _labels(name: str, utterances: tuple[Utterance, ...]) -> list[str]:
    if name != "duration":
        return [getattr(u, name) or "" for u in utterances]
    seconds = np.array([u.duration for u in utterances if u.duration])
    if not len(seconds):
        return [""] * len(utterances)
    edges = np.quantile(seconds, [1 / 3, 2 / 3])
    return [
        TERCILES[int(np.searchsorted(edges, u.duration, side="left"))] if u.duration else ""
        for u in utterances
    ]


def _unusable(name: str, truth: list[str]) -> str:
    """Why a label cannot be compared with groups; empty where it can."""
    known = [label for label in truth if label]
    counts = [known.count(label) for label in set(known)]
    if not known:
        return f"no utterance says its {name}"
    if len(counts) < 2:
        return f"all utterances have one {name}"
    if sum(count > 1 for count in counts) < 2:
        return f"fewer than two values of {name} have two utterances"
    return ""


def _features(inputs: Inputs, tap: str, utterances: tuple[Utterance, ...]) -> dict[str, np.ndarray]:
    """Means and deviations over whole tensors, and over what lies before the padding where that differs."""
    capture = inputs.captures[tap]
    whole = pooled(capture, utterances, trim=False)
    cut = pooled(capture, utterances, trim=True)
    features: dict[str, np.ndarray] = {"whole tensors": whole}
    if not np.allclose(whole, cut):
        features["tensors without their padding"] = cut
    return features


def _by_length(seconds: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Groups by the length alone, (utterances,); all -1 where a length is unknown."""
    from sklearn.cluster import KMeans

    distinct = len(np.unique(seconds))
    if not np.isfinite(seconds).all():
        return np.full(len(seconds), -1, dtype=np.int64)
    if distinct <= count:
        return np.unique(seconds, return_inverse=True)[1].astype(np.int64)
    rows = np.log(seconds)[:, None]
    model = KMeans(count, n_init=4, random_state=seed)
    return np.asarray(model.fit_predict(rows), dtype=np.int64)
