"""Whose voice comes back: reconstructions against real recordings of the same and of other speakers, by GE2E."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from esrt_privacy.attacks.base import SEMI_INFORMED, Evidence, decide
from esrt_privacy.attacks.hearing import Judge, Judgement
from esrt_privacy.attacks.reconstruction import CONTROL_TAP, Outcome, Reconstruction
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AudioError
from esrt_privacy.findings import Direction, Finding, Interval
from esrt_privacy.measures.intervals import Estimate, paired_difference, speaker_bootstrap_ratio
from esrt_privacy.measures.verification import eer_speaker_bootstrap
from esrt_privacy.progress import Reporter, silent

ENROLMENT_UTTERANCES = 3
SYNTHETIC_CORPORA = ("demo", "synth-train", "synth-test")
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

    def model(self, speaker: str, without: str) -> Vector | None:
        """The mean voice of a speaker from recordings other than `without`."""
        rows = [v for key, v in self.enrolment.get(speaker, {}).items() if key != without]
        return None if not rows else np.mean(rows[:ENROLMENT_UTTERANCES], axis=0)

    def scores(
        self, utterances: list[Utterance], judgements: Mapping[str, Judgement]
    ) -> Iterator[tuple[float, bool, str, str]]:
        """(cosine, target, enrolled speaker, tested speaker) of every trial; same sex where it is known."""
        for u in utterances:
            judgement = judgements.get(u.id)
            if u.speaker is None or judgement is None or judgement.embedding is None:
                continue
            voice = np.array(judgement.embedding)
            for speaker in self.enrolment:
                if self.sex.get(speaker) != self.sex.get(u.speaker):
                    continue
                model = self.model(speaker, u.id)
                if model is not None:
                    score = float(voice @ model / np.linalg.norm(model))
                    yield score, speaker == u.speaker, speaker, u.speaker


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
    corpora = {u.corpus for u in test}
    sessions = {(u.speaker, u.session) for u in full if u.speaker in wanted}
    return SpeakerTrials(
        enrolment,
        sex,
        synthetic=bool(corpora & set(SYNTHETIC_CORPORA)),
        few_recordings=len(sessions) <= len(wanted),
    )


def speaker_drafts(
    trials: SpeakerTrials | None,
    outcome: Outcome,
    tap: str,
    result: Reconstruction,
    another: dict[str, Judgement],
    control_state: tuple[bool | None, str, str],
    seed: int,
) -> Iterator[tuple[Callable[[Evidence], Finding], Callable[[float], Estimate | None]]]:
    """Speaker cosine and EER of the reconstructions, each with what decides its verdict."""
    if trials is None:
        return
    utterances = list(outcome.corpus)
    control = outcome.taps.get(CONTROL_TAP)
    sets = {"own": result.at_true_length, "ceiling": outcome.ceiling, "another": another}
    if control is not None and tap != CONTROL_TAP:
        sets["control"] = control.at_true_length
    cosines = {name: _cosines(trials, utterances, rows) for name, rows in sets.items() if rows}
    clusters = [u.speaker or f"?{u.id}" for u in utterances]
    ones = [1.0] * len(utterances)
    cosine = {
        name: speaker_bootstrap_ratio(values, ones, clusters, np.random.default_rng([seed, 2]))
        for name, values in cosines.items()
    }

    def cosine_difference(level: float) -> Estimate | None:
        if "another" not in cosines:
            return None
        rng = np.random.default_rng([seed, 3])
        sides = (cosines["own"], ones, cosines["another"], ones)
        return paired_difference(*sides, clusters, rng, level=level)

    yield (
        _finding(
            "speaker cosine",
            "higher",
            1.0,
            "",
            cosine,
            trials,
            outcome,
            tap,
            result,
            control_state,
            {"another utterance": cosine["another"]} if "another" in cosine else {},
        ),
        cosine_difference,
    )
    eers = {name: _eer(trials, utterances, rows, seed) for name, rows in sets.items() if rows}
    floors = {"chance": Estimate(0.5, 0.5, 0.5, len(trials.enrolment), "by definition")}
    if "another" in eers:
        floors["another utterance"] = eers["another"]

    def eer_difference(level: float) -> Estimate | None:
        estimate = _eer(trials, utterances, sets["own"], seed, level)
        return Estimate(
            0.5 - estimate.value,
            0.5 - estimate.high,
            0.5 - estimate.low,
            estimate.n,
            estimate.method,
        )

    yield (
        _finding(
            "speaker EER",
            "lower",
            100.0,
            "%",
            eers,
            trials,
            outcome,
            tap,
            result,
            control_state,
            floors,
        ),
        eer_difference,
    )


def _finding(
    metric: str,
    leaks_when: Direction,
    scale: float,
    unit: str,
    estimates: Mapping[str, Estimate],
    trials: SpeakerTrials,
    outcome: Outcome,
    tap: str,
    result: Reconstruction,
    control_state: tuple[bool | None, str, str],
    floors: Mapping[str, Estimate],
) -> Callable[[Evidence], Finding]:
    passed, words, rule = control_state
    has_control = "control" in estimates
    notes = [
        "GE2E against up to three real recordings of each speaker; same-sex trials where the sex is known"
    ]
    if trials.few_recordings:
        notes.append(
            "one session a speaker: room and microphone may betray a speaker too, not only the voice"
        )

    def finding(evidence: Evidence) -> Finding:
        scaled = Evidence(*(None if v is None else v * scale for v in _values(evidence)))
        verdict, reason = decide(metric, scaled, passed, words)
        if trials.synthetic and verdict in ("leaks", "not detected"):
            verdict = "inconclusive"
            reason = f"synthetic voices are no population, so no verdict rests on them ({reason})"
        return Finding(
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
            floors={name: Interval.of(e, scale) for name, e in floors.items()},
            ceiling=Interval.of(estimates["ceiling"], scale),
            ceiling_name="Griffin-Lim from the true mel",
            control=Interval.of(estimates["control"], scale) if has_control else None,
            control_name="transparent tensor" if has_control else "",
            control_rule=rule if has_control else "",
            control_passed=bool(passed) if has_control else None,
            verdict=verdict,
            reason=f"{outcome.system.name} at {tap}, {metric}: {reason}",
            utterances=len(outcome.corpus),
            speakers=len(trials.enrolment),
            seeds=(result.attacker.seed,),
            notes=tuple(notes),
        )

    return finding


def _values(evidence: Evidence) -> tuple[float | None, ...]:
    return evidence.difference, evidence.low, evidence.high, evidence.corrected_low


def _cosines(
    trials: SpeakerTrials, utterances: list[Utterance], judgements: Mapping[str, Judgement]
) -> list[float]:
    """Each utterance's cosine to its own speaker's real voice; nan where there is none."""
    values = []
    for u in utterances:
        rows = [s for s, is_target, _, _ in trials.scores([u], judgements) if is_target]
        values.append(rows[0] if rows else float("nan"))
    return values


def _eer(
    trials: SpeakerTrials,
    utterances: list[Utterance],
    judgements: Mapping[str, Judgement],
    seed: int,
    level: float = 0.95,
) -> Estimate:
    rows = list(trials.scores(utterances, judgements))
    if not any(r[1] for r in rows) or all(r[1] for r in rows):
        return Estimate(
            float("nan"), float("nan"), float("nan"), 0, "undefined: no trials of both kinds"
        )
    scores, targets, enrolled, tested = (list(column) for column in zip(*rows, strict=True))
    rng = np.random.default_rng([seed, 4])
    return eer_speaker_bootstrap(scores, targets, enrolled, tested, rng, level=level)
