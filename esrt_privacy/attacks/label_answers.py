"""Reading a label (a language, a sex, an accent ...) off tensors, cross-fitted over speakers.

The heads are trained on each fold, the best on the fold's development speakers counts, and floors that never see the
tensors answer for the same utterances from the same training utterances.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.folds import Fold, make_folds
from esrt_privacy.attacks.heads import TrainedHead, train_head
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.label_controls import CONTROLS, spread_over
from esrt_privacy.attacks.sequences import readable
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.corpora.split import speaker_key
from esrt_privacy.errors import AttackError
from esrt_privacy.measures.classification import balanced_cross_entropy
from esrt_privacy.progress import Reporter, silent

# Not the sequence network of the speaker attack: it costs more, and is for finer differences than these.
TRIED = ("linear", "attentive")
LEAST_UNITS = 2  # people or sessions of a value: one to learn from and one to answer for
MOST_CLASSES = 200
TEMPERATURES = tuple(2.0**k for k in np.arange(-1.0, 4.5, 0.5))  # above 1: less sure

Label = Callable[[Utterance], str | None]


@dataclass(frozen=True)
class Question:
    """A label, and the floors that could give it away without a tensor (names of CONTROLS)."""

    name: str
    label: Label = field(repr=False)
    controls: tuple[str, ...] = tuple(CONTROLS)


@dataclass(frozen=True)
class Labelled:
    """The utterances that the question can be put to: values with fewer than two people are left out."""

    test: Corpus
    training: Corpus | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def labelled(inputs: Inputs, capture: Capture, question: Question) -> Labelled:
    """What of the inputs carries the label in at least two people or sessions a value, test and training together.

    Raises AttackError, in one line, for a label that is missing, never varies, or that nobody shares.
    """
    test, notes = readable(capture, _with_label(inputs.test, question))
    training: tuple[Utterance, ...] = ()
    if inputs.training is not None:
        training, more = readable(capture, _with_label(inputs.training, question))
        notes = (*notes, *more)
    name, label = question.name, question.label
    if not test:
        raise AttackError(f"{inputs.test.name}: no utterance says its {name}; add that label")
    units: dict[str, set[str]] = defaultdict(set)
    for u in (*test, *training):
        units[str(label(u))].add(speaker_key(u))
    asked = {str(label(u)) for u in test}
    if len(asked) < 2:
        raise AttackError(
            f"{inputs.test.name}: all test utterances have one {name}; give a corpus in which it varies"
        )
    classes = tuple(sorted(value for value in asked if len(units[value]) >= LEAST_UNITS))
    if len(classes) < 2:
        raise AttackError(
            f"{inputs.test.name}: {len(asked)} values of {name}, but fewer than two of them have two speakers or"
            " sessions, one to learn from and one to answer for; give more people"
        )
    if len(classes) > MOST_CLASSES:
        raise AttackError(
            f"{inputs.test.name}: {len(classes)} values of {name}, at most {MOST_CLASSES} are told apart;"
            " join some of them"
        )
    left_out = sorted(asked - set(classes))
    if left_out:
        shown = ", ".join(left_out[:5]) + (" ..." if len(left_out) > 5 else "")
        notes = (*notes, f"left out {len(left_out)} values of {name} with one speaker: {shown}")

    def kept(utterances: Sequence[Utterance]) -> tuple[Utterance, ...]:
        return tuple(u for u in utterances if label(u) in classes)

    return Labelled(
        replace(inputs.test, utterances=kept(test)),
        None if inputs.training is None else replace(inputs.training, utterances=kept(training)),
        classes,
        notes,
    )


def measure_label(
    inputs: Inputs,
    capture: Capture,
    seed: int,
    question: Question,
    report: Reporter = silent,
    tried: Sequence[str] | None = None,
) -> Answers:
    """Answer for every test utterance at one tap, from its `remembered` capture, by the heads of `tried` (None: TRIED).

    Answers hold `<name>.log_probabilities` (utterances, classes), as if all classes were equally likely;
    `<name>.<floor>` the same by a floor, nan where it cannot answer; `<name>.curve` (rows, 3):
    fold, training steps, development error in nats; and the rows `<name>.ids`, `.truth`, `.speakers`, `.classes`,
    `.heads` (one a fold) and `.notes`. Errors as `labelled`, and AttackError where nobody is left to learn from.
    """
    material, tap = labelled(inputs, capture, question), capture.tap
    folds = make_folds(material.test, material.training, inputs.folds, seed)
    place = {u.id: i for i, u in enumerate(material.test)}
    count, classes = len(material.test), material.classes
    logs = np.full((count, len(classes)), np.nan, dtype=np.float32)
    floors = {name: np.full_like(logs, np.nan) for name in question.controls}
    curve: list[tuple[float, float, float]] = []
    heads, notes = [], [*material.notes]
    for number, fold in enumerate(folds):
        report(f"{question.name} at {tap}", number, len(folds))
        rows = [place[u.id] for u in fold.test]
        reader = train_reader(
            capture, fold, question.label, seed, inputs.budget, report, tried or TRIED
        )
        logs[rows] = reader.balanced_logs(capture, fold.test, classes)
        heads.append(reader.name)
        # The linear head is solved in one step: its only point is no curve.
        curve += [
            (number, *p) for head in reader.heads if head.name != "linear" for p in head.curve
        ]
        learnt = (*fold.training, *fold.development)
        labels = [str(question.label(u)) for u in learnt]
        for name, answer in floors.items():
            guesses = CONTROLS[name](learnt, labels, fold.test, classes)
            if guesses is not None:
                answer[rows] = guesses
        notes += [note for note in fold.notes if note not in notes]
    report(f"{question.name} at {tap}", len(folds), len(folds))
    silent_floors = [name for name, answer in floors.items() if np.isnan(answer).any()]
    notes += [
        f"the floor '{name}' is left out: not every utterance has what it needs"
        for name in silent_floors
    ]
    prefix = question.name
    return Answers(
        {
            f"{prefix}.log_probabilities": logs,
            **{f"{prefix}.{name}": answer for name, answer in floors.items()},
            f"{prefix}.curve": np.array(curve, dtype=np.float64).reshape(-1, 3),
        },
        {
            f"{prefix}.ids": tuple(u.id for u in material.test),
            f"{prefix}.truth": tuple(str(question.label(u)) for u in material.test),
            f"{prefix}.speakers": tuple(speakers_of(material.test)),
            f"{prefix}.classes": classes,
            f"{prefix}.heads": tuple(heads),
            f"{prefix}.notes": tuple(notes),
        },
    )


@dataclass(frozen=True)
class Reader:
    """Trained heads of one fold whose probabilities are averaged.

    `priors` say how often each class was met in training, `temperature` how sure of themselves the heads may be.
    """

    heads: tuple[TrainedHead, ...] = field(repr=False)
    priors: Mapping[str, float]
    temperature: float = 1.0

    @property
    def name(self) -> str:
        """Of its heads."""
        return " + ".join(head.name for head in self.heads)

    def balanced_logs(
        self, capture: Capture, utterances: Sequence[Utterance], classes: Sequence[str]
    ) -> np.ndarray:
        """(utterances, classes): log probabilities as if every class were equally likely.

        A class that was never met in training is as good as impossible.
        """
        logs = self.known_logs(capture, utterances)
        return spread_over(classes, _cooled(logs, self.temperature), self.heads[0].classes)

    def known_logs(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """The same for the classes that training met, before the temperature."""
        prior = np.log([self.priors[name] for name in self.heads[0].classes])
        total = np.full((len(utterances), len(prior)), -np.inf)
        for head in self.heads:
            logs = head.log_probabilities(capture, utterances) - prior
            total = np.logaddexp(total, _cooled(logs, 1.0))
        return total


def train_reader(
    capture: Capture,
    fold: Fold,
    label: Label,
    seed: int,
    budget: float,
    report: Reporter = silent,
    tried: Sequence[str] = TRIED,
) -> Reader:
    """The heads of `tried`, or their average, whichever errs least on the development utterances.

    The development utterances set its temperature too (Guo et al., "On Calibration of Modern Neural Networks", ICML
    2017, arXiv:1706.04599). Without any, the average. Raises AttackError where the training utterances have one value.
    """
    labels = [str(label(u)) for u in fold.training]
    watched = [u for u in fold.development if str(label(u)) in set(labels)]
    truth = [str(label(u)) for u in watched]
    values, counts = np.unique(labels, return_counts=True)
    priors = dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True))
    heads = [
        train_head(
            name, capture, fold.training, labels, watched, truth, "classes", seed, budget, report
        )
        for name in tried
    ]
    joined = Reader(tuple(heads), priors)
    if not watched:
        return joined
    candidates = [*(Reader((head,), priors) for head in heads), joined]
    tempered = [_tempered(reader, capture, watched, truth) for reader in candidates]
    return min(tempered, key=lambda pair: pair[1])[0]


def _tempered(
    reader: Reader, capture: Capture, watched: Sequence[Utterance], truth: Sequence[str]
) -> tuple[Reader, float]:
    """The reader at its best temperature, and its error there."""
    classes = reader.heads[0].classes
    logs = reader.known_logs(capture, watched)
    errors = [
        balanced_cross_entropy(spread_over(classes, _cooled(logs, t), classes), truth, classes)
        for t in TEMPERATURES
    ]
    best = int(np.argmin(errors))
    return replace(reader, temperature=TEMPERATURES[best]), errors[best]


def _with_label(corpus: Corpus, question: Question) -> list[Utterance]:
    return [u for u in corpus if question.label(u)]


def _cooled(logs: np.ndarray, temperature: float) -> np.ndarray:
    from scipy.special import log_softmax

    return np.asarray(log_softmax(logs / temperature, axis=1))
