"""Leakage over the taps from the microphone to the LLM, a panel a question, all on one scale.

0 is what is reached without looking at the tensor, 1 is certainty: (value - chance) / (certain - chance), which for
shares of success is the residual risk of Giomi et al. (PoPETs 2023, doi:10.56553/popets-2023-0055) with chance as the
control. So error rates, accuracies and correlations stand on one axis. The interval is that of the value; chance is
taken as known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from esrt_privacy.findings import Finding, Interval, Verdict
from esrt_privacy.reports.figures.style import ATTACK, CEILING, CONTROL, FLOOR, Kind
from esrt_privacy.reports.wording import plain, strongest_floor

CHANCE = "chance"
# The figure that speaks for a question, in a report's order: the question in a few words, and what the figure is when
# the attack never fails, in the finding's unit.
HEADLINES: Mapping[tuple[str, str], tuple[str, float]] = {
    ("speaker", "speaker EER"): ("Who is speaking", 0.0),
    ("linkage", "linkage EER"): ("Which tensors belong together", 0.0),
    ("linkage", "top-1"): ("Which recording it is of", 100.0),
    ("language", "balanced accuracy"): ("Which language is spoken", 100.0),
    ("language", "open-set AUROC"): ("Whether the language is a known one", 1.0),
    ("duration", "duration R²"): ("How long it is", 1.0),
    ("duration", "frame error"): ("Where the pauses are", 0.0),
    ("attributes", "balanced accuracy"): ("What the speaker is like", 100.0),
    ("structure", "NMI"): ("Groups without labels", 1.0),
    ("reconstruction", "WER"): ("Which words are said", 0.0),
    ("reconstruction", "STOI"): ("Speech that can be understood", 1.0),
    ("reconstruction", "speaker EER"): ("Whose voice is reconstructed", 0.0),
}
TAPS = ("waveform", "mel", "encoder", "qformer", "projector")  # from the microphone to the LLM
CONTROL_TAP = "transparent"  # drawn beside each tap as its control
MIXED = "-mixed"  # ends the id of a twin over other trials, which labels itself


@dataclass(frozen=True)
class Mark:
    """A value on the scale from chance 0 to certainty 1, with its interval where there is one."""

    name: str
    kind: Kind
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TapLeakage:
    """One tap's bar and what stands beside it."""

    tap: str
    verdict: Verdict
    bar: Mark
    references: tuple[Mark, ...]


@dataclass(frozen=True)
class LeakagePanel:
    """One question put to one system by one attacker, over its taps in order from the microphone."""

    title: str
    system: str
    corpus: str
    attacker: str
    metric: str
    chance: str  # what stands at 0
    audited: str  # the tap of the report's headline
    taps: tuple[TapLeakage, ...]

    @property
    def caption(self) -> str:
        """Whose figures these are, and what 0 and 1 mean."""
        return (
            f"{self.attacker} attacker on {plain(self.system)}, {plain(self.corpus)}; {plain(self.metric)}"
            f" from {plain(self.chance)} (0) to certainty (1)"
        )

    @property
    def alt(self) -> str:
        """The panel for a reader who cannot see it."""
        said = []
        for row in self.taps:
            words = f"{plain(row.tap)}: {_words(row.bar)}, {row.verdict}"
            said.append(
                "; ".join([words, *(f"{mark.name} {_words(mark)}" for mark in row.references)])
            )
        return f"{self.caption}. {'. '.join(said)}."


def leakage_panels(findings: Sequence[Finding]) -> tuple[LeakagePanel, ...]:
    """A panel for each question that has a headline figure, in a report's order.

    Of several attackers the semi-informed one is shown, else the first; of speaker trials those of one sex. What
    is not among HEADLINES has no panel.
    """
    audited = {f.system: f.tap for f in reversed(findings)}
    gathered: dict[_Figure, list[Finding]] = {}
    for finding in findings:
        if (finding.attack, finding.metric) in HEADLINES and finding.tap != CONTROL_TAP:
            gathered.setdefault(_Figure.of(finding), []).append(finding)
    attackers: dict[tuple[str, ...], list[str]] = {}
    for figure in gathered:
        attackers.setdefault(figure.question, []).append(figure.attacker)
    chosen = [
        figure
        for figure in gathered
        if figure.attacker == _speaks(attackers[figure.question])
        and not (figure.slug.endswith(MIXED) and figure.of_one_sex() in gathered)
    ]
    order = list(HEADLINES)
    chosen.sort(key=lambda figure: order.index((figure.attack, figure.metric)))
    panels = (_panel(gathered[figure], audited[figure.system], figure.slug) for figure in chosen)
    return tuple(panel for panel in panels if panel.taps)


class _Figure(NamedTuple):
    """What the findings of one panel share."""

    system: str
    corpus: str
    attack: str
    metric: str
    slug: str  # the end of the id
    attacker: str

    @classmethod
    def of(cls, f: Finding) -> "_Figure":
        return cls(f.system, f.corpus, f.attack, f.metric, f.id.rpartition(".")[2], f.attacker)

    @property
    def question(self) -> tuple[str, ...]:
        return self[:4]

    def of_one_sex(self) -> "_Figure":
        return self._replace(slug=self.slug.removesuffix(MIXED))


def _speaks(attackers: Sequence[str]) -> str:
    """The attacker that speaks for a question."""
    return "semi-informed" if "semi-informed" in attackers else attackers[0]


def _panel(findings: Sequence[Finding], audited: str, slug: str) -> LeakagePanel:
    first = findings[0]
    rows = {f.tap: row for f in findings if (row := _row(f)) is not None}
    ordered = sorted(rows.values(), key=lambda row: tap_place(row.tap))
    return LeakagePanel(
        title=_title(first, slug),
        system=first.system,
        corpus=first.corpus,
        attacker=first.attacker,
        metric=first.metric,
        chance=", ".join(dict.fromkeys(name for f in findings if (name := _chance(f)[0]))),
        audited=audited,
        taps=tuple(ordered),
    )


def _title(finding: Finding, slug: str) -> str:
    words, _ = HEADLINES[finding.attack, finding.metric]
    if finding.attack == "attributes":
        return f"{words}: {slug.removesuffix('-balanced-accuracy').replace('-', ' ')}"
    if finding.metric == "linkage EER":
        return f"{words}: {slug.replace('-', ' ')}"
    if finding.attack == "structure":
        return f"{words}: {slug.replace('-', ' ')}"
    return words


def _row(finding: Finding) -> TapLeakage | None:
    """None where the value, chance or the scale between chance and certainty is not known."""
    _, chance = _chance(finding)
    _, certain = HEADLINES[finding.attack, finding.metric]
    if chance is None or chance.value is None or chance.value == certain:
        return None
    base = chance.value

    def mark(name: str, kind: Kind, interval: Interval | None) -> Mark | None:
        if interval is None or interval.value is None:
            return None
        places = [
            None if value is None else (value - base) / (certain - base) + 0.0  # never -0
            for value in (interval.value, interval.low, interval.high)
        ]
        value, low, high = places
        if value is None:
            return None
        if low is not None and high is not None and low > high:
            low, high = high, low
        return Mark(plain(name), kind, value, low, high)

    bar = mark("attack", ATTACK, finding.estimate)
    if bar is None:
        return None
    references = [
        *(mark(f"floor {name}", FLOOR, floor) for name, floor in finding.floors.items()),
        mark(f"control {finding.control_name}", CONTROL, finding.control),
        mark(f"ceiling {finding.ceiling_name}", CEILING, finding.ceiling),
    ]
    shown = tuple(m for m in references if m is not None)
    return TapLeakage(finding.tap, finding.verdict, bar, shown)


def _chance(finding: Finding) -> tuple[str, Interval | None]:
    """What stands at 0: the floor called chance, else the strongest floor."""
    chance = finding.floors.get(CHANCE)
    if chance is not None and chance.value is not None:
        return CHANCE, chance
    return strongest_floor(finding) or ("", None)


def tap_place(tap: str) -> tuple[int, int, str]:
    """Where a tap stands on the way to the LLM; layers of the encoder by number, before its last."""
    name, _, layer = tap.partition(".")
    at = TAPS.index(name) if name in TAPS else len(TAPS)
    return at, int(layer) if layer.isascii() and layer.isdigit() and len(layer) < 6 else 10**6, tap


def _words(mark: Mark) -> str:
    value, low, high = (
        None if number is None else f"{number:.2f}".replace("-", "\u2212")
        for number in (mark.value, mark.low, mark.high)
    )
    return f"{value} ({low} to {high})" if low and high else f"{value}"
