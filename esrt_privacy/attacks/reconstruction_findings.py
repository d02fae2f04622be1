"""From judgements to figures: intervals over speakers, floors, ceiling and control, with what a verdict rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from esrt_privacy.attacks.base import SEMI_INFORMED, leakage_sign
from esrt_privacy.attacks.comparisons import Column, RatioComparison
from esrt_privacy.attacks.drafts import UNDECIDED, Draft, judged
from esrt_privacy.attacks.hearing import Judgement
from esrt_privacy.attacks.inverter_training import frames_of
from esrt_privacy.attacks.reconstruction import CONTROL_TAP, Outcome, Reconstruction
from esrt_privacy.attacks.reconstruction_speakers import ControlState, SpeakerTrials, speaker_drafts
from esrt_privacy.attacks.training_curves import last_quarter_falls
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.findings import BudgetPoint, Direction, Finding, Interval
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio

CONTROL_NAME = "transparent tensor"
CONTROL_RULE = "WER at most 40% and STOI at least 0.70 at true length"
CONTROL_RULE_WITHOUT_WORDS = (
    "STOI at least 0.70 at true length (no English with texts to count words)"
)
MOST_CONTROL_WER = 0.40
LEAST_CONTROL_STOI = 0.70
CEILING_NAME = "Griffin-Lim from the true mel"
# A floor that is defined for a smaller share of the attack's utterances is a mean over a few odd ones.
LEAST_FLOOR_SHARE = 0.5


@dataclass(frozen=True)
class Metric:
    """One measure of a reconstruction, as a ratio of sums over utterances."""

    name: str
    slug: str
    unit: str
    leaks_when: Direction
    question: str
    read: Callable[[Judgement, Utterance], tuple[float, float]]
    scale: float = 1.0


def _value(name: str) -> Callable[[Judgement, Utterance], tuple[float, float]]:
    return lambda judgement, _: (float(getattr(judgement, name)), 1.0)


def _words(judgement: Judgement, _: Utterance) -> tuple[float, float]:
    if judgement.word_errors is None or not judgement.words:
        return float("nan"), 1.0
    return float(judgement.word_errors), float(judgement.words)


def _length(judgement: Judgement, utterance: Utterance) -> tuple[float, float]:
    true = frames_of(utterance) / 100
    return abs(judgement.seconds - true) / true, 1.0


# In the order in which they matter: words first, likeness of the spectrum last.
METRICS = (
    Metric("WER", "wer", "%", "lower", "Can a recogniser read the words off it?", _words, 100.0),
    Metric("STOI", "stoi", "", "higher", "Is it intelligible, by STOI?", _value("stoi")),
    Metric(
        "envelope correlation",
        "envelope-correlation",
        "",
        "higher",
        "Are rhythm and pauses there?",
        _value("envelope"),
    ),
    Metric(
        "F0 correlation", "f0-correlation", "", "higher", "Is the intonation there?", _value("f0")
    ),
    Metric("ESTOI", "estoi", "", "higher", "Is it intelligible, by ESTOI?", _value("estoi")),
    Metric(
        "MCD", "mcd", "dB", "lower", "How far is its spectrum from the real one?", _value("mcd")
    ),
)
LENGTH = Metric(
    "length error",
    "length-error",
    "%",
    "lower",
    "Does the attacker know how long it was?",
    _length,
    100.0,
)


class Findings:
    """Builds the findings of one outcome."""

    def __init__(self, outcome: Outcome, trials: SpeakerTrials | None, seed: int) -> None:
        self._outcome = outcome
        self._trials = trials
        self._seed = seed
        self._utterances = list(outcome.corpus)
        # An utterance whose speaker is unknown counts as a speaker of its own.
        self._clusters = speakers_of(self._utterances)
        self.control_passed, self.control_words = self._control()

    def findings(self) -> tuple[Finding, ...]:
        """The audited tap's findings first, then the taps beside it."""
        return judged(self.drafts())

    def drafts(self) -> tuple[Draft, ...]:
        """The findings before their verdicts, for an audit that judges other attacks with them."""
        drafts: list[Draft | None] = []
        for tap, result in self._outcome.taps.items():
            audited = bool(result.at_own_length)
            for metric in METRICS:
                drafts.append(self._draft(metric, tap, result, result.at_true_length, ""))
                if audited and metric.slug in ("wer", "mcd"):
                    drafts.append(
                        self._draft(metric, tap, result, result.at_own_length, "own length")
                    )
            if audited:
                drafts.append(self._draft(LENGTH, tap, result, result.at_own_length, ""))
            if self._trials is not None:
                state = ControlState(
                    self.control_passed,
                    self.control_words,
                    self._control_rule,
                    self._passes(result),
                )
                drafts += speaker_drafts(
                    self._trials, self._outcome, tap, result, self._another(), state, self._seed
                )
        return tuple(draft for draft in drafts if draft is not None)

    def budget(self) -> tuple[BudgetPoint, ...]:
        """The training curves of the attackers."""
        return tuple(
            BudgetPoint(
                tap=tap,
                amount=point.steps,
                amount_unit="steps",
                metric="log-mel error on unseen utterances",
                unit="",
                value=point.loss,
                bound=point is result.attacker.curve[-1] and _still_falls(result),
            )
            for tap, result in self._outcome.taps.items()
            for point in result.attacker.curve
        )

    def _control(self) -> tuple[bool | None, str]:
        control = self._outcome.taps.get(CONTROL_TAP)
        if control is None:
            return None, "no control was run"
        wer, stoi = self._intelligible(control)
        words = f"WER {100 * wer:.0f}%, " if np.isfinite(wer) else ""
        return self._passes(control), f"{CONTROL_NAME}: {words}STOI {stoi:.2f}"

    def _passes(self, result: Reconstruction) -> bool:
        """Whether a tap's reconstructions reach what the control must."""
        wer, stoi = self._intelligible(result)
        return bool(stoi >= LEAST_CONTROL_STOI and not wer > MOST_CONTROL_WER)

    def _intelligible(self, result: Reconstruction) -> tuple[float, float]:
        """WER, a share (nan where no words can be counted), and STOI at true length."""
        wer, stoi = (self._estimate(m, result.at_true_length).value for m in METRICS[:2])
        return wer, stoi

    @property
    def _control_rule(self) -> str:
        wer = self._estimate(METRICS[0], self._outcome.ceiling).value
        return CONTROL_RULE if np.isfinite(wer) else CONTROL_RULE_WITHOUT_WORDS

    def _draft(
        self,
        metric: Metric,
        tap: str,
        result: Reconstruction,
        judgements: dict[str, Judgement],
        variant: str,
    ) -> Draft | None:
        own = self._columns(metric, judgements)
        if not np.isfinite(np.array(own[0])).any():
            return None
        outcome = self._outcome
        floors = {"mean mel": outcome.mean_mel, "another utterance": self._another()}
        if metric is LENGTH:
            floors = {"median length": self._lengths_of_others()}
        floors, too_thin = self._floors(metric, own, floors)
        estimates = {name: self._estimate(metric, rows) for name, rows in floors.items()}
        comparisons = tuple(
            RatioComparison(
                name,
                own,
                self._columns(metric, rows),
                self._clusters,
                leakage_sign(metric.leaks_when),
            )
            for name, rows in floors.items()
            if np.isfinite(estimates[name].value)
        )
        control = outcome.taps.get(CONTROL_TAP)
        shows_control = control is not None and tap != CONTROL_TAP and metric is not LENGTH
        title = f"{metric.name} at its own length" if variant else metric.name
        slug = f"{metric.slug}-own-length" if variant else metric.slug
        estimate = self._estimate(metric, judgements)

        finding = Finding(
            id=f"reconstruction.{_slug(tap)}.{slug}",
            question=f"Speech reconstructed from {tap} of {outcome.system.name}: {metric.question}",
            system=outcome.system.name,
            system_fingerprint=result.attacker.tap_fingerprint,
            corpus=outcome.corpus.name,
            tap=tap,
            attacker=SEMI_INFORMED.name,
            position=SEMI_INFORMED.position,
            attack="reconstruction",
            metric=title,
            unit=metric.unit,
            leaks_when=metric.leaks_when,
            estimate=Interval.of(estimate, metric.scale),
            floors={n: Interval.of(e, metric.scale) for n, e in estimates.items()},
            ceiling=None
            if metric is LENGTH
            else Interval.of(self._estimate(metric, outcome.ceiling), metric.scale),
            ceiling_name="" if metric is LENGTH else CEILING_NAME,
            control=Interval.of(self._estimate(metric, control.at_true_length), metric.scale)
            if shows_control and control is not None
            else None,
            control_name=CONTROL_NAME if shows_control else "",
            control_rule=self._control_rule if shows_control else "",
            control_passed=bool(self.control_passed) if shows_control else None,
            verdict="untested",
            reason=UNDECIDED,
            utterances=int(np.isfinite(np.array(own[0])).sum()),
            speakers=len(set(self._clusters)),
            seeds=(result.attacker.seed,),
            notes=(*self._notes(metric, own), *too_thin),
        )
        # A length is read off without any speech coming back: intelligibility is no control of that.
        passed = None if metric is LENGTH else self.control_passed
        return Draft(
            finding,
            comparisons,
            metric.scale,
            self._seed,
            passed,
            self.control_words,
            passes_itself=self._passes(result),
            still_falling=_still_falls(result),
        )

    def _floors(
        self, metric: Metric, own: Column, floors: dict[str, dict[str, Judgement]]
    ) -> tuple[dict[str, dict[str, Judgement]], list[str]]:
        """The floors that are defined often enough to be compared with, and a line on each other."""
        needed = int(np.isfinite(np.array(own[0])).sum())
        kept, notes = {}, []
        for name, rows in floors.items():
            defined = int(np.isfinite(np.array(self._columns(metric, rows)[0])).sum())
            if rows and defined >= LEAST_FLOOR_SHARE * needed:
                kept[name] = rows
            elif rows:
                notes.append(
                    f"the floor {name} is left out: {metric.name} is defined for {defined} of its"
                    f" utterances, for {needed} of the attack's"
                )
        return kept, notes

    def _another(self) -> dict[str, Judgement]:
        return next(iter(self._outcome.taps.values())).another

    def _lengths_of_others(self) -> dict[str, Judgement]:
        """A guess at the length without the tensor: the median length of the test utterances."""
        seconds = float(np.median([frames_of(u) / 100 for u in self._utterances]))
        rows = next(iter(self._outcome.taps.values())).at_own_length
        return {key: replace(row, seconds=seconds) for key, row in rows.items()}

    def _columns(self, metric: Metric, judgements: dict[str, Judgement]) -> Column:
        rows = [
            metric.read(judgements[u.id], u) if u.id in judgements else (float("nan"), 1.0)
            for u in self._utterances
        ]
        return [a for a, _ in rows], [b for _, b in rows]

    def _estimate(self, metric: Metric, judgements: dict[str, Judgement]) -> Estimate:
        rng = np.random.default_rng([self._seed, 0])
        clip = (0.0, float("inf")) if metric.slug in ("wer", "mcd", "length-error") else None
        columns = self._columns(metric, judgements)
        return speaker_bootstrap_ratio(*columns, self._clusters, rng, clip=clip)

    def _notes(self, metric: Metric, own: Column) -> tuple[str, ...]:
        missing = int((~np.isfinite(np.array(own[0]))).sum())
        notes = []
        if metric.slug == "wer":
            notes.append("by Whisper-tiny.en, a relative of the encoder of the system under audit")
        if missing:
            why = "not English with a text, or AN4" if metric.slug == "wer" else "not defined there"
            notes.append(f"{missing} utterances without this measure ({why})")
        return tuple(notes)


def _still_falls(result: Reconstruction) -> bool:
    curve = result.attacker.curve
    return last_quarter_falls([p.steps for p in curve], [p.loss for p in curve])


def _slug(tap: str) -> str:
    return tap.replace(".", "-")
