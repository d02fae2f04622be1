"""The words of a report: figures as text, verdicts as sentences, the threat model in plain English.

Every sentence about a result names the system and the corpus: a verdict without them would be
read as one about every system.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from esrt_privacy.findings import (
    Attacker,
    Finding,
    Interval,
    Position,
    Run,
    Verdict,
)

NOT_MEASURED = "not measured"

# The order in which a verdict takes the headline: a leak hides nothing, a failed control comes
# before any reassuring answer.
HEADLINE_ORDER: tuple[Verdict, ...] = (
    "leaks",
    "invalid",
    "inconclusive",
    "not detected",
    "untested",
)

VERDICT_MEANS: Mapping[Verdict, str] = {
    "leaks": "The bound of the interval beats every floor, even the one that looks most like a "
    "leak.",
    "not detected": "The positive control passed, and the bound of the interval lies below the "
    "smallest effect that this attack is meant to see. It bounds this attacker; a stronger one "
    "may still succeed.",
    "inconclusive": "Neither a leak nor a useful bound: more data or a stronger attack is needed.",
    "invalid": "A control failed, so the attack says nothing about the system, good or bad.",
    "untested": "The attack was not run on this system.",
}

CLAIM_VERDICT_MEANS: Mapping[str, str] = {
    "refuted": "A finding contradicts the sentence, for the system that was run.",
    "not refuted": "The attacks that could contradict the sentence found no leak. It bounds these "
    "attackers, and proves nothing.",
    "untested": "Nothing that was run decides the sentence.",
    "arithmetic holds": "What is printed follows from its inputs.",
    "arithmetic does not hold": "What is printed does not follow from its inputs.",
}

ATTACKER_HOLDS: Mapping[Attacker, str] = {
    "ignorant": "Holds the intercepted tensors and publicly available speech models, and was "
    "never able to run the system itself. A passer-by.",
    "lazy-informed": "Holds the intercepted tensors and some tensors of known people, and "
    "compares them without training anything. A quick look.",
    "semi-informed": "Holds the intercepted tensors and the part of the system that runs on "
    "every user's device. With it, the attacker turns recordings of other people into any "
    "number of pairs of audio and tensor, and trains networks on them.",
    "cross-modal": "As semi-informed, and holds an ordinary voice recording of the person "
    "looked for.",
    "white-box": "As semi-informed, and holds the published weights whole: runs the part in the "
    "cloud too, and computes gradients through the part that runs on the "
    "device. The strongest attacker considered.",
}

POSITION_MEANS: Mapping[Position, str] = {
    "network plaintext": "Stands on the network and reads the connection in plaintext: the "
    "tensor, the prompt, identifiers, and the text that comes back.",
    "outside TLS": "Stands on the network outside an encrypted connection: sees sizes and times "
    "only.",
    "cloud": "Stands in the cloud service: sees everything that arrives there, the prompt "
    "included.",
}


def plain(text: str) -> str:
    """`text` on one line without control and direction-changing characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def figure(value: float | None, unit: str = "") -> str:
    """A value with the digits that its size deserves, and its unit."""
    if value is None:
        return NOT_MEASURED
    size = abs(value)
    if unit == "%" or 10 <= size < 100:
        digits = f"{value:.1f}"
    elif size >= 100:
        digits = f"{value:,.0f}"
    elif 0 < size < 0.01:
        digits = f"{value:.2g}"
    else:
        digits = f"{value:.2f}"
    digits = digits.replace("-", "\u2212")
    if not unit:
        return digits
    return digits + unit if unit == "%" else f"{digits} {unit}"


def scale(metric: str, unit: str) -> str:
    """The name of an axis: the metric and its unit."""
    return f"{plain(metric)} ({plain(unit)})" if unit else plain(metric)


def bounds(interval: Interval, unit: str = "") -> str:
    """ "0.55 to 0.69", or an empty string where the interval has no two ends."""
    if interval.low is None or interval.high is None:
        return ""
    return (
        f"{figure(interval.low, unit).removesuffix(unit).strip()} to {figure(interval.high, unit)}"
    )


def with_bounds(interval: Interval, unit: str = "") -> str:
    """ "0.62 (0.55 to 0.69)"."""
    ends = bounds(interval, unit)
    return f"{figure(interval.value, unit)} ({ends})" if ends else figure(interval.value, unit)


def audited_findings(run: Run) -> tuple[Finding, ...]:
    """The findings at the tap under audit, which is the first one's."""
    if not run.findings:
        return ()
    first = run.findings[0]
    return tuple(f for f in run.findings if (f.system, f.tap) == (first.system, first.tap))


def leading_finding(run: Run) -> Finding | None:
    """The finding that the headline speaks of: the gravest one at the tap under audit."""
    audited = audited_findings(run)
    return min(audited, key=lambda f: HEADLINE_ORDER.index(f.verdict), default=None)


def headline(run: Run) -> str:
    """The verdict in a sentence; a second one on the first finding where that is not the gravest."""
    finding = leading_finding(run)
    if finding is None:
        return (
            f"Nothing was tested of the system {plain(run.system)} "
            f"on the corpus {plain(run.corpus.name)}."
        )
    first = run.findings[0]
    if finding is first:
        return verdict_sentence(finding)
    value = with_bounds(first.estimate, first.unit)
    return f"{verdict_sentence(finding)} {plain(first.metric)} is {value}: {first.verdict}."


def verdict_sentence(finding: Finding) -> str:
    """What one finding says of its system and corpus, in one sentence."""
    tensors = f"{plain(finding.tap)} tensors of the system {plain(finding.system)}"
    corpus = f"the corpus {plain(finding.corpus)}"
    attack, metric = plain(finding.attack), plain(finding.metric)
    value = with_bounds(finding.estimate, finding.unit)
    compared = strongest_floor(finding)
    against = (
        f" against {figure(compared[1].value, finding.unit)} for {compared[0]}" if compared else ""
    )
    match finding.verdict:
        case "leaks":
            return (
                f"The {tensors} leak on {corpus}: the {attack} attack reaches "
                f"{metric} {value}{against}."
            )
        case "not detected":
            return (
                f"No leak was detected in the {tensors} on {corpus}: the {attack} "
                f"attack reaches {metric} {value}{against}, which bounds this attacker only."
            )
        case "inconclusive" if finding.estimate.value is None:
            return (
                f"Whether the {tensors} leak on {corpus} stays open: the {attack} attack could "
                "not be measured."
            )
        case "inconclusive":
            return (
                f"Whether the {tensors} leak on {corpus} stays open: the {attack} "
                f"attack reaches {metric} {value}{against}."
            )
        case "invalid":
            return (
                f"The {attack} attack on the {tensors} on {corpus} failed its "
                "control, so its result says nothing about the system."
            )
        case "untested":
            return f"The {attack} attack was not run on the {tensors} on {corpus}."


def strongest_floor(finding: Finding) -> tuple[str, Interval] | None:
    """The floor that looks most like leakage, with its name: the one a leak has to beat."""
    measured = [
        (plain(name), floor) for name, floor in finding.floors.items() if floor.value is not None
    ]
    if not measured:
        return None
    sign = 1.0 if finding.leaks_when == "higher" else -1.0
    return max(measured, key=lambda named: sign * (named[1].value or 0.0))


def tally(findings: Iterable[Finding]) -> dict[Verdict, int]:
    """How many findings have each verdict, verdicts that occur only, gravest first."""
    counted = Counter(finding.verdict for finding in findings)
    return {verdict: counted[verdict] for verdict in HEADLINE_ORDER if counted[verdict]}


def tally_in_words(findings: Iterable[Finding]) -> str:
    """ "2 leaks, 1 inconclusive" as a list of counts with their verdicts."""
    return ", ".join(f"{count} × {verdict}" for verdict, count in tally(findings).items())


def attack_by(finding: Finding) -> str:
    """The attack and who makes it: "speaker, semi-informed"."""
    return f"{plain(finding.attack)}, {finding.attacker}"


def direction(finding: Finding) -> str:
    """Which way leakage lies on the finding's scale."""
    return f"{finding.leaks_when} means more leakage"


# ISO 639-3 to the two-letter tags that a page must use where one exists (BCP 47).
_PAIRS = (
    "afr:af ara:ar aze:az ben:bn bul:bg cat:ca ces:cs cmn:zh dan:da deu:de ell:el eng:en "
    "est:et fas:fa fin:fi fra:fr glg:gl heb:he hin:hi hrv:hr hun:hu ind:id isl:is ita:it "
    "jpn:ja kan:kn kat:ka kaz:kk khm:km kor:ko lao:lo lav:lv lit:lt mal:ml mar:mr mkd:mk "
    "msa:ms mya:my nld:nl nob:nb pol:pl por:pt ron:ro rus:ru slk:sk slv:sl spa:es srp:sr "
    "swa:sw swe:sv tam:ta tel:te tgl:tl tha:th tur:tr ukr:uk urd:ur uzb:uz vie:vi"
)
_TWO_LETTERS = dict(pair.split(":") for pair in _PAIRS.split())


def language_tag(code: str | None) -> str:
    """The BCP 47 tag of an ISO 639-3 code, "und" where none is given or it is not one."""
    if code is None or not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
        return "und"
    return _TWO_LETTERS.get(code.lower(), code.lower())
