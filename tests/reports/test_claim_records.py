"""Claims about bytes and memory: decided by records, against figures set by hand."""

from datetime import UTC, datetime

import pytest

from esrt_privacy.bandwidth.record import Bandwidth, Crossing, Curve, DrawnCorpus, OnConnection
from esrt_privacy.evaluation.profile_record import Profile, ProfileFigure
from esrt_privacy.findings import Interval
from esrt_privacy.reports.claim_rules import ClaimVerdict, Evidence, verdicts
from esrt_privacy.reports.claims import load
from tests.reports.bare_run import bare_run
from tests.reports.fake_run import SHA

CLAIMS = {claim.id: claim for claim in load()}


def bandwidth(connection: OnConnection | None = None, **sizes: tuple[float, ...]) -> Bandwidth:
    """A record with these bytes at 10 and at 30 s."""
    return Bandwidth(
        tool_version="0.1.0",
        created=datetime(2025, 3, 14, tzinfo=UTC),
        command="esrt-privacy bandwidth",
        counted="bodies",
        corpus=DrawnCorpus(
            name="demo",
            fingerprint=SHA,
            available=4,
            samples=4,
            distinct=4,
            with_replacement=False,
            speakers=2,
            seconds_mean=6.0,
            seconds_shortest=2.0,
            seconds_longest=9.0,
        ),
        seed=0,
        statements=(),
        formats=(),
        durations=(10.0, 30.0),
        curves=tuple(
            Curve(name=name, kind="tensor" if name.startswith("tensor") else "audio", sizes=each)
            for name, each in sizes.items()
        ),
        break_even=(),
        transfers=(),
        connection=connection,
        identifier_bytes=64,
    )


def crossing(first: float, most: float | None, name: str = "tensor-80x768-bf16") -> OnConnection:
    return OnConnection(
        notes=(),
        traffic=(),
        crossings=(
            Crossing(
                name=name,
                protocol="gRPC",
                up=Interval(value=first),
                down=100.0,
                beside_least=100,
                beside_most=200,
                opening_up=1000,
                opening_down=1000,
                identifier_up=most,
                identifier_up_most=most,
                recordings_crossed=4,
                identifiers_crossed=0 if most is None else 4,
            ),
        ),
    )


def decided(name: str, evidence: Evidence) -> ClaimVerdict:
    (verdict,) = verdicts([CLAIMS[name]], bare_run(), evidence)
    return verdict


def of_sizes(name: str, record: Bandwidth | None) -> ClaimVerdict:
    return decided(name, Evidence(bandwidth=record))


FULL, LITE = "tensor-80x768-bf16-json", "tensor-40x768-bf16-json"


@pytest.mark.parametrize(
    ("name", "tensor", "at_30_s", "word"),
    [
        ("smaller-than-30-seconds", FULL, 775.0, "not refuted"),
        ("smaller-than-30-seconds", FULL, 774.0, "refuted"),
        ("up-to-10-times", LITE, 1000.0, "not refuted"),
        ("up-to-10-times", LITE, 999.0, "refuted"),
    ],
)
def test_a_ratio_is_taken_at_the_duration_of_the_sentence(name, tensor, at_30_s, word):
    record = bandwidth(
        **{"wav-16-json": (100.0, at_30_s), tensor: (100.0, 100.0), "opus-6": (7.0, 21.0)}
    )
    verdict = of_sizes(name, record)
    assert (verdict.verdict, verdict.run_verdict) == (word, word)
    assert verdict.figures[0].value == at_30_s / 100
    assert "opus-6, the smallest audio format of the record, takes 21 B" in verdict.reason
    assert bool(verdict.bound) == (word == "not refuted")


def test_a_record_without_the_format_or_the_duration_leaves_it_untested():
    for record in (
        None,
        bandwidth(),
        bandwidth(**{"wav-16-json": (1.0, 2.0)}),
        bandwidth(**{"wav-16-json": (1.0,), FULL: (1.0,)}),
        bandwidth(**{"wav-16-json": (1.0, 2.0), FULL: (0.0, 0.0)}),
    ):
        verdict = of_sizes("smaller-than-30-seconds", record)
        assert verdict.verdict == "untested" and verdict.reason and not verdict.figures


@pytest.mark.parametrize(("most", "word"), [(1000.0, "not refuted"), (1001.0, "refuted")])
def test_an_identifier_is_held_against_a_hundredth_of_the_tensor(most, word):
    verdict = of_sizes("cache-sends-identifiers", bandwidth(crossing(100_000.0, most)))
    assert (verdict.run_verdict, verdict.run_system) == (word, "the feature cache of this toolkit")
    assert verdict.verdict == "untested"  # the authors' cloud was not run
    assert [figure.value for figure in verdict.figures] == [most, 100_000.0]


def test_without_requests_by_identifier_the_cache_is_untested():
    for record in (
        None,
        bandwidth(),
        bandwidth(crossing(100_000.0, None)),
        bandwidth(crossing(100_000.0, 100.0, "wav-16-json")),
    ):
        assert of_sizes("cache-sends-identifiers", record).run_verdict == "untested"


def profile(
    figures: dict[tuple[str, str, int | None], float],
    model: str = "esrt-4b",
    dtype: str = "bfloat16",
) -> Evidence:
    return Evidence(
        profile=Profile(
            tool_version="0.1.0",
            model=model,
            random=True,
            dtype=dtype,
            figures=tuple(
                ProfileFigure(part=part, what=what, batch=batch, value=value, unit="GB")
                for (part, what, batch), value in figures.items()
            ),
        )
    )


EDGE = ("edge", "peak memory so far", 1)
WEIGHTS, PEAK = ("cloud", "weights", None), ("cloud", "peak memory so far", 16)


@pytest.mark.parametrize(("peak", "word"), [(4.0, "not refuted"), (4.01, "refuted")])
def test_the_edge_is_held_against_4_gigabytes(peak, word):
    verdict = decided("edge-under-4-gb", profile({EDGE: peak}))
    assert (verdict.verdict, verdict.run_system) == (word, "esrt-4b")
    assert "with random weights of its sizes in bfloat16" in verdict.reason


def test_the_reference_in_4_gigabytes_says_nothing_of_esrt():
    verdict = decided("edge-under-4-gb", profile({EDGE: 1.0}, model="reference"))
    assert (verdict.verdict, verdict.run_verdict) == ("untested", "not refuted")


def test_both_limits_of_the_cloud_must_be_kept():
    def word(weights: float, peak: float) -> str:
        return decided("cloud-in-16-gb", profile({WEIGHTS: weights, PEAK: peak})).verdict

    assert word(8.6, 15.0) == "not refuted"
    assert word(8.7, 15.0) == word(8.6, 16.1) == "refuted"


def test_a_limit_that_was_not_measured_decides_nothing_unless_another_is_broken():
    assert decided("cloud-in-16-gb", profile({WEIGHTS: 8.6})).verdict == "untested"
    assert decided("cloud-in-16-gb", profile({WEIGHTS: 8.6, EDGE: 1.0})).verdict == "untested"
    assert decided("cloud-in-16-gb", profile({WEIGHTS: 9.0})).verdict == "refuted"


def test_another_precision_and_no_profile_decide_nothing():
    for evidence in (profile({EDGE: 9.0}, dtype="float32"), Evidence()):
        assert decided("edge-under-4-gb", evidence).verdict == "untested"
