"""Curves, tables and pairs for pictures: what goes in comes out, and what is no curve is refused."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from esrt_privacy.errors import ReportError
from esrt_privacy.findings import (
    ATTACKERS,
    BudgetPoint,
    Confusion,
    DetCurve,
    Lengths,
    Run,
    read_run,
    write_run,
)
from tests.reports.fake_pictures import confusion, det_curve, lengths, pictured

FINDING = "reconstruction-qformer-wer"
NO_SURROGATES = st.text(
    st.characters(exclude_categories=["Cs"], max_codepoint=0x2FFFF), min_size=1, max_size=20
)
SHARES = st.lists(st.floats(0, 1), max_size=12)


@st.composite
def det_curves(draw: st.DrawFn) -> DetCurve:
    false_alarm = sorted(draw(SHARES), reverse=True)
    size = len(false_alarm)
    return DetCurve(
        finding=FINDING,
        system=draw(NO_SURROGATES),
        tap=draw(NO_SURROGATES),
        attacker=draw(st.sampled_from(ATTACKERS)),
        trials=draw(NO_SURROGATES),
        false_alarm=tuple(false_alarm),
        miss=tuple(sorted(draw(st.lists(st.floats(0, 1), min_size=size, max_size=size)))),
        eer=draw(st.none() | st.floats()),
    )


@st.composite
def confusions(draw: st.DrawFn) -> Confusion:
    labels = tuple(draw(st.lists(NO_SURROGATES, min_size=1, max_size=5, unique=True)))
    size = len(labels)
    row = st.lists(st.integers(0, 2**40), min_size=size, max_size=size).map(tuple)
    counts = tuple(draw(st.lists(row, min_size=size, max_size=size)))
    return Confusion(
        finding=FINDING, system="s", tap="t", asked="language", labels=labels, counts=counts
    )


@st.composite
def pairs(draw: st.DrawFn) -> Lengths:
    each = st.floats(0, 1e6, allow_nan=False)
    drawn = draw(st.lists(st.tuples(each, each), max_size=8))
    more = draw(st.integers(0, 3))
    return Lengths(
        finding=FINDING,
        system="s",
        tap="t",
        true=tuple(a for a, _ in drawn),
        inferred=tuple(b for _, b in drawn),
        utterances=len(drawn) + more,
        thinning="drawn" if more else "",
    )


@pytest.fixture(scope="module")
def run_with_pictures(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return pictured(tmp_path_factory.mktemp("pictured"))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(det_curves(), max_size=3),
    st.lists(confusions(), max_size=3),
    st.lists(pairs(), max_size=3),
    st.booleans(),
)
def test_what_pictures_need_is_read_back_as_it_was_written(
    run_with_pictures: Run, curves, tables, points, bound
) -> None:
    with TemporaryDirectory() as folder:
        run = run_with_pictures.model_copy(
            update={
                "det_curves": tuple(curves),
                "confusions": tuple(tables),
                "lengths": tuple(points),
                "budget": (
                    BudgetPoint(
                        tap="t", amount=3, amount_unit="steps", metric="m", value=1.5, bound=bound
                    ),
                ),
            }
        )
        write_run(run, Path(folder))
        assert read_run(Path(folder)) == run


@pytest.mark.parametrize(
    "changes",
    [
        {"false_alarm": (0.5, 0.2), "miss": (0.1,)},
        {"false_alarm": (0.2, 0.5), "miss": (0.1, 0.2)},
        {"false_alarm": (0.5, 0.2), "miss": (0.2, 0.1)},
        {"false_alarm": (1.2, 0.2), "miss": (0.1, 0.2)},
        {"false_alarm": (0.5,) * 201, "miss": (0.5,) * 201},
        {"false_alarm": (float("nan"),), "miss": (0.5,)},
        {"attacker": "omniscient"},
        {"trials": ""},
    ],
)
def test_what_is_no_det_curve_is_refused(changes: dict) -> None:
    with pytest.raises(ValidationError):
        DetCurve.model_validate(det_curve().model_dump() | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": ((1, 2),)},
        {"counts": ((1, 2, 3), (1, 2, 3), (1, 2))},
        {"counts": ((1, 2, -3), (1, 2, 3), (1, 2, 3))},
        {"labels": ("eng", "eng", "deu")},
        {"labels": (), "counts": ()},
        {"labels": ("x" * 201, "b", "c")},
    ],
)
def test_what_is_no_table_is_refused(changes: dict) -> None:
    table = {"labels": ("a", "b", "c"), "counts": ((1, 0, 0),) * 3}
    with pytest.raises(ValidationError):
        Confusion.model_validate(confusion().model_dump() | table | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"inferred": (1.0,)},
        {"utterances": 2},
        {"utterances": 9},
        {"thinning": "drawn, and yet all are here"},
        {"true": (1.0, 2.0, -3.0)},
        {"true": (1.0, 2.0, float("inf"))},
        {"true": (1.0,) * 2001, "inferred": (1.0,) * 2001, "utterances": 2001},
    ],
)
def test_what_are_no_pairs_is_refused(changes: dict) -> None:
    three = {"true": (1.0, 2.0, 3.0), "inferred": (1.0, 2.0, 4.0), "utterances": 3, "thinning": ""}
    Lengths.model_validate(lengths().model_dump() | three)
    with pytest.raises(ValidationError):
        Lengths.model_validate(lengths().model_dump() | three | changes)


@pytest.mark.parametrize("name", ["det_curves", "confusions", "lengths"])
def test_a_picture_of_no_finding_is_refused(
    run_with_pictures: Run, tmp_path: Path, name: str
) -> None:
    write_run(run_with_pictures, tmp_path)
    file = tmp_path / "findings.json"
    document = json.loads(file.read_text())
    document[name][0]["finding"] = "somewhere-else"
    file.write_text(json.dumps(document))
    with pytest.raises(ReportError, match="somewhere-else, which is no finding"):
        read_run(tmp_path)


def test_more_pictures_than_a_page_can_hold_are_refused(run_with_pictures: Run) -> None:
    many = {"lengths": (lengths().model_dump(),) * 501}
    with pytest.raises(ValidationError, match="at most 500"):
        Run.model_validate(run_with_pictures.model_dump() | many)
