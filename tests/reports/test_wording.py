"""Sentences and figures: each names what it speaks of, and none promises more than was found."""

import io

import pytest
from rich.console import Console

from esrt_privacy.findings import VERDICTS, Interval
from esrt_privacy.reports import wording
from esrt_privacy.reports.summary import print_summary
from tests.reports.fake_run import fake_run, finding, interval


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_sentence_names_system_corpus_and_tap(verdict: str) -> None:
    sentence = wording.verdict_sentence(finding(verdict=verdict))
    assert all(name in sentence for name in ("system reference", "corpus demo", "qformer"))
    assert sentence.endswith(".") and "private" not in sentence


def test_headline_speaks_of_the_gravest_finding_at_the_tap_under_audit(tmp_path) -> None:
    run = fake_run(tmp_path)
    calm = finding(id="a", verdict="not detected")
    broken = finding(id="b", verdict="invalid")
    elsewhere = finding(id="c", tap="encoder", verdict="leaks")
    run = run.model_copy(update={"findings": (calm, broken, elsewhere)})
    lead = wording.leading_finding(run)
    assert lead is not None and lead.id == "b"
    # The first finding is what a reader asks for first, whatever its verdict.
    assert wording.headline(run).endswith(": not detected.")
    alone = run.model_copy(update={"findings": (calm,)})
    assert wording.headline(alone) == wording.verdict_sentence(calm)


def test_the_strongest_floor_is_the_one_that_looks_most_like_leakage() -> None:
    floors = {"low": interval(10, 1), "high": interval(20, 1), "none": Interval(value=None)}
    lower = wording.strongest_floor(finding(floors=floors, leaks_when="lower"))
    higher = wording.strongest_floor(finding(floors=floors, leaks_when="higher"))
    assert lower is not None and lower[0] == "low"
    assert higher is not None and higher[0] == "high"
    assert wording.strongest_floor(finding(floors={})) is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "%", "not measured"),
        (71.42, "%", "71.4%"),
        (0.4449, "", "0.44"),
        (-0.081, "", "\u22120.08"),
        (7.912, "dB", "7.91 dB"),
        (0.0042, "", "0.0042"),
        (1234.5, "Hz", "1,234 Hz"),
        (0.0, "", "0.00"),
    ],
)
def test_figures_have_the_digits_they_deserve(value: float | None, unit: str, text: str) -> None:
    assert wording.figure(value, unit) == text


def test_an_interval_says_its_unit_once() -> None:
    assert wording.with_bounds(interval(71.4, 4.2), "%") == "71.4% (67.2 to 75.6%)"
    assert wording.with_bounds(Interval(value=0.5), "") == "0.50"


def test_language_tags_are_those_a_page_must_use() -> None:
    tags = [wording.language_tag(code) for code in ("eng", "cmn", "yue", None, '"><b>')]
    assert tags == ["en", "zh", "yue", "und", "und"]


def test_terminal_table_shows_every_finding_and_reads_no_markup_from_names(tmp_path) -> None:
    run = fake_run(tmp_path)
    hostile = finding(id="hostile", metric="[red]\x1b[31m[/nope]", verdict="inconclusive")
    run = run.model_copy(update={"findings": (*run.findings, hostile)})
    output = io.StringIO()
    print_summary(run, Console(file=output, width=160))
    text = output.getvalue()
    assert text.count("leaks") == 5
    assert "[red]" in text and "\x1b" not in text
    assert "The qformer tensors of the system reference leak on the corpus demo" in text


def test_an_attack_without_a_figure_is_said_to_be_unmeasured() -> None:
    unmeasured = finding(verdict="inconclusive", estimate=Interval(value=None), floors={})
    sentence = wording.verdict_sentence(unmeasured)
    assert sentence.endswith("the reconstruction attack could not be measured.")


def test_terminal_table_says_which_attack_and_who(tmp_path) -> None:
    linked = {"attack": "linkage", "attacker": "lazy-informed", "metric": "EER"}
    person, recording = (finding(id=f"linkage.qformer.{n}", **linked) for n in ("person", "same"))
    run = fake_run(tmp_path).model_copy(update={"findings": (finding(), person, recording)})
    output = io.StringIO()
    print_summary(run, Console(file=output, width=200))
    assert "reconstruction, semi-informed" in output.getvalue()
    assert output.getvalue().count("linkage, lazy-informed") == 2
    # What one attack asks twice is told apart, what it asks once stays plain.
    assert "EER (person)" in output.getvalue() and "EER (same)" in output.getvalue()
    assert "word error rate (" not in output.getvalue()
