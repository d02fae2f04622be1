"""Claims that are arithmetic, against values computed by hand."""

import csv
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from esrt_privacy.reports.claim_arithmetic import Arithmetic, Fewer, SameCell, Sent, Times
from esrt_privacy.reports.claim_rules import ClaimVerdict, Evidence, verdicts
from esrt_privacy.reports.claims import load
from tests.reports.bare_run import bare_run

FORMULA = TypeAdapter(Arithmetic)
DECIDED = {v.claim: v for v in verdicts(load(), bare_run(), Evidence()) if v.kind == "arithmetic"}
# What the shipped claims give, by hand: verdict, and the figures in order.
BY_HAND = {
    "bottleneck-factor": ("arithmetic holds", [31.25]),
    "ratio-of-30-seconds": ("arithmetic holds", [7.8125]),
    "lite-fewer-tokens": ("arithmetic does not hold", [50.0]),
    "lite-factor": ("arithmetic holds", [62.5]),
    "table-bandwidth-api": ("arithmetic holds", [521.36, 41.68]),
    "table-bandwidth-esrt": ("arithmetic holds", [102.41, 8.16]),
    "table-bandwidth-lite": ("arithmetic holds", [50.54, 4.08]),
    "table-ten-times": ("arithmetic holds", [10.2156862745098]),
    "directions": ("arithmetic does not hold", [1980.0] * 7),
    "training-hours": ("arithmetic does not hold", [398.5]),
    "resource-tiers": ("arithmetic does not hold", [15.0, 18.0, 12.0]),
    "thai-in-two-tables": ("arithmetic does not hold", [87.4, 83.1, 87.4]),
}


def test_every_shipped_claim_of_arithmetic_was_computed_by_hand_too():
    assert DECIDED.keys() == BY_HAND.keys()


@pytest.mark.parametrize("name", BY_HAND)
def test_shipped_arithmetic_comes_out_as_by_hand(name):
    verdict: ClaimVerdict = DECIDED[name]
    word, values = BY_HAND[name]
    assert verdict.verdict == word
    assert [figure.value for figure in verdict.figures] == pytest.approx(values, abs=1e-9)


def test_hours_and_tiers_are_those_of_the_shipped_table():
    text = (resources.files("esrt_privacy.corpora") / "languages.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    tenths = sum(int(row["train_hours"].replace(".", "")) for row in rows)
    assert DECIDED["training-hours"].figures[0].value == tenths / 10
    tiers = {f.name.split()[0]: f.value for f in DECIDED["resource-tiers"].figures}
    assert sum(tiers.values()) == len(rows) == 45
    assert tiers["low"] == sum(row["resource"] == "low" for row in rows)


def test_a_reason_says_what_came_out_beside_what_is_printed():
    assert DECIDED["lite-fewer-tokens"].reason == "fewer: 50% (1 - 40 / 80), printed 62.5%."
    assert DECIDED["directions"].reason.startswith("directions: 1,980 (45 · 44), printed 1,960;")
    assert DECIDED["directions"].reason.endswith("and 4 more.")
    thai = DECIDED["thai-in-two-tables"].reason
    assert "83.1 (Table VII, eng to tha), printed 87.4" in thai


@pytest.mark.parametrize(
    ("printed", "decimals", "holds"),
    [(33.3, 1, True), (33.4, 1, False), (33.0, 0, True), (33.33, 2, True), (33.32, 2, False)],
)
def test_a_printed_value_is_the_computed_one_rounded_as_printed(printed, decimals, holds):
    third = Fewer(formula="fewer", before=3, after=2, printed=printed, decimals=decimals)
    assert third.compute().holds is holds


def test_a_half_may_be_rounded_either_way():
    for printed in (12.0, 13.0):
        half = Fewer(formula="fewer", before=8, after=7, printed=printed, decimals=0)
        assert half.compute().holds


def test_one_wrong_figure_of_two_is_wrong():
    sent = {"formula": "sent", "megabytes": 10, "factor": 1.5, "link_mbit": 8, "decimals": 0}
    right = Sent(**sent, printed_megabytes=15, printed_seconds=15).compute()
    assert right.holds and [figure.value for figure in right.figures] == [15, 15]
    assert not Sent(**sent, printed_megabytes=16, printed_seconds=16).compute().holds
    late = Sent(**sent, printed_megabytes=15, printed_seconds=16).compute()
    assert [figure.name for figure in late.wrong] == ["time"]


def test_at_least_so_many_times_includes_exactly_so_many():
    for after, holds in ((10.0, True), (10.1, False)):
        assert Times(formula="times", before=100, after=after, at_least=10).compute().holds is holds


def test_the_same_cell_must_be_the_same_in_every_table():
    def cells(*values: float) -> SameCell:
        rows = [{"table": f"Table {n}", "value": value} for n, value in enumerate(values)]
        return SameCell.model_validate({"formula": "same cell", "what": "COMET", "cells": rows})

    assert cells(81.5, 81.5, 81.5).compute().holds
    assert [f.value for f in cells(81.5, 81.5, 81.6).compute().wrong] == [81.6]
    with pytest.raises(ValidationError, match="at least 2"):
        cells(81.5)
    with pytest.raises(ValidationError, match="a table is named twice"):
        SameCell(formula="same cell", what="x", cells=[{"table": "a", "value": 1}] * 2)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), 1e13, "many", None])
def test_inputs_that_are_no_sizes_are_refused(wrong):
    with pytest.raises(ValidationError):
        FORMULA.validate_python({"formula": "times", "before": 1, "after": wrong, "at_least": 1})


@given(st.floats(1e-3, 1e12), st.floats(1e-3, 1e12))
def test_any_two_sizes_give_a_ratio_that_holds_for_itself(before, after):
    ratio = before / after
    if 0 < ratio <= 1e12:
        formula = {"formula": "times", "before": before, "after": after, "at_least": ratio}
        assert FORMULA.validate_python(formula).compute().holds
