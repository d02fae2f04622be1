"""A run as files: it resumes, refuses what measures nothing, and its page and record are whole."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from esrt_privacy.errors import AttackError, ReportError
from esrt_privacy.validity import record, run, units
from esrt_privacy.validity.options import PARTS, Sizes, ValidityRequest, parts_of, strengths_of
from esrt_privacy.validity.record import FILE_NAME, read_record
from esrt_privacy.validity.report import render_page, write_page
from esrt_privacy.validity.units import Material, Unit
from tests.validity.fake_validity import fake_validity

CASES = ("accuracy-10-0.7", "mae-10-0.5")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ValidityRequest:
    """Two cells of coverage, in units of two corpora."""

    def few(request: ValidityRequest, material: Material) -> Iterator[Unit]:
        for case in CASES:
            for first in (0, 2):
                yield Unit("coverage", case, first, 2, request.seed, request.out, number=50.0)

    monkeypatch.setattr(run, "planned", few)
    return ValidityRequest(tmp_path / "out", ("coverage",), jobs=1)


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    request_: ValidityRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.run_validity(replace(request_, out=request_.out / "whole"), _silent)
    honest, started = units.WORK["coverage"], []

    def dies_at_the_third(unit, material, report):  # type: ignore[no-untyped-def]
        started.append(unit)
        if len(started) == 3:
            raise KeyboardInterrupt
        return honest(unit, material, report)

    monkeypatch.setattr(units, "WORK", {"coverage": dies_at_the_third})
    with pytest.raises(KeyboardInterrupt):
        run.run_validity(request_, _silent)
    assert len(list((request_.out / "parts").glob("*.json"))) == 2
    assert not (request_.out / FILE_NAME).exists()
    resumed = run.run_validity(request_, _silent)
    assert len(started) == 5  # the one that was cut, and the one that had not been begun
    assert resumed.coverage == whole.coverage
    assert [row.corpora for row in resumed.coverage] == [4, 4]


def test_more_of_the_same_keeps_what_is_there(request_: ValidityRequest) -> None:
    """A unit's draws rest on its own numbers, not on how many units there are."""
    one = Unit("coverage", CASES[0], 0, 4, 0, request_.out, number=50.0)
    halves = [replace(one, first=first, count=2) for first in (0, 2)]

    def rows(unit: Unit) -> list[units.Row]:
        return units.WORK["coverage"](unit, Material(), _silent)

    assert rows(one) == [row for half in halves for row in rows(half)]


def test_a_damaged_part_is_named(request_: ValidityRequest) -> None:
    run.run_validity(request_, _silent)
    path = sorted((request_.out / "parts").glob("*.json"))[0]
    for text in ("{", "[]", path.read_text().replace('"rows": [{', '"rows": [{}, {')):
        path.write_text(text)
        with pytest.raises(ReportError, match=re.escape(f"{path}: not a part of a validity run")):
            run.run_validity(request_, _silent)


def test_default_sizes_are_those_of_the_claim() -> None:
    sizes = Sizes()
    assert (sizes.null_sets, sizes.reruns, sizes.corpora) == (1000, 200, 1000)


@pytest.mark.parametrize("field", ["null_sets", "reruns", "corpora", "draws", "planted"])
@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_a_size_that_measures_nothing_or_never_ends_is_refused(field: str, value: int) -> None:
    with pytest.raises(AttackError, match="--" + field.replace("_", "-")):
        replace(Sizes(), **{field: value}).check()


def test_parts_and_strengths_are_read_from_words() -> None:
    assert parts_of("") == PARTS
    assert parts_of("power, coverage") == ("coverage", "power")
    with pytest.raises(AttackError, match="no part 'luck'"):
        parts_of("coverage,luck")
    assert strengths_of("0.5,2") == (2.0, 0.5)
    with pytest.raises(AttackError, match="no numbers"):
        strengths_of("strong")
    for bad in ((), (0.0,), (float("nan"),), (1e9,)):
        with pytest.raises(AttackError, match="--strengths"):
            replace(Sizes(), strengths=bad).check()


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError):
        run.run_validity(
            ValidityRequest(tmp_path / "out", ("budget",), run=tmp_path / "none"), _silent
        )


def test_the_shipped_schema_is_the_models() -> None:
    assert json.dumps(record.shipped_schema()) == json.dumps(json.loads(record.schema_text()))


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = fake_validity()
    path = record.write_record(made, tmp_path)
    assert read_record(path) == made
    path.write_text(path.read_text().replace('"sets"', '"sits"'))
    with pytest.raises(ReportError, match="not a record of validity"):
        read_record(path)


def test_a_page_says_what_fails_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    made = fake_validity()
    page = write_page(made, tmp_path).read_text(encoding="utf-8")
    assert "speaker.eer" in page
    assert page.count("<svg") == 5
    assert "<script" not in page
    assert re.search(r"(src|href)=[\"']https?:", page) is None
    assert "above it: speaker.eer" in page  # 30 of 100
    assert "A planted sex of" in page
    assert "a bound: still falling" in page
    assert "quick run" not in page
    assert "too small to judge by" in render_page(made.model_copy(update={"quick": True}))


def test_hostile_names_are_only_text() -> None:
    made = fake_validity().model_copy(
        update={"corpus": "<script>alert(1)</script>", "notes": ("<img src=x>",)}
    )
    page = render_page(made)
    assert "<script" not in page
    assert "<img" not in page


def test_a_run_without_any_part_measured_still_has_a_page() -> None:
    bare = fake_validity().model_copy(
        update={"false_alarms": (), "coverage": (), "power": (), "smallest": (), "budget": ()}
    )
    assert render_page(bare).count("Not measured in this run") == 3


def _silent(label: str, done: float, total: float) -> None:
    pass
