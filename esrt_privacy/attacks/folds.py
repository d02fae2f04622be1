"""Cross-fitting: every test utterance is answered by an attacker that never met its speaker.

The test speakers are dealt into folds. The attacker of a fold learns from the speakers of the other folds and from the
training corpus, keeps some of them apart for development, and answers for its own fold only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from esrt_privacy.attacks.attackers import without
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.split import sentence_key, speaker_key
from esrt_privacy.errors import AttackError

DEVELOPMENT_SHARE = 0.2  # of the training units
LEAST_LEFT = 0.5  # of the training utterances must remain without the test sentences

Unit = Callable[[Utterance], str]


@dataclass(frozen=True)
class Fold:
    """Utterances to learn from, to choose by, and to answer for; no unit is in two of them."""

    training: tuple[Utterance, ...]
    development: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


def make_folds(
    test: Corpus, training: Corpus | None, count: int, seed: int, unit: Unit = speaker_key
) -> tuple[Fold, ...]:
    """Deal the test utterances into `min(count, units)` folds by `unit`, by default the speaker.

    Units are dealt language by language and sex by sex, so that each fold holds some of each. A fold's attacker meets
    no unit, no speaker and no recording of its test part, nor its sentences where texts are known and half of the
    utterances remain without them; else a note says so. A fifth of its units, at least one, are development. The same
    corpora and seed give the same folds in whatever order the utterances come.

    Raises AttackError where some fold would have nobody to learn from: one unit and no training corpus.
    """
    units = _grouped(test, unit)
    if not units:
        raise AttackError(f"{test.name}: no utterance to attack; give a corpus with recordings")
    folds = max(1, min(count, len(units)))
    if folds == 1 and not (training is not None and len(training)):
        raise AttackError(
            f"{test.name}: one speaker and no training corpus, so nobody is left to learn from;"
            " give more speakers or a --train-corpus"
        )
    dealt: list[list[Utterance]] = [[] for _ in range(folds)]
    for place, key in enumerate(_dealing_order(units, seed)):
        dealt[place % folds] += units[key]
    order = {u.id: place for place, u in enumerate(test)}
    made = []
    for number, part in enumerate(dealt):
        part.sort(key=lambda u: order[u.id])
        held = {u.id for u in part}
        pool = [*(training or ()), *(u for u in test if u.id not in held)]
        made.append(_fold(part, pool, test.name, f"{seed}|{number}", unit))
    return tuple(made)


def _fold(part: list[Utterance], pool: list[Utterance], name: str, salt: str, unit: Unit) -> Fold:
    held = {unit(u) for u in part}
    pool = [u for u in pool if unit(u) not in held]
    # Without the sentences first; where that takes too much, only the people are kept apart.
    strict = without(Corpus(name, tuple(pool)), Corpus(name, tuple(part))).utterances
    met = _silenced(part)
    kept = without(Corpus(name, tuple(pool)), Corpus(name, met)).utterances
    notes: tuple[str, ...] = ()
    if len(strict) >= LEAST_LEFT * len(kept):
        kept = strict
    else:
        said = {sentence_key(u.text) for u in part} - {None}
        shared = sum(sentence_key(u.text) in said for u in kept)
        notes = (
            f"{shared} of {len(kept)} training utterances say a sentence of the test part: leaving them out would"
            " have left too few",
        )
    if not kept:
        raise AttackError(
            f"{name}: nobody is left to learn from beside the test speakers; give a --train-corpus"
        )
    chosen = _development_units(_grouped(kept, unit), salt)
    return Fold(
        training=tuple(u for u in kept if unit(u) not in chosen),
        development=tuple(u for u in kept if unit(u) in chosen),
        test=tuple(part),
        notes=notes,
    )


def _silenced(part: Iterable[Utterance]) -> tuple[Utterance, ...]:
    """The same recordings without what was said."""
    return tuple(replace(u, text=None) for u in part)


def _development_units(units: Mapping[str, list[Utterance]], salt: str) -> set[str]:
    """A fifth of the units, of each language and sex in turn; none where there is only one."""
    if len(units) < 2:
        return set()
    count = max(1, round(DEVELOPMENT_SHARE * len(units)))
    order = _dealing_order(units, f"development|{salt}")
    # Every so many, so that the strata, which lie one behind another, are all met.
    return {order[int((place + 0.5) * len(order) / count)] for place in range(count)}


def _dealing_order(units: Mapping[str, list[Utterance]], seed: int | str) -> list[str]:
    """Units stratum by stratum (corpus, language, sex), within each by hash."""

    def stratum(key: str) -> tuple[str, str, str]:
        first = units[key][0]
        return (first.corpus or "", first.language or "", first.sex or "")

    return sorted(units, key=lambda key: (stratum(key), _hash(f"{seed}|unit|{key}")))


def _grouped(utterances: Iterable[Utterance], unit: Unit) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        groups[unit(u)].append(u)
    return dict(groups)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
