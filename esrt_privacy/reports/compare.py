"""Two runs, question by question: how much more B gives away than A, what got worse first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from esrt_privacy import __version__
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import Finding, Interval, Run, Verdict, read_run
from esrt_privacy.replicates import FigureReplicates, read_replicates
from esrt_privacy.reports.compare_differences import LEVEL, Answered, difference, outcomes
from esrt_privacy.reports.compare_record import (
    Change,
    ComparedRun,
    Comparison,
    Lone,
    Outcome,
    Side,
)

# How much a verdict gives away, for what got worse first. An attack that failed its control says nothing.
GRAVITY: Mapping[Verdict, int] = {
    "not detected": 0,
    "inconclusive": 1,
    "untested": 1,
    "invalid": 1,
    "leaks": 2,
}
OUTCOMES: tuple[Outcome, ...] = (
    "worse",
    "no clear change",
    "not compared",
    "same answers",
    "better",
)


class Question(NamedTuple):
    """What makes two findings answers to one question; their systems may differ, that is the point."""

    attack: str
    tap: str
    attacker: str
    metric: str
    slug: str  # the end of the id

    @classmethod
    def of(cls, finding: Finding) -> Question:
        """The question that a finding answers."""
        slug = finding.id.rpartition(".")[2]
        return cls(finding.attack, finding.tap, finding.attacker, finding.metric, slug)


@dataclass(frozen=True)
class LoadedRun:
    """A run's folder, read."""

    folder: Path
    run: Run
    replicates: Mapping[str, FigureReplicates]

    @classmethod
    def read(cls, folder: Path) -> LoadedRun:
        """Raises ReportError where findings or replicates cannot be read."""
        return cls(folder, read_run(folder), read_replicates(folder))

    def answered(self, finding: Finding) -> Answered:
        """A finding of the run with its replicates, where there are any."""
        return Answered(finding, self.replicates.get(finding.id))


def compare_runs(a: LoadedRun, b: LoadedRun, command: str) -> Comparison:
    """Every question that both runs answer, and the findings of one run only.

    Raises ReportError where they have no question in common.
    """
    pairs, only_a, only_b = matched(a.run.findings, b.run.findings)
    if not pairs:
        raise ReportError(
            f"{a.folder} and {b.folder} have no question in common (attack, tap, attacker, metric); compare runs of"
            " one plan"
        )
    differences = [difference(a.answered(mine), b.answered(theirs)) for mine, theirs in pairs]
    changes = [
        Change(
            **Question.of(mine)._asdict(),
            unit=mine.unit,
            leaks_when=mine.leaks_when,
            a=_side(mine),
            b=_side(theirs),
            leakage=found.leakage,
            paired=found.paired,
            p=said.p,
            p_holm=said.p_holm,
            outcome=said.outcome,
            note=found.note,
        )
        for (mine, theirs), found, said in zip(
            pairs, differences, outcomes(differences), strict=True
        )
    ]
    tested = [change for change in changes if change.p is not None]
    return Comparison(
        tool_version=__version__,
        command=command,
        level=LEVEL,
        a=_compared(a),
        b=_compared(b),
        changes=tuple(sorted(changes, key=_worst_first)),
        only_a=tuple(map(_lone, only_a)),
        only_b=tuple(map(_lone, only_b)),
        tested=len(tested),
        excluding_zero=sum(excludes_zero(change.leakage) for change in tested),
        notes=tuple(_notes(a, b)),
    )


def matched(
    first: Sequence[Finding], second: Sequence[Finding]
) -> tuple[list[tuple[Finding, Finding]], list[Finding], list[Finding]]:
    """Pairs of findings that answer one question, and those of either side that have no partner.

    A run of several systems answers a question once for each: then systems of one name are paired, and of the rest a
    single one on either side.
    """
    sides = [_by_question(findings) for findings in (first, second)]
    partner: dict[str, Finding] = {}
    for question, ours in sides[0].items():
        theirs = list(sides[1].get(question, ()))
        alone = []
        for mine in ours:
            twin = next((other for other in theirs if other.system == mine.system), None)
            if twin is None:
                alone.append(mine)
            else:
                partner[mine.id] = twin
                theirs.remove(twin)
        if len(alone) == len(theirs) == 1:
            partner[alone[0].id] = theirs[0]
    pairs = [(finding, partner[finding.id]) for finding in first if finding.id in partner]
    taken = {finding.id for finding in partner.values()}
    only_first = [finding for finding in first if finding.id not in partner]
    return pairs, only_first, [finding for finding in second if finding.id not in taken]


def excludes_zero(interval: Interval) -> bool:
    """Whether an interval is known and lies on one side of zero."""
    low, high = interval.low, interval.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _by_question(findings: Iterable[Finding]) -> dict[Question, list[Finding]]:
    gathered: dict[Question, list[Finding]] = {}
    for finding in findings:
        gathered.setdefault(Question.of(finding), []).append(finding)
    return gathered


def _worst_first(change: Change) -> tuple[int, int, float]:
    graver = GRAVITY[change.b.verdict] - GRAVITY[change.a.verdict]
    return OUTCOMES.index(change.outcome), -graver, -_strength(change.leakage)


def _strength(leakage: Interval) -> float:
    """The difference in half-widths of its interval, so that differences of unlike units can be put in order."""
    if leakage.value is None or leakage.low is None or leakage.high is None:
        return 0.0
    half = leakage.value - leakage.low if leakage.value > 0 else leakage.high - leakage.value
    return leakage.value / half if half > 0 else 0.0


def _side(finding: Finding) -> Side:
    return Side(
        finding=finding.id,
        system=finding.system,
        corpus=finding.corpus,
        verdict=finding.verdict,
        estimate=finding.estimate,
    )


def _lone(finding: Finding) -> Lone:
    return Lone(
        finding=finding.id,
        system=finding.system,
        tap=finding.tap,
        attack=finding.attack,
        attacker=finding.attacker,
        metric=finding.metric,
        unit=finding.unit,
        estimate=finding.estimate,
        verdict=finding.verdict,
    )


def _compared(loaded: LoadedRun) -> ComparedRun:
    run = loaded.run
    return ComparedRun(
        folder=loaded.folder.resolve().name or "/",
        system=run.system,
        corpus=run.corpus.name,
        corpus_fingerprint=run.corpus.fingerprint,
        created=run.created,
        tool_version=run.tool_version,
        findings=len(run.findings),
        replicates=bool(loaded.replicates),
    )


def _notes(a: LoadedRun, b: LoadedRun) -> Iterator[str]:
    """What else differs between the runs than what is to be compared."""
    one, other = a.run, b.run
    if one.corpus.fingerprint != other.corpus.fingerprint:
        same = one.corpus.name == other.corpus.name
        yield (
            "The runs attacked "
            + ("other utterances of one corpus" if same else "different corpora")
            + ": a difference may be the recordings', not the systems'."
        )
    if one.system == other.system and not _fingerprints_differ(one, other):
        yield "Both runs attacked the same system with the same weights."
    if one.tool_version != other.tool_version:
        yield (
            f"The runs were made by versions {one.tool_version} and {other.tool_version} of this program: an attack may"
            " have changed."
        )
    if dict(one.seeds) != dict(other.seeds):
        yield "The runs were made with different seeds."
    for name, loaded in (("A", a), ("B", b)):
        if not loaded.replicates:
            yield f"Run {name} has no replicates.safetensors: no difference can be taken speaker by speaker."


def _fingerprints_differ(one: Run, other: Run) -> bool:
    return {f.system_fingerprint for f in one.findings} != {
        f.system_fingerprint for f in other.findings
    }
