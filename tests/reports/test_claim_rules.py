"""The rules: a leak that contradicts refutes, a bound bounds, and nothing else decides anything."""

import re

import pytest

from esrt_privacy.attacks import drafts, duration
from esrt_privacy.findings import Finding, Interval
from esrt_privacy.reports.claim_rules import ClaimVerdict, Evidence, verdicts
from esrt_privacy.reports.claims import Claim, FindingsTest, Part, Selector, load
from tests.attacks.planted import inputs, people
from tests.reports.bare_run import bare_run
from tests.reports.fake_run import SHA, finding, interval

NOTHING = Evidence()
EER = Selector(attack="speaker", metric="speaker EER", slug="semi-informed-eer")
WEAK = Selector(attack="speaker", metric="speaker EER", slug="lazy-informed-eer")
READ = Selector(attack="reconstruction", metric="WER", slug="wer", reaches=50.0)
BY_FINDINGS = [claim for claim in load() if isinstance(claim.test, FindingsTest)]


def claim(*parts: Part, about=("esrt-4b",), **changes) -> Claim:
    fields = {
        "id": "claim",
        "section": "1",
        "sentence": "Nothing is known.",
        "about": about,
        "kind": "privacy",
        "why": "So it is.",
        "test": FindingsTest(by="findings", parts=parts),
    }
    return Claim.model_validate(fields | changes)


def voice(refuted_by=(EER, WEAK), bounded_by=(EER,)) -> Part:
    return Part(name="the voice", refuted_by=refuted_by, bounded_by=bounded_by)


def found(selector: Selector, verdict: str, **changes) -> Finding:
    """A finding that the selector selects."""
    tap = changes.get("tap", "qformer" if selector.tap == "wire" else selector.tap)
    attacker = selector.attacker or "semi-informed"
    slug = re.sub("[^a-z0-9]+", "-", selector.metric.lower()).strip("-")
    fields = {
        "id": f"{selector.attack}.{tap}.{selector.slug or slug}",
        "attack": selector.attack,
        "metric": selector.metric,
        "attacker": attacker,
        "tap": tap,
        "estimate": interval(40.0, 4.0),
        "verdict": verdict,
        "reason": "So it came out.",
    }
    return finding(**fields | changes)


def judged(claim: Claim, *findings: Finding, system: str = "reference") -> ClaimVerdict:
    (verdict,) = verdicts([claim], bare_run(*findings, system=system), NOTHING)
    return verdict


# --- what decides


def test_a_leak_refutes_on_the_system_that_was_run_and_leaves_the_other_untested():
    verdict = judged(claim(voice()), found(EER, "leaks"))
    assert (verdict.run_system, verdict.run_verdict) == ("reference", "refuted")
    assert (verdict.about, verdict.verdict) == ("esrt-4b", "untested")
    assert verdict.reason.startswith("Not run: esrt-4b. Refuted on reference at qformer: the voice")
    assert verdict.finding_ids == ("speaker.qformer.semi-informed-eer",)
    assert verdict.figures[0].value == 40.0 and verdict.bound == ""


@pytest.mark.parametrize("name", ["esrt-4b", "ESRT-4B", "yxdu/ESRT-4B", "yxdu/ESRT-4B@0123abc"])
def test_a_run_of_the_claims_own_checkpoint_decides_for_it(name):
    verdict = judged(claim(voice()), found(EER, "leaks", system=name), system=name)
    assert (verdict.verdict, verdict.run_verdict, verdict.about) == ("refuted", "refuted", name)


@pytest.mark.parametrize("name", ["other/ESRT-4B", "esrt-4b-lite", "esrt-4"])
def test_a_system_with_a_similar_name_is_not_the_claims_own(name):
    verdict = judged(claim(voice()), found(EER, "leaks", system=name), system=name)
    assert (verdict.verdict, verdict.run_verdict) == ("untested", "refuted")


def test_a_claim_about_two_systems_is_decided_for_the_one_that_was_run():
    both = claim(voice(), about=("esrt-4b", "esrt-12b"))
    verdict = judged(both, found(EER, "leaks", system="esrt-4b"), system="esrt-4b")
    assert (verdict.verdict, verdict.about) == ("refuted", "esrt-4b")
    assert verdict.reason.endswith("Not run: esrt-12b.")


def test_not_detected_is_a_bound_on_the_attackers_that_were_run():
    verdict = judged(claim(voice()), found(EER, "not detected", unit="%"))
    assert verdict.run_verdict == "not refuted"
    assert verdict.bound == "speaker EER not below 36.0% (semi-informed)"
    assert "bounds the attackers that were run and no other" in verdict.reason


def test_the_bound_is_the_end_of_the_interval_that_leaks_more():
    accuracy = Selector(attack="language", metric="balanced accuracy")
    part = Part(name="the language", refuted_by=(accuracy,), bounded_by=(accuracy,))
    one = found(accuracy, "not detected", leaks_when="higher", unit="%")
    assert judged(claim(part), one).bound == "balanced accuracy not above 44.0% (semi-informed)"


@pytest.mark.parametrize("word", ["inconclusive", "invalid", "untested"])
def test_what_decided_nothing_neither_refutes_nor_supports(word):
    verdict = judged(claim(voice()), found(EER, word))
    assert (verdict.verdict, verdict.run_verdict) == ("untested", "untested")
    assert f"is {word}" in verdict.reason and verdict.bound == ""
    assert verdict.finding_ids == ("speaker.qformer.semi-informed-eer",)


def test_without_findings_a_claim_is_untested_and_says_what_was_not_run():
    verdict = judged(claim(voice()))
    assert (verdict.run_system, verdict.run_verdict) == ("reference", "untested")
    assert "speaker EER of the speaker attack (semi-informed-eer) was not run" in verdict.reason


def test_an_attack_that_could_not_be_measured_is_said_to_be_so():
    unmeasured = found(EER, "inconclusive", id="speaker.qformer", metric="speaker")
    assert "speaker could not be measured" in judged(claim(voice()), unmeasured).reason


def test_a_weak_attacker_refutes_but_does_not_bound():
    assert judged(claim(voice()), found(WEAK, "leaks")).run_verdict == "refuted"
    assert judged(claim(voice()), found(WEAK, "not detected")).run_verdict == "untested"
    strong_open = judged(claim(voice()), found(WEAK, "not detected"), found(EER, "inconclusive"))
    assert strong_open.run_verdict == "untested"


def test_one_leak_outweighs_any_number_of_bounds():
    verdict = judged(claim(voice()), found(EER, "not detected"), found(WEAK, "leaks"))
    assert verdict.run_verdict == "refuted"
    assert verdict.finding_ids == ("speaker.qformer.lazy-informed-eer",)


def test_a_sentence_of_two_parts_falls_with_one_and_stands_with_both():
    length = Selector(attack="duration", metric="duration MAE", slug="mae")
    both = claim(voice(), Part(name="the length", refuted_by=(length,), bounded_by=(length,)))
    bound, leak = found(EER, "not detected"), found(length, "leaks")
    assert judged(both, bound, leak).run_verdict == "refuted"
    assert judged(both, bound).run_verdict == "untested"
    stands = judged(both, bound, found(length, "not detected"))
    assert stands.run_verdict == "not refuted" and len(stands.finding_ids) == 2


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(30.0, 50.0, "refuted"), (30.0, 50.1, "untested"), (None, None, "untested")],
)
def test_a_leak_must_reach_what_the_sentence_denies_with_the_weaker_end(low, high, word):
    part = Part(name="the words", refuted_by=(READ,), bounded_by=(READ,))
    heard = found(READ, "leaks", estimate=Interval(value=40.0, low=low, high=high))
    verdict = judged(claim(part), heard)
    assert verdict.run_verdict == word
    assert ("leaks, but not as far as would contradict it" in verdict.reason) == (
        word == "untested"
    )


def test_where_a_higher_figure_leaks_the_lower_end_must_reach():
    accuracy = Selector(attack="language", metric="balanced accuracy", reaches=60.0)
    part = Part(name="the language", refuted_by=(accuracy,), bounded_by=(accuracy,))

    def word(low: float) -> str | None:
        estimate = Interval(value=70.0, low=low, high=80.0)
        one = found(accuracy, "leaks", leaks_when="higher", estimate=estimate)
        return judged(claim(part), one).run_verdict

    assert (word(60.0), word(59.9)) == ("refuted", "untested")


def test_a_leak_that_falls_short_is_no_bound_beside_one_that_found_nothing():
    short = READ.model_copy(update={"slug": "wer-of-another"})
    part = Part(name="the words", refuted_by=(READ, short), bounded_by=(READ,))
    verdict = judged(claim(part), found(READ, "not detected"), found(short, "leaks",
                     estimate=interval(80.0, 4.0)))  # fmt: skip
    assert verdict.run_verdict == "untested"


# --- which findings count


def test_wire_is_the_tap_under_audit_and_no_other():
    at_encoder = found(EER, "leaks", tap="encoder")
    first = found(READ, "inconclusive")
    assert judged(claim(voice()), first, at_encoder).run_verdict == "untested"
    assert judged(claim(voice()), at_encoder, first).run_verdict == "refuted"


def test_a_tap_that_is_named_is_that_tap():
    named = voice((EER.model_copy(update={"tap": "qformer"}),), (EER,))
    verdict = judged(claim(named), found(EER, "leaks", tap="encoder"))
    assert verdict.run_verdict == "untested"


@pytest.mark.parametrize(
    "change",
    [
        {"attack": "linkage"},
        {"metric": "linkage EER"},
        {"attacker": "cross-modal"},
        {"id": "speaker.qformer.semi-informed-eer-mixed"},
        {"position": "cloud"},
    ],
)
def test_a_selector_selects_nothing_that_differs_in_what_it_names(change):
    named = EER.model_copy(update={"attacker": "semi-informed"})
    part = voice((named,), (named,))
    assert judged(claim(part), found(EER, "leaks")).run_verdict == "refuted"
    assert judged(claim(part), found(EER, "leaks", **change)).run_verdict == "untested"


def test_an_attacker_in_the_cloud_counts_where_a_claim_says_so():
    cloud = EER.model_copy(update={"position": "cloud"})
    part = voice((cloud,), (cloud,))
    assert judged(claim(part), found(EER, "leaks", position="cloud")).run_verdict == "refuted"
    assert judged(claim(part), found(EER, "leaks")).run_verdict == "untested"


def test_each_audited_system_has_a_verdict_of_its_own():
    leaks = found(EER, "leaks", id="reference.speaker.qformer.semi-informed-eer")
    bounded = found(
        EER,
        "not detected",
        system="reference-lite",
        id="reference-lite.speaker.qformer.semi-informed-eer",
    )
    both = verdicts([claim(voice())], bare_run(leaks, bounded), NOTHING)
    assert [(v.run_system, v.run_verdict) for v in both] == [
        ("reference", "refuted"),
        ("reference-lite", "not refuted"),
    ]


def test_with_fingerprints_only_those_tensors_count():
    leak = found(EER, "leaks", system="esrt-4b")
    for prints, word in (((SHA,), "refuted"), ((SHA[:16],), "refuted"), ((SHA[:8],), "untested"),
                         (("0" * 64,), "untested")):  # fmt: skip
        verdict = judged(claim(voice(), fingerprints=prints), leak, system="esrt-4b")
        assert verdict.verdict == word, prints


def test_hostile_names_stay_on_one_line():
    hostile = "x\x1b[31m\nrefuted\u202e"
    verdict = judged(claim(voice()), found(EER, "leaks", system=hostile), system=hostile)
    assert verdict.reason.isprintable()


# --- the shipped claims


@pytest.mark.parametrize("shipped", BY_FINDINGS, ids=lambda c: c.id)
def test_every_shipped_claim_can_become_each_verdict(shipped):
    parts = shipped.test.parts
    bounded = {s: found(s, "not detected") for part in parts for s in part.bounded_by}
    for system, own in (("reference", False), ("esrt-4b", True), ("esrt-12b", True)):
        there = [f.model_copy(update={"system": system}) for f in bounded.values()]
        verdict = judged(shipped, *there, system=system)
        assert verdict.run_verdict == "not refuted" and verdict.bound
        assert verdict.verdict == ("not refuted" if own else "untested")
        for part in parts:
            for selector in part.refuted_by:
                leak = found(selector, "leaks", system=system, estimate=interval(20.0, 2.0))
                rest = [f for f in there if f.id != leak.id]
                verdict = judged(shipped, *rest, leak, system=system)
                assert verdict.run_verdict == "refuted"
                assert verdict.verdict == ("refuted" if own else "untested")
        for left_out in there:
            rest = [f for f in there if f.id != left_out.id]
            assert judged(shipped, *rest, system=system).run_verdict == "untested"


@pytest.mark.parametrize(("strength", "word"), [(3.0, "refuted"), (0.0, "untested")])
def test_findings_of_a_real_attack_decide_a_shipped_claim(strength, word):
    """Lengths planted in the tensor are found; where none are, its timestamps are still not asked for."""
    (temporal,) = (c for c in BY_FINDINGS if c.id == "temporal-obfuscation")
    known = {"duration": 3.0}
    leaks = {"qformer": {"duration": strength}, "transparent": known, "mel": known}
    material = inputs(people(30, 6), leaks, folds=3)
    answers = {(tap, 0): duration.measure(material, tap, 0) for tap in leaks}
    there = drafts.judged(duration.drafts(material, answers))
    (verdict,) = verdicts([temporal], bare_run(*there, system="planted"), NOTHING)
    assert (verdict.run_system, verdict.run_verdict) == ("planted", word), verdict.reason
    assert ("frame error of the duration attack was not run" in verdict.reason) == (
        word == "untested"
    )
    length = {f.metric: f.verdict for f in there if f.tap == "qformer"}["duration MAE"]
    assert length == ("leaks" if word == "refuted" else "not detected")


def test_envelopes_do_not_make_speech_intelligible():
    (unintelligible,) = (c for c in BY_FINDINGS if c.id == "reconstruction-unintelligible")
    for metric in ("STOI", "ESTOI", "envelope correlation", "MCD", "WER"):
        leak = found(Selector(attack="reconstruction", metric=metric), "leaks",
                     estimate=interval(20.0, 2.0))  # fmt: skip
        assert judged(unintelligible, leak).run_verdict == "untested"


def test_the_arithmetic_needs_no_findings_and_names_no_system_that_was_run():
    for verdict in verdicts(load(), bare_run(), NOTHING):
        assert (verdict.kind == "arithmetic") == verdict.verdict.startswith("arithmetic")
        if verdict.kind == "arithmetic":
            assert verdict.run_system is None and verdict.run_verdict is None and verdict.figures
        else:
            assert verdict.verdict == "untested" and verdict.reason
