"""The answer in three sentences, and the subjects that it speaks of, in words that need no knowledge of metrics.

A subject is what a person would want kept to themselves: the words, the voice, the language. Several metrics can bear
on one; the gravest verdict among them is the subject's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esrt_privacy.findings import Finding, Run, Verdict
from esrt_privacy.reports.wording import HEADLINE_ORDER, audited_findings, plain

if TYPE_CHECKING:
    from esrt_privacy.reports.claim_rules import ClaimVerdict

WORDS = "which words are said"
SUBJECTS: dict[str, str] = {
    "speaker": "who is speaking",
    "linkage": "which recordings belong together",
    "language": "which language is spoken",
    "duration": "how long the recording is",
    "attributes": "traits of the speaker such as sex or age",
    "structure": "groups among recordings without any label",
    "reading": WORDS,
}
REBUILT = {
    "reconstruction": "how speech can be rebuilt"
}  # each of its metrics has a subject of its own
SOUND = "how the speech sounds"
VOICE = "whose voice it is, from rebuilt speech"
LENGTH = SUBJECTS["duration"]
PAUSES = "when there is speech in it"
OF_PAUSES = ("frame error", "onset error", "offset error")


@dataclass(frozen=True)
class Subject:
    """What an attacker would like to know, and what the audit says of it at one tap."""

    name: str
    verdict: Verdict
    lead: Finding  # the first finding with that verdict, measured if any is
    findings: tuple[Finding, ...]


def subject_of(finding: Finding) -> str:
    """What a finding is about, in a reader's words; an attack that is not known keeps its name."""
    if finding.attack == "duration" and finding.metric in OF_PAUSES:
        return PAUSES
    if finding.attack != "reconstruction":
        return SUBJECTS.get(finding.attack, plain(finding.attack))
    metric = finding.metric.lower()
    if metric.startswith(("wer", "word error")):
        return WORDS
    if metric.endswith("length error"):
        return LENGTH
    return VOICE if "speaker" in metric else SOUND


def subjects(findings: Iterable[Finding]) -> tuple[Subject, ...]:
    """Each subject once, the gravest verdicts first, else in the order of the findings."""
    gathered: dict[str, list[Finding]] = {}
    for finding in findings:
        gathered.setdefault(subject_of(finding), []).append(finding)
    found = []
    for name, group in gathered.items():
        lead = min(group, key=lambda f: (HEADLINE_ORDER.index(f.verdict), f.estimate.value is None))
        found.append(Subject(name, lead.verdict, lead, tuple(group)))
    return tuple(sorted(found, key=lambda s: HEADLINE_ORDER.index(s.verdict)))


def answer(run: Run, claims: "Sequence[ClaimVerdict]" = ()) -> tuple[str, str, str]:
    """What leaks, what does not or stays open, and what that means for the claims: one sentence each."""
    asked = subjects(audited_findings(run))
    return _leaks(run, asked), _rest(run, asked), _claims(run, claims)


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _leaks(run: Run, asked: Sequence[Subject]) -> str:
    if not asked:
        return (
            f"Nothing was tested of the system {plain(run.system)} "
            f"on the corpus {plain(run.corpus.name)}."
        )
    first = asked[0].lead
    tensors = f"the {plain(first.tap)} tensors of the system {plain(first.system)}"
    where = f"On the corpus {plain(first.corpus)}, {tensors}"
    leaks = _names(asked, "leaks")
    if leaks:
        return f"{where} give away {listed(leaks)}."
    if any(s.verdict == "not detected" for s in asked):
        return f"{where} were not found to give anything away."
    return f"{where} have not been shown to give anything away, nor to keep anything back."


def _rest(run: Run, asked: Sequence[Subject]) -> str:
    said = []
    if bounded := _names(asked, "not detected"):
        said.append(f"these attackers could not tell {listed(bounded)}, though a stronger one may")
    unmeasured = [
        s.name
        for s in asked
        if s.verdict == "inconclusive" and all(f.estimate.value is None for f in s.findings)
    ]
    if opened := [name for name in _names(asked, "inconclusive") if name not in unmeasured]:
        said.append(f"it stays open whether an attacker can tell {listed(opened)}")
    if unmeasured:
        said.append(f"{listed(unmeasured)} could not be measured")
    if failed := _names(asked, "invalid"):
        said.append(f"no answer was reached on {listed(failed)}, for the attack failed its control")
    if unasked := _names(asked, "untested"):
        said.append(f"{listed(unasked)} was not tested")
    if not said:
        return (
            "Nothing that was asked stays open; what was not asked is listed below."
            if asked
            else "What was not tested is listed below."
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _claims(run: Run, claims: "Sequence[ClaimVerdict]") -> str:
    """Privacy first, on the first system of the run; sums that do not hold; what nothing here can decide."""
    if not claims:
        return "No claim was held against these findings."
    system = run.findings[0].system if run.findings else run.system
    own = [c for c in claims if c.kind == "privacy"]
    here = [c for c in own if c.run_system == system]
    said = []
    if own:
        count = len({c.claim for c in own})
        words = ("refuted", "not refuted")
        counts = [f"{n} {_are(n)} {w}" for w in words if (n := _count(here, w))]
        rest = count - sum(_count(here, w) for w in words)
        counts += [f"{rest} {_are(rest)} left undecided"] if rest else []
        said.append(f"of {count} claims about privacy, {listed(counts)} by what was found here")
    sums = [c for c in claims if c.kind == "arithmetic"]
    wrong = sum(c.verdict == "arithmetic does not hold" for c in sums)
    if sums:
        said.append(f"of {len(sums)} printed figures, {wrong or 'none'} {_do(wrong)} not hold")
    if own and all(c.verdict == "untested" for c in own):
        about = dict.fromkeys(name for c in own for name in plain(c.about).split(", "))
        said.append(f"{listed(list(about))}, of which they speak, {_were(len(about))} not run")
    text = "; ".join(said) or f"{len(claims)} claims stand below with their verdicts"
    return f"{text[0].upper()}{text[1:]}."


def _count(claims: "Sequence[ClaimVerdict]", verdict: str) -> int:
    return sum(c.run_verdict == verdict for c in claims)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def _names(asked: Sequence[Subject], verdict: Verdict) -> list[str]:
    return [s.name for s in asked if s.verdict == verdict]
