"""Linkage on planted leaks."""

from dataclasses import replace

import numpy as np
import pytest

from esrt_privacy.attacks import linkage
from esrt_privacy.attacks.base import OVERRULED
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.errors import AttackError
from tests.attacks.planted import inputs, people

BUDGET = 0.03
STRONG = {"speaker": 4.0, "duration": 2.0}


def attacked(corpus, leaks, seeds=(0,), **options):
    given = inputs(corpus, leaks, folds=2, budget=BUDGET, **options)
    answers = {(tap, s): linkage.measure(given, tap, s) for tap in leaks for s in seeds}
    return {f.id.removeprefix("linkage."): f for f in judged(linkage.drafts(given, answers))}


@pytest.fixture(scope="module")
def found():
    return attacked(people(24, 5), {"qformer": STRONG, "transparent": STRONG, "mel": STRONG})


def test_tensors_of_one_person_are_linked(found):
    finding = found["qformer.same-person"]
    assert finding.estimate.value < 25
    assert finding.verdict == "leaks"
    assert finding.control_passed is True
    assert set(finding.floors) == {"chance", "duration only"}


def test_the_recording_is_found_among_candidates(found):
    first, ten = found["qformer.recording-top-1"], found["qformer.recording-top-10"]
    assert first.estimate.value > 2 * first.floors["chance"].value
    assert first.estimate.value <= ten.estimate.value <= 100
    assert ten.estimate.value > ten.floors["chance"].value
    assert any("bit by bit" in note for note in first.notes)


def test_the_true_length_is_no_floor_of_a_search(found):
    """A tensor of fixed size does not state it: who finds a recording by the length has read it off the tensor."""
    first = found["qformer.recording-top-1"]
    assert set(first.floors) == {"chance"}
    assert any("told its true length would find it in 100%" in note for note in first.notes)
    assert first.verdict == "leaks"


def test_a_search_weighs_what_is_read_off_well():
    """The length alone is in these tensors: beside 160 values that are not, it still finds the recording."""
    leaks = {"qformer": {"duration": 4.0}, "transparent": STRONG, "mel": STRONG}
    top = attacked(people(24, 5), leaks)["qformer.recording-top-10"]
    assert top.estimate.low > 1.5 * top.floors["chance"].value


def test_no_leak_is_never_claimed():
    leaks = {"qformer": {}, "transparent": STRONG, "mel": STRONG}
    found = attacked(people(24, 5, seed=3), leaks)
    assert {f.verdict for key, f in found.items() if key.startswith("qformer")} <= {
        "not detected",
        "inconclusive",
    }


def test_a_failed_control_is_invalid():
    found = attacked(people(24, 4), {"qformer": {}, "transparent": {}, "mel": {}})
    assert found["qformer.same-person"].verdict == "invalid"


def test_a_plain_link_stands_where_the_control_fails():
    found = attacked(people(24, 4), {"qformer": STRONG, "transparent": {}, "mel": {}})
    leak = found["qformer.same-person"]
    assert leak.verdict == "leaks" and leak.control_passed is False and OVERRULED in leak.notes


def test_windows_of_one_recording_are_linked_among_one_speakers():
    rows = tuple(
        replace(u, id=f"{u.speaker}-r{n % 2}#{n}", session=f"{u.speaker}-r{n % 2}", end=9.0)
        for u, n in ((u, int(u.id.rpartition("-")[2])) for u in people(20, 6))
    )
    corpus = replace(people(20, 6), utterances=rows)
    strong = {"session": 4.0}
    found = attacked(corpus, {"qformer": strong, "mel": strong})
    finding = found["qformer.same-recording"]
    assert finding.estimate.value < 25
    assert any("pairs of one recording" in note for note in finding.notes)


def test_what_cannot_be_asked_is_noted():
    given = inputs(people(10, 4), {"qformer": STRONG}, folds=2, budget=BUDGET)
    answer = linkage.measure(given, "qformer", 0)
    assert any("no two utterances are cut from one recording" in note for note in answer.notes)
    assert any("log-mel of the recordings was not captured" in note for note in answer.notes)
    assert not any(name.startswith(("recording", "search")) for name in answer.arrays)


def test_one_speaker_alone_is_an_error_of_one_line():
    with pytest.raises(AttackError, match="one speaker and no training corpus"):
        linkage.measure(inputs(people(1, 6), {"qformer": {}}), "qformer", 0)


def test_the_same_seed_answers_alike():
    given = inputs(people(12, 4), {"qformer": STRONG, "mel": STRONG}, folds=2, budget=BUDGET)
    one, two = (linkage.measure(given, "qformer", 1) for _ in range(2))
    assert one.rows == two.rows
    for name, values in one.arrays.items():
        assert np.array_equal(values, two.arrays[name], equal_nan=True)
