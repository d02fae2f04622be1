"""Shares, their binomial intervals and their standing, by hand."""

import numpy as np
import pytest

from esrt_privacy.attacks.training_curves import last_quarter_falls
from esrt_privacy.findings import BudgetPoint
from esrt_privacy.measures import simulation
from esrt_privacy.measures.coverage import Cell
from esrt_privacy.measures.verification import eer
from esrt_privacy.validity import tallies
from esrt_privacy.validity.record import Detection


def test_a_share_with_no_hit_of_twenty_is_bounded_by_the_rule_of_clopper_and_pearson() -> None:
    share = tallies.proportion(0, 20)
    # 1 - (0.025)^(1/20)
    assert (share.value, share.low) == (0.0, 0.0)
    assert share.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_a_share_of_nothing_is_no_number() -> None:
    assert tallies.proportion(0, 0).value is None
    assert tallies.standing_of(tallies.proportion(0, 0), (0, 0.05)) == "unclear"


@pytest.mark.parametrize(
    ("hits", "of", "standing"), [(5, 200, "holds"), (12, 200, "unclear"), (30, 200, "fails")]
)
def test_five_in_a_hundred_false_alarms_are_allowed(hits: int, of: int, standing: str) -> None:
    assert tallies.standing_of(tallies.proportion(hits, of), (0.0, 0.05)) == standing


@pytest.mark.parametrize(
    ("hits", "standing"), [(950, "holds"), (912, "unclear"), (880, "fails"), (999, "fails")]
)
def test_coverage_may_be_too_small_and_too_large(hits: int, standing: str) -> None:
    assert tallies.standing_of(tallies.proportion(hits, 1000), tallies.COVERED) == standing


def test_coverage_counts_what_contains_the_truth() -> None:
    estimates = [[0.2, 0.1, 0.3], [0.2, 0.25, 0.3], [0.2, 0.1, 0.15], [0.2, None, None]]
    rows = [{"truth": 0.2, "estimate": e, "method": "m"} for e in estimates]
    found = tallies.cell_coverage(Cell("eer", 10, 0.2), rows)
    assert (found.covered, found.below, found.above, found.undefined) == (1, 1, 1, 1)
    assert found.share.value == pytest.approx(1 / 3)
    assert found.median_width == pytest.approx(0.05)


def test_a_trial_interval_is_caught_by_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials taken as independent cover the truth of a speaker population far too seldom."""
    monkeypatch.setattr("esrt_privacy.measures.coverage.PAIRS_OF_TRUTH", 100_000)
    cell = Cell("eer", 30, 0.05)
    population = cell.population()
    model = simulation.SpeakerModel(between=population.parameter)
    rows, honest = [], []
    for corpus in range(80):
        trials = simulation.all_trials(model, 30, np.random.default_rng([2, corpus]))
        value = eer(trials.scores[trials.is_target], trials.scores[~trials.is_target])
        half = 1.96 * np.sqrt(value * (1 - value) / trials.is_target.sum())
        ends = [value, value - half, value + half]
        rows.append({"truth": population.truth, "estimate": ends, "method": "trials"})
        if corpus < 40:
            found = population.estimate(np.random.default_rng([2, corpus]), 200)
            ends = list(found[:3])
            honest.append({"truth": population.truth, "estimate": ends, "method": found.method})
    assert tallies.cell_coverage(cell, rows).standing == "fails"
    assert tallies.cell_coverage(cell, honest).standing != "fails"


def test_the_smallest_leak_is_the_end_of_an_unbroken_row() -> None:
    def row(strength: float, detected: int) -> Detection:
        return Detection(
            label="sex",
            statistic="s",
            strength=strength,
            bits=strength / 10,
            reruns=20,
            detected=detected,
            share=tallies.proportion(detected, 20),
            mean_value=None,
        )

    found = tallies.smallest("sex", [row(0.5, 20), row(2.0, 20), row(1.0, 18), row(1.4, 19)])
    assert (found.strength, found.bits) == (1.4, pytest.approx(0.14))
    assert tallies.smallest("sex", [row(2.0, 3)]).strength is None


def test_reruns_count_leaks_and_what_beat_chance_alone() -> None:
    def row(leaks: bool, beats: bool) -> dict:
        reading = {"statistic": "s", "leaks": leaks, "beats_chance": beats, "value": 1.0}
        return {"readings": [{**reading, "undefined": False}]}

    (found,) = tallies.rerun_alarms([row(True, True), row(False, True), {"error": "x"}], 26)
    assert (found.sets, found.alarms, found.against_chance) == (2, 1, 1.0)


@pytest.mark.parametrize(
    ("values", "falling"),
    [((4.0, 2.0, 1.0, 0.9), True), ((4.0, 2.0, 1.0, 0.98), False), ((4.0, 1.0, 2.0, 3.0), False)],
)
def test_a_curve_still_falls_where_its_last_quarter_takes_off_three_in_a_hundred(
    values: tuple[float, ...], falling: bool
) -> None:
    assert last_quarter_falls((100, 200, 300, 400), values) is falling
    points = [
        BudgetPoint(tap="qformer", amount=a, amount_unit="steps", metric="EER", value=v)
        for a, v in zip(
            (400, 100, 300, 200), (values[3], values[0], values[2], values[1]), strict=True
        )
    ]
    (curve,) = tallies.budget_curves(points)
    assert curve.amounts == (100, 200, 300, 400)
    assert curve.values == values
    assert curve.still_falling is falling
