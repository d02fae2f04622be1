"""The answer in three sentences: what leaks comes first, nothing is promised, the claims are counted rightly."""

from esrt_privacy.attacks.families import MODULES, RECONSTRUCTION
from esrt_privacy.findings import AuditedCorpus, Finding, Interval, Run
from esrt_privacy.reports.answer import (
    LENGTH,
    PAUSES,
    REBUILT,
    SOUND,
    SUBJECTS,
    VOICE,
    WORDS,
    answer,
    listed,
    subject_of,
    subjects,
)
from esrt_privacy.reports.claim_rules import ClaimVerdict
from tests.reports.fake_run import finding, interval


def run(*findings: Finding) -> Run:
    return Run(
        tool_version="0.1.0",
        created="2025-03-14T15:09:26Z",
        command="esrt-privacy audit",
        system="reference",
        corpus=AuditedCorpus(name="demo", fingerprint="f"),
        findings=findings,
    )


def claim(name: str, run_verdict: str | None, kind: str = "privacy", **changes) -> ClaimVerdict:
    fields = {
        "claim": name,
        "section": "V",
        "sentence": "It cannot be told.",
        "kind": kind,
        "about": "esrt-4b",
        "verdict": "untested",
        "run_system": "reference",
        "run_verdict": run_verdict,
        "reason": "so",
        "why": "because",
    }
    return ClaimVerdict.model_validate(fields | changes)


def test_the_gravest_verdict_of_a_subject_is_its_own() -> None:
    open_ = finding(id="a", metric="ESTOI", verdict="inconclusive")
    leak = finding(id="b", metric="STOI", verdict="leaks")
    calm = finding(id="c", metric="WER", verdict="not detected")
    found = subjects([calm, open_, leak])
    assert [(s.name, s.verdict, s.lead.id) for s in found] == [
        (SOUND, "leaks", "b"),
        (WORDS, "not detected", "c"),
    ]


def test_a_finding_is_about_what_a_person_would_want_to_keep() -> None:
    def about(attack: str, metric: str) -> str:
        return subject_of(finding(attack=attack, metric=metric))

    assert about("reconstruction", "WER at its own length") == WORDS
    assert about("reconstruction", "MCD at its own length") == SOUND
    assert about("reconstruction", "length error") == LENGTH == about("duration", "duration R²")
    assert about("duration", "onset error") == PAUSES
    assert about("reconstruction", "speaker EER") == VOICE
    assert about("speaker", "speaker EER") == "who is speaking"
    assert about("vendor's own", "bits") == "vendor's own"


def test_leaks_bounds_and_open_questions_are_told_apart() -> None:
    first, second, _ = answer(
        run(
            finding(id="a", metric="WER", verdict="leaks"),
            finding(id="b", attack="language", metric="balanced accuracy", verdict="not detected"),
            finding(id="c", attack="speaker", metric="speaker EER", verdict="inconclusive"),
            finding(id="d", attack="linkage", metric="top-1", verdict="invalid"),
        )
    )
    assert first == (
        "On the corpus demo, the qformer tensors of the system reference give away which words are said."
    )
    assert second.startswith("These attackers could not tell which language is spoken, though")
    assert "it stays open whether an attacker can tell who is speaking" in second
    assert "no answer was reached on which recordings belong together" in second


def test_what_could_not_be_measured_is_no_open_question() -> None:
    unmeasured = finding(estimate=Interval(value=None), floors={}, verdict="inconclusive")
    assert answer(run(unmeasured))[1] == "Which words are said could not be measured."


def test_what_leaks_elsewhere_is_no_part_of_the_answer() -> None:
    elsewhere = finding(id="b", tap="encoder", metric="STOI", verdict="leaks")
    first = answer(run(finding(id="a", verdict="not detected"), elsewhere))[0]
    assert first.endswith("were not found to give anything away.")


def test_an_audit_whose_controls_failed_reassures_nobody() -> None:
    first, second, _ = answer(run(finding(verdict="invalid")))
    assert "nor to keep anything back" in first and "failed its control" in second


def test_an_audit_without_findings_says_so() -> None:
    assert answer(run())[0] == "Nothing was tested of the system reference on the corpus demo."


def test_claims_are_counted_by_what_was_found_on_the_audited_system() -> None:
    claims = [
        claim("a", "refuted"),
        claim("b", "refuted"),
        claim("b", "not refuted", run_system="another"),
        claim("c", "not refuted"),
        claim("d", "untested"),
        claim("e", None, run_system=None),
        claim("f", None, "arithmetic", verdict="arithmetic holds", run_system=None),
        claim("g", None, "arithmetic", verdict="arithmetic does not hold", run_system=None),
    ]
    third = answer(run(finding(estimate=interval(5, 1))), claims)[2]
    assert third == (
        "Of 5 claims about privacy, 2 are refuted, 1 is not refuted and 2 are left undecided by what was found here;"
        " of 2 printed figures, 1 does not hold; esrt-4b, of which they speak, was not run."
    )


def test_a_claim_decided_on_its_own_system_is_not_said_to_be_left_out() -> None:
    third = answer(run(finding()), [claim("a", "refuted", verdict="refuted")])[2]
    assert third == "Of 1 claims about privacy, 1 is refuted by what was found here."


def test_no_sentence_promises_privacy() -> None:
    for verdict in ("leaks", "not detected", "inconclusive", "invalid", "untested"):
        assert not any("private" in s for s in answer(run(finding(verdict=verdict))))


def test_lists_read_as_english() -> None:
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_every_attack_of_the_toolkit_has_a_subject() -> None:
    """A family that is new must be named here too, or a report would not say that it was left out."""
    assert list(SUBJECTS | REBUILT) == [*MODULES, RECONSTRUCTION]
