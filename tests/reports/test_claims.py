"""The file of claims: what is shipped can be decided by this toolkit, and what is wrong is one line."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.attacks import attributes, duration, language, speaker, structure
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.base import SMALLEST_EFFECT
from esrt_privacy.attacks.families import MODULES, RECONSTRUCTION, family_module
from esrt_privacy.attacks.pause_findings import FIGURES as PAUSES
from esrt_privacy.attacks.reconstruction_findings import LENGTH, METRICS
from esrt_privacy.bandwidth.codecs import audio_formats
from esrt_privacy.bandwidth.tensors import tensor_formats
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import ReportError
from esrt_privacy.esrt.config import PRESETS
from esrt_privacy.reports.claims import (
    MAX_FILE_BYTES,
    Claim,
    FindingsTest,
    IdentifierTest,
    Part,
    Selector,
    SmallerTest,
    load,
)
from tests.attacks.planted import inputs, people

CLAIM = """
source = "Acme"
[[claims]]
id = "no-names"
section = "Leaflet"
sentence = "Nobody learns names."
about = ["acme-1"]
kind = "privacy"
why = "Words are names too."
test = { by = "nothing", missing = "an attack on names." }
"""
PART = """
[[claims.test.parts]]
name = "all"
refuted_by = [{ attack = "speaker", metric = "speaker EER" }]
bounded_by = [{ attack = "speaker", metric = "speaker EER" }]
"""
# Each of these must be there, whatever else is.
WANTED = {
    "no-voiceprint-leakage",
    "information-bottleneck",
    "backend-identification",
    "mixed-backends-hinder-training",
    "temporal-obfuscation",
    "language-obfuscation",
    "reconstruction-unintelligible",
    "reconstruction-needs-language",
    "no-structure",
    "smaller-than-30-seconds",
    "up-to-10-times",
    "edge-under-4-gb",
    "cloud-in-16-gb",
    "cache-sends-identifiers",
    "lite-fewer-tokens",
    "directions",
    "training-hours",
    "resource-tiers",
    "thai-in-two-tables",
}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "claims.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parts() -> Iterator[tuple[Claim, Part]]:
    for claim in load():
        if isinstance(claim.test, FindingsTest):
            yield from ((claim, part) for part in claim.test.parts)


def selectors() -> list[Selector]:
    return [s for _, part in parts() for s in (*part.refuted_by, *part.bounded_by)]


# --- what is shipped


def test_every_claim_that_the_toolkit_can_test_is_listed_once():
    ids = [claim.id for claim in load()]
    assert set(ids) >= WANTED and len(set(ids)) == len(ids)


def test_shipped_claims_speak_of_systems_that_are_known():
    assert {name for claim in load() for name in claim.about} <= PRESETS.keys()


def test_shipped_selectors_name_attacks_metrics_attackers_and_taps_of_this_toolkit():
    for selector in selectors():
        assert selector.attack in (*MODULES, RECONSTRUCTION)
        assert selector.metric in SMALLEST_EFFECT
        assert selector.tap == "qformer"  # what leaves the device in every system of the paper
        if selector.attacker is not None:
            assert selector.attacker in family_module(selector.attack).FAMILY.attackers


def test_shipped_thresholds_lie_where_their_metric_can_be():
    reaching = [selector for selector in selectors() if selector.reaches is not None]
    assert reaching and all(0 < s.reaches < 100 and s.metric.startswith("WER") for s in reaching)


def test_a_part_is_bounded_by_what_can_refute_it_too():
    for claim, part in parts():
        asked = {s.model_copy(update={"reaches": None}) for s in part.refuted_by}
        assert asked >= set(part.bounded_by), claim.id


def made(family, given_to_it, answers: Answers) -> set[tuple[str, str, str]]:
    """Attack, metric and slug of every finding that a family makes of answers."""
    drafts = family.drafts(given_to_it, {("qformer", 0): answers})
    return {(d.finding.attack, d.finding.metric, d.finding.id.rpartition(".")[2]) for d in drafts}


def scored_trials(corpus: Corpus) -> Answers:
    """Random scores of every attacker for all pairs of people: two attackers would need audio to make some."""
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a in corpus.speakers for b in corpus.speakers]
    target = np.array([a == b for a, b in pairs])
    scores = {name: rng.normal(size=len(pairs)) for name in speaker.FAMILY.attackers}
    return Answers(
        {"target": target, "same_sex": np.ones(len(pairs), bool), **scores},
        {
            "enrol": tuple(a for a, _ in pairs),
            "test": tuple(b for _, b in pairs),
            "heads": ("linear",),
            "trial_list": ("0" * 64,),
        },
    )


def test_shipped_selectors_select_what_the_attacks_really_make():
    corpus = people(10, 3)
    leaks = {"qformer": {"language": 3.0, "sex": 3.0, "duration": 1.0}}
    given_to_it = inputs(corpus, leaks, budget=0.01, folds=2)
    there = made(speaker, given_to_it, scored_trials(corpus))
    for family in (language, attributes, structure, duration):
        there |= made(family, given_to_it, family.measure(given_to_it, "qformer", 0))
    there |= {("duration", figure.metric, figure.slug) for figure in PAUSES}
    for metric in (*METRICS, LENGTH):
        there.add((RECONSTRUCTION, metric.name, metric.slug))
        there.add((RECONSTRUCTION, f"{metric.name} at its own length", f"{metric.slug}-own-length"))
    for selector in selectors():
        assert any(
            (attack, metric) == (selector.attack, selector.metric) and selector.slug in (None, slug)
            for attack, metric, slug in there
        ), selector


def test_shipped_claims_name_formats_of_a_bandwidth_record():
    names = {each.name for each in audio_formats()}
    names |= {each.name for vectors in (80, 40) for each in tensor_formats(vectors, 768)}
    tests = [c.test for c in load() if isinstance(c.test, SmallerTest | IdentifierTest)]
    assert len(tests) == 3
    for test in tests:
        assert test.tensor in names
        assert isinstance(test, IdentifierTest) or test.audio in names


def test_figures_that_remarks_mention_are_right():
    remarks = {claim.id: claim.remark for claim in load()}
    # 122,880 B at 16,000 samples of 2 B a second; 392 MB over 647 files at 2 and 4 B a sample.
    assert "A recording of 4 s" in remarks["ratio-of-30-seconds"]
    assert round(122_880 / 32_000) == 4
    assert "19 s each at 16 bits, or 9.5 s at 32 bits" in remarks["table-bandwidth-api"]
    assert round(392e6 / 647 / 32_000) == 19 and round(392e6 / 647 / 64_000, 1) == 9.5
    # Table IX prints 88.3 as the mean of its five medium languages.
    assert "averages of Table IX rest on it" in remarks["thai-in-two-tables"]
    others = 89.9 + 88.5 + 88.0 + 87.9
    assert round((others + 87.4) / 5, 1) == 88.3 != round((others + 83.1) / 5, 1)


# --- other files


def test_a_vendors_claims_stand_beside_the_shipped_ones(tmp_path):
    path = written(tmp_path, CLAIM)
    assert [claim.id for claim in load([path])] == [*(c.id for c in load()), "no-names"]


def test_a_vendors_claims_can_stand_instead_of_the_shipped_ones(tmp_path):
    path = written(tmp_path, "instead = true\n" + CLAIM)
    assert [claim.id for claim in load([path])] == ["no-names"]


def test_an_id_that_stands_twice_is_refused_and_both_files_are_named(tmp_path):
    path = written(tmp_path, CLAIM.replace("no-names", "directions"))
    with pytest.raises(ReportError, match=r"directions stands in the shipped claims already"):
        load([path])
    twice = written(tmp_path, CLAIM)
    with pytest.raises(ReportError, match=r"no-names stands in .*claims.toml already"):
        load([twice, twice])


PRIVACY = CLAIM.replace('test = { by = "nothing", missing = "an attack on names." }', "")
WRONG = {
    "not TOML": ("claims = [", "not TOML"),
    "bytes": (b"\xff\xfe", "cannot be read as claims"),
    "a number too long": ("source = " + "9" * 5000, "not TOML"),
    "deep": ("source = " + "[" * 3000, "not TOML"),
    "no claims": ('source = "x"', "claims: Field required"),
    "none": ('source = "x"\nclaims = []', "claims: .*at least 1"),
    "unknown field": (CLAIM + 'severity = "high"', "severity: Extra inputs"),
    "unknown kind": (CLAIM.replace('"privacy"', '"safety"'), "kind: Input should be"),
    "unknown test": (PRIVACY + '[claims.test]\nby = "magic"', "test: .*does not match"),
    "no parts": (PRIVACY + '[claims.test]\nby = "findings"\nparts = []', "parts"),
    "unknown attacker": (
        PRIVACY
        + '[claims.test]\nby = "findings"\n'
        + PART.replace('"speaker EER" }', '"speaker EER", attacker = "god" }', 1),
        "attacker: Input should be",
    ),
    "not a number": (
        PRIVACY
        + '[claims.test]\nby = "findings"\n'
        + PART.replace('"speaker EER" }', '"speaker EER", reaches = nan }', 1),
        "reaches: Input should be a finite number",
    ),
    "kind and test differ": (CLAIM.replace('"privacy"', '"arithmetic"'), "must both be arithmetic"),
    "unknown formula": (
        PRIVACY.replace('"privacy"', '"arithmetic"')
        + '[claims.test]\nby = "arithmetic"\narithmetic = { formula = "guess" }',
        "arithmetic: .*does not match",
    ),
    "id that is none": (CLAIM.replace("no-names", "../etc"), "id: String should match"),
    "too long a sentence": (CLAIM.replace("Nobody", "x" * 2000), "sentence: String should have"),
    "too large": ("#" * (MAX_FILE_BYTES + 1), "too long for claims"),
    "terminal codes": ('source = "\x1b[31m"', "not TOML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_one_line_that_names_it(name, tmp_path):
    text, message = WRONG[name]
    path = written(tmp_path, text)
    with pytest.raises(ReportError) as caught:
        load([path])
    said = str(caught.value)
    assert said.startswith(str(path)) and re.search(message, said), said
    assert said.isprintable() and len(said) < 600


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ReportError, match="cannot be read as claims"):
            load([path])


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_text_is_read_as_claims_by_accident(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("any"), text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ReportError):
        load([path])
