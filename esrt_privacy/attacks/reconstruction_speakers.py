"""Whose voice comes back: reconstructions against real recordings of the same and of other speakers, by GE2E."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.base import SEMI_INFORMED
from esrt_privacy.attacks.comparisons import Comparison, EerComparison, RatioComparison
from esrt_privacy.attacks.confounds import NO_POPULATION, synthetic_voices
from esrt_privacy.attacks.drafts import UNDECIDED, Draft
from esrt_privacy.attacks.hearing import Judge, Judgement
from esrt_privacy.attacks.reconstruction import CONTROL_TAP, Outcome, Reconstruction
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AudioError
from esrt_privacy.findings import Direction, Finding, Interval
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.verification import eer_speaker_bootstrap
from esrt_privacy.progress import Reporter, silent

ENROLMENT_UTTERANCES = 3
ANOTHER = "another utterance"
Vector = np.ndarray


@dataclass(frozen=True)
class SpeakerTrials:
    """Real enrolment: for each test utterance the voices of its speaker and of others, without itself.

    `same_sex` trials are the headline where the corpus says the sex; `synthetic` voices are no population.
    """

    enrolment: Mapping[str, Mapping[str, Vector]]  # speaker -> {utterance id: embedding}
    sex: Mapping[str, str | None]
    synthetic: bool
    few_recordings: bool  # one session a speaker: room and microphone give a speaker away too

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        notes = [
            "GE2E against up to three real recordings of each speaker; same-sex trials where the sex is known"
        ]
        if self.few_recordings:
            notes.append(
                "one session a speaker: room and microphone may betray a speaker too, not only the voice"
            )
        return tuple(notes)

    def model(self, speaker: str, without: str) -> Vector | None:
        """The mean voice of a speaker from recordings other than `without`."""
        rows = [v for key, v in self.enrolment.get(speaker, {}).items() if key != without]
        return None if not rows else np.mean(rows[:ENROLMENT_UTTERANCES], axis=0)

    def scores(
        self, utterances: list[Utterance], judgements: Mapping[str, Judgement]
    ) -> Iterator[tuple[float, bool, str, str, str]]:
        """(cosine, target, enrolled and tested speaker, utterance) of every trial; same sex where it is known.

        Which trials there are does not depend on `judgements`: a cosine is nan where no voice came back.
        """
        for u in utterances:
            if u.speaker is None:
                continue
            judgement = judgements.get(u.id)
            heard = None if judgement is None else judgement.embedding
            voice = None if heard is None else np.array(heard)
            for speaker in self.enrolment:
                if self.sex.get(speaker) != self.sex.get(u.speaker):
                    continue
                model = self.model(speaker, u.id)
                if model is None:
                    continue
                score = np.nan if voice is None else float(voice @ model / np.linalg.norm(model))
                yield score, speaker == u.speaker, speaker, u.speaker, u.id


def enrol(
    full: Corpus, test: Corpus, judge: Judge, report: Reporter = silent
) -> SpeakerTrials | None:
    """Real recordings of the test speakers; None with fewer than two speakers that have two recordings."""
    wanted = {u.speaker for u in test if u.speaker}
    by_speaker: dict[str, list[Utterance]] = {}
    for u in full:
        if u.speaker in wanted:
            by_speaker.setdefault(str(u.speaker), []).append(u)
    by_speaker = {s: rows for s, rows in by_speaker.items() if len(rows) >= 2}
    if len(by_speaker) < 2:
        return None
    enrolment: dict[str, dict[str, Vector]] = {}
    for done, (speaker, rows) in enumerate(sorted(by_speaker.items())):
        enrolment[speaker] = {}
        # One more than is used, since the tested utterance itself is left out.
        for u in rows[: ENROLMENT_UTTERANCES + 1]:
            try:
                vector = judge.embedding(u.waveform())
            except AudioError:
                continue  # named by the capture's notes already
            if vector is not None:
                enrolment[speaker][u.id] = np.array(vector)
        report("enrolling speakers", done + 1, len(by_speaker))
    sex = {s: rows[0].sex for s, rows in by_speaker.items()}
    sessions = {(u.speaker, u.session) for u in full if u.speaker in wanted}
    return SpeakerTrials(
        enrolment,
        sex,
        synthetic=bool(synthetic_voices(test)),
        few_recordings=len(sessions) <= len(wanted),
    )


@dataclass(frozen=True)
class ControlState:
    """Whether the reconstruction's positive control passed (None: not run), what it reached, and the rule.

    `passes_itself` says whether the attack passes the rule at the tap under audit.
    """

    passed: bool | None
    words: str
    rule: str
    passes_itself: bool


def speaker_drafts(
    trials: SpeakerTrials,
    outcome: Outcome,
    tap: str,
    result: Reconstruction,
    another: dict[str, Judgement],
    control_state: ControlState,
    seed: int,
) -> list[Draft]:
    """Speaker cosine and EER of the reconstructions."""
    utterances = list(outcome.corpus)
    control = outcome.taps.get(CONTROL_TAP) if tap != CONTROL_TAP else None
    heard = {
        "own": result.at_true_length,
        "ceiling": outcome.ceiling,
        ANOTHER: another,
        "control": {} if control is None else control.at_true_length,
    }
    scored = {
        name: _Scored.of(trials.scores(utterances, rows)) for name, rows in heard.items() if rows
    }
    own, floor = scored["own"], scored.get(ANOTHER)

    def draft(
        metric: str,
        leaks_when: Direction,
        unit: str,
        estimates: Mapping[str, Estimate],
        comparisons: list[Comparison],
    ) -> Draft:
        scale = 100.0 if unit == "%" else 1.0
        has_control = "control" in estimates
        finding = Finding(
            id=f"reconstruction.{tap.replace('.', '-')}.{metric.lower().replace(' ', '-')}",
            question=f"Speech reconstructed from {tap} of {outcome.system.name}: whose voice is it?",
            system=outcome.system.name,
            system_fingerprint=result.attacker.tap_fingerprint,
            corpus=outcome.corpus.name,
            tap=tap,
            attacker=SEMI_INFORMED.name,
            position=SEMI_INFORMED.position,
            attack="reconstruction",
            metric=metric,
            unit=unit,
            leaks_when=leaks_when,
            estimate=Interval.of(estimates["own"], scale),
            floors={c.floor: Interval.of(estimates[c.floor], scale) for c in comparisons},
            ceiling=Interval.of(estimates["ceiling"], scale),
            ceiling_name="Griffin-Lim from the true mel",
            control=Interval.of(estimates["control"], scale) if has_control else None,
            control_name="transparent tensor" if has_control else "",
            control_rule=control_state.rule if has_control else "",
            control_passed=bool(control_state.passed) if has_control else None,
            verdict="untested",
            reason=UNDECIDED,
            utterances=len(utterances),
            speakers=len(trials.enrolment),
            seeds=(result.attacker.seed,),
            notes=trials.notes,
        )
        caution = NO_POPULATION if trials.synthetic else ""
        return Draft(
            finding,
            tuple(comparisons),
            scale,
            seed,
            control_state.passed,
            control_state.words,
            caution,
            control_state.passes_itself,
        )

    clusters = speakers_of(utterances)
    ones = [1.0] * len(utterances)
    cosines = {name: rows.target_scores(utterances) for name, rows in scored.items()}
    cosine = {
        name: speaker_bootstrap_ratio(values, ones, clusters, np.random.default_rng([seed, 2]))
        for name, values in cosines.items()
    }
    eer = {name: rows.eer(np.random.default_rng([seed, 4])) for name, rows in scored.items()}
    eer["chance"] = Estimate(0.5, 0.5, 0.5, len(trials.enrolment), "by definition")

    against_cosines: list[Comparison] = []
    against_eers: list[Comparison] = [
        EerComparison("chance", own.scores, None, own.targets, own.enrolled, own.tested)
    ]
    if floor is not None:
        sides = (cosines["own"], ones), (cosines[ANOTHER], ones)
        against_cosines.append(RatioComparison(ANOTHER, *sides, clusters))
        against_eers.append(
            EerComparison(ANOTHER, own.scores, floor.scores, own.targets, own.enrolled, own.tested)
        )
    return [
        draft("speaker cosine", "higher", "", cosine, against_cosines),
        draft("speaker EER", "lower", "%", eer, against_eers),
    ]


@dataclass(frozen=True)
class _Scored:
    """Every trial's cosine, the same trials in the same order whoever is heard; nan without a voice."""

    scores: list[float]
    targets: list[bool]
    enrolled: list[str]
    tested: list[str]
    utterances: list[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[float, bool, str, str, str]]) -> _Scored:
        columns = list(zip(*rows, strict=True)) or [()] * 5
        return cls(*(list(column) for column in columns))

    def target_scores(self, utterances: list[Utterance]) -> list[float]:
        """Each utterance's cosine to its own speaker's real voice; nan where there is none."""
        trials = zip(self.utterances, self.scores, self.targets, strict=True)
        own = {key: score for key, score, is_target in trials if is_target}
        return [own.get(u.id, float("nan")) for u in utterances]

    def eer(self, rng: np.random.Generator) -> Estimate:
        """Over speakers; see `measures.verification`."""
        return eer_speaker_bootstrap(self.scores, self.targets, self.enrolled, self.tested, rng)
