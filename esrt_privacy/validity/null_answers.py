"""Answers of attackers that know nothing, drawn by lot: what each attack family's statistics are tried on.

Each null is the hardest that may not be called a leak: the attack is exactly as good as its floor, by luck of another
kind. Speakers differ in everything but what is asked: in how many utterances they gave, in what an attack says of them,
and in how sure of it the attack is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.pauses import FLOORS
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance
from esrt_privacy.captures.store import About
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import CaptureError
from esrt_privacy.measures import simulation
from esrt_privacy.measures.speech_mask import FRAME_SECONDS

TAP = "simulated"
CANDIDATES = 100  # of a recording search
LANGUAGES = 3
FRAMES = 300  # of a mask: 6 s

AnswersOf = Callable[["Crowd", np.random.Generator], Answers]


@dataclass(frozen=True)
class Crowd:
    """Who speaks in a simulated corpus: utterances of speakers, sexes and languages in turn."""

    who: np.ndarray  # (utterances,) number of the speaker
    speakers: int

    @classmethod
    def drawn(cls, speakers: int, rng: np.random.Generator) -> Crowd:
        """With 2 to 12 utterances each."""
        return cls(np.repeat(np.arange(speakers), rng.integers(2, 13, speakers)), speakers)

    @property
    def names(self) -> tuple[str, ...]:
        """(utterances,) speakers by name."""
        return tuple(f"s{n:03d}" for n in self.who)

    @property
    def ids(self) -> tuple[str, ...]:
        """(utterances,)."""
        return tuple(f"u{n:05d}" for n in range(len(self.who)))

    def corpus(self) -> Corpus:
        """The same as a corpus, with two sessions a speaker."""
        rows = tuple(
            CapturedUtterance(
                key,
                Path(f"{key}.wav"),
                speaker=name,
                session=f"{name}-{place % 2}",
                sex="FM"[number % 2],
                duration=3.0,
                corpus=TAP,
                tensor_key=key,
            )
            for place, (key, name, number) in enumerate(
                zip(self.ids, self.names, self.who, strict=True)
            )
        )
        return Corpus(TAP, rows)

    def spread(self, rng: np.random.Generator, deviation: float = 1.0) -> np.ndarray:
        """(utterances,) a normal number of each speaker's own."""
        return deviation * rng.normal(size=self.speakers)[self.who]


@dataclass(frozen=True)
class NoTensors:
    """A store that says what it would hold and holds nothing: simulated answers need no tensors."""

    keyed_by_audio = False

    @property
    def folder(self) -> Path:
        """A name, no place."""
        return Path(TAP)

    @property
    def about(self) -> About:
        """Of nothing."""
        return About(TAP, TAP, hashlib.sha256(TAP.encode()).hexdigest(), (1, 1))

    def __contains__(self, key: str) -> bool:
        return False

    def tensor(self, key: str) -> Tensor:
        """Raises CaptureError."""
        raise CaptureError(f"{TAP}: holds no tensors")


def simulated_capture(corpus: Corpus) -> Capture:
    """What a family's figures ask of a capture beside its tensors."""
    return Capture(corpus, NoTensors())


def speaker(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Trials by enrolment, with voices that say nothing of who speaks (EER 50%)."""
    found = simulation.enrolled_trials(simulation.SpeakerModel(between=0.0), crowd.speakers, rng)
    return Answers(
        {
            "target": found.is_target,
            "same_sex": found.enrol % 2 == found.test % 2,
            "semi-informed": found.scores,
        },
        {
            "enrol": _speakers(found.enrol),
            "test": _speakers(found.test),
            "utterances": tuple(f"u{n}" for n in range(len(found.scores))),
            "heads": ("linear",),
            "trial_list": ("simulated",),
        },
    )


def linkage(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """All pairs of utterances by the same voices, and searches whose hits come by chance, some speakers' more often."""
    found = simulation.all_trials(simulation.SpeakerModel(between=0.0), crowd.speakers, rng)
    arrays = {
        "person.scores": found.scores,
        "person.target": found.is_target,
        "person.duration only": np.full(len(found.scores), np.nan),
    }
    for k in (1, 10):
        chance = k / CANDIDATES
        arrays |= {
            f"search.top-{k}": chance_hits(crowd, chance, rng),
            f"search.top-{k} by chance": np.full(len(crowd.who), chance),
            f"search.top-{k} by duration": np.full(len(crowd.who), np.nan),
        }
    return Answers(
        arrays,
        {
            "person.first": _speakers(found.enrol),
            "person.second": _speakers(found.test),
            "search.speakers": crowd.names,
        },
    )


def chance_hits(crowd: Crowd, chance: float, rng: np.random.Generator) -> np.ndarray:
    """(utterances,) 1 where a search hit: on average by `chance`, of some speakers more often than of others."""
    own = rng.beta(2.0, 2.0 / chance - 2.0, crowd.speakers)[crowd.who]
    return np.asarray(rng.random(len(own)) < own, dtype=np.float64)


def language(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Three languages, two a speaker, guessed by the speaker and by lot; an open set of the same kind."""
    truth = (crowd.who + rng.integers(0, 2, len(crowd.who))) % LANGUAGES
    closed = _label("language", tuple(f"l{n}" for n in range(LANGUAGES)), truth, crowd, rng)
    opened = Answers(
        {
            "open.score": crowd.spread(rng) + rng.normal(size=len(crowd.who)),
            "open.known": crowd.who % LANGUAGES > 0,
        },
        {"open.ids": crowd.ids, "open.speakers": crowd.names, "open.left_out": ("l0",)},
    )
    return Answers({**closed.arrays, **opened.arrays}, {**closed.rows, **opened.rows})


def attributes(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Sex, one a speaker, guessed mostly alike for all of a speaker's utterances."""
    return _label("sex", ("F", "M"), crowd.who % 2, crowd, rng)


def duration(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Seconds as wrong as the median's, and masks of speech as wrong as the floors'."""
    median = 4.0
    truth = median + _seconds_off(crowd, rng)
    frames = np.full(len(crowd.who), FRAMES)
    starts, ends = _margins(crowd, rng)
    masks = {"truth": _masks(starts, ends)}
    for name in ("attack", *FLOORS):
        off = [_frames_off(crowd, rng) for _ in range(2)]
        masks[name] = _masks(starts + off[0], ends + off[1])
    return Answers(
        {
            "duration.truth": truth,
            "duration.predicted": truth + _seconds_off(crowd, rng),
            "duration.median": np.full(len(truth), median),
            **{f"pauses.{name}": table for name, table in masks.items()},
            "pauses.frames": frames,
        },
        {
            "duration.ids": crowd.ids,
            "duration.speakers": crowd.names,
            "duration.heads": ("linear",),
            "pauses.ids": crowd.ids,
            "pauses.speakers": crowd.names,
            "pauses.readers": ("linear",),
        },
    )


def structure(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Groups that know nothing of the label they are compared with; of the voice, where that is not asked for."""
    count = len(crowd.who)
    third = max(2, crowd.speakers // 3)
    truths = {
        "speaker": crowd.names,
        "language": tuple(f"l{n % LANGUAGES}" for n in crowd.who),
        "duration": tuple(("short", "middle", "long")[n] for n in rng.integers(0, 3, count)),
        "sex": tuple("FM"[n % 2] for n in crowd.who),
    }
    groups = {"speaker": third, "language": LANGUAGES, "duration": 3, "sex": 2}
    arrays: dict[str, np.ndarray] = {}
    rows: dict[str, tuple[str, ...]] = {"ids": crowd.ids, "speakers": crowd.names}
    for name, truth in truths.items():
        home = rng.integers(0, groups[name], crowd.speakers)[crowd.who]
        away = rng.integers(0, groups[name], count)
        at_home = rng.random(count) < (0.0 if name == "speaker" else 0.7)
        arrays |= {
            f"{name}.clusters": np.where(at_home, home, away),
            f"{name}.stability": np.array([1.0]),
            f"{name}.duration_only": np.full(count, -1),
        }
        rows |= {f"{name}.truth": truth, f"{name}.method": ("k-means",)}
    return Answers(arrays, rows)


def reading(crowd: Crowd, rng: np.random.Generator) -> Answers:
    """Transcripts as wrong as those of another utterance, some speakers' more than others'."""
    words = rng.integers(3, 15, len(crowd.who))
    rates = 1 / (1 + np.exp(-(1.0 + crowd.spread(rng, 0.7))))
    wrong = [rng.binomial(words, rates).astype(np.float64) for _ in range(2)]
    return Answers(
        {"errors": wrong[0], "words": words.astype(np.float64), "another": wrong[1]},
        {"ids": crowd.ids, "speakers": crowd.names, "heard": ("",) * len(words)},
    )


NULLS: Mapping[str, AnswersOf] = {
    "speaker": speaker,
    "linkage": linkage,
    "language": language,
    "duration": duration,
    "attributes": attributes,
    "structure": structure,
    "reading": reading,
}


def _speakers(numbers: np.ndarray) -> tuple[str, ...]:
    return tuple(f"s{n:03d}" for n in numbers)


def _label(
    name: str,
    classes: Sequence[str],
    truth: np.ndarray,
    crowd: Crowd,
    rng: np.random.Generator,
) -> Answers:
    size = (len(truth), len(classes))
    logits = rng.normal(size=(crowd.speakers, len(classes)))[crowd.who] + 0.5 * rng.normal(
        size=size
    )
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Answers(
        {f"{name}.log_probabilities": logs, f"{name}.curve": np.zeros((0, 3))},
        {
            f"{name}.ids": crowd.ids,
            f"{name}.truth": tuple(classes[n] for n in truth),
            f"{name}.speakers": crowd.names,
            f"{name}.classes": tuple(classes),
            f"{name}.heads": ("linear",),
            f"{name}.notes": (),
        },
    )


def _seconds_off(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    """(utterances,) seconds to either side, some speakers further off than others."""
    scale = 0.3 * np.exp(crowd.spread(rng, 0.4))
    return np.clip(scale * rng.normal(size=len(crowd.who)), -2.5, 2.5)


def _frames_off(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    return np.round(_seconds_off(crowd, rng) / FRAME_SECONDS / 3).astype(int)


def _margins(crowd: Crowd, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    count = len(crowd.who)
    return rng.integers(50, 80, count), rng.integers(FRAMES - 80, FRAMES - 50, count)


def _masks(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(utterances, FRAMES) 1 from start to end."""
    place = np.arange(FRAMES)
    return ((place >= starts[:, None]) & (place < ends[:, None])).astype(np.uint8)
