"""A run folder's JSON: what goes in comes out, and damage is one clear line."""

import json
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from esrt_privacy import findings, schemas
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import BudgetPoint, Interval, Rendition, Run, read_run, write_run
from tests.reports.fake_run import fake_run, finding

VERSION_1 = Path(__file__).parent / "version-1.json"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_run(fake_run(tmp_path), tmp_path)
    return tmp_path


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    path = write_run(run, tmp_path)
    assert path.name == "findings.json"
    assert read_run(tmp_path) == run
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["findings.json"]


def test_the_shipped_schema_is_the_one_the_models_give() -> None:
    shipped = resources.files("esrt_privacy") / "reports" / "schema" / "findings-2.json"
    remedy = "write esrt_privacy.findings.schema_text() to the shipped file"
    assert shipped.read_text(encoding="utf-8") == findings.schema_text(), remedy


def test_a_file_of_version_1_is_read_as_a_run_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_bytes(VERSION_1.read_bytes())
    run = read_run(tmp_path)
    assert run.schema_version == "2"
    assert [f.id for f in run.findings] == [
        "reconstruction-qformer-wer",
        "reconstruction-qformer-stoi",
        "reconstruction-encoder-wer",
    ]
    assert (run.findings[0].estimate.value, run.budget[3].value) == (71.4, 76.0)
    assert (run.det_curves, run.confusions, run.lengths) == ((), (), ())
    write_run(run, tmp_path)
    assert read_run(tmp_path) == run
    assert json.loads((tmp_path / "findings.json").read_text())["schema_version"] == "2"


def test_the_schema_of_version_1_stays_as_it_was_published() -> None:
    published = json.loads(VERSION_1.read_text(encoding="utf-8"))
    old = findings.shipped_schema("1")
    assert schemas.misfit(published, old) is None
    assert set(published) == set(old["properties"])  # nothing that came later
    assert schemas.misfit(published, findings.shipped_schema("2")) is not None


@pytest.mark.parametrize("field", ["det_curves", "confusions", "lengths"])
def test_a_file_of_version_1_cannot_hold_what_came_later(tmp_path: Path, field: str) -> None:
    document = json.loads(VERSION_1.read_text(encoding="utf-8")) | {field: []}
    (tmp_path / "findings.json").write_text(json.dumps(document))
    with pytest.raises(ReportError, match="does not fit"):
        read_run(tmp_path)


@given(st.floats(), st.floats(), st.floats())
def test_no_figure_in_the_file_is_nan_or_infinite(a: float, b: float, c: float) -> None:
    low, high = (b, c) if not b > c else (c, b)
    made = Interval(value=a, low=low, high=high)
    text = made.model_dump_json()
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert (read["value"] is None) == (not math.isfinite(a))
    assert Interval.model_validate_json(text) == made


def test_figures_come_as_numpy_scalars_too() -> None:
    assert Interval(value=np.float32(0.5), low=np.float64("nan")).model_dump()["value"] == 0.5


def test_a_figure_smuggled_past_the_models_is_not_written(tmp_path: Path) -> None:
    nan = finding().estimate.model_copy(update={"value": float("nan")})
    run = fake_run(tmp_path).model_copy(
        update={"findings": (finding().model_copy(update={"estimate": nan}),)}
    )
    with pytest.raises(ReportError, match="not finite"):
        write_run(run, tmp_path)
    assert not (tmp_path / "findings.json").exists()


def test_a_run_that_does_not_fit_the_schema_is_not_written(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    write_run(run, tmp_path)
    before = (tmp_path / "findings.json").read_bytes()
    wrong = run.model_copy(
        update={"findings": (finding().model_copy(update={"verdict": "private"}),)}
    )
    with pytest.raises(ReportError, match="was not written"):
        write_run(wrong, tmp_path)
    assert (tmp_path / "findings.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"schema_version": "1", "tool_ver', "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"schema_version": NaN}', "not JSON"),
        (b"[1, 2]", "no findings file"),
        (b'{"name": "package", "version": "1"}', "no findings file"),
        (b'{"schema_version": "3"}', "schema version '3'"),
        (b'{"schema_version": 2}', "schema version 2, this program reads 1 and 2"),
        (b'{"schema_version": ["2"]}', "schema version"),
        (b'{"schema_version": "1"}', "does not fit"),
        (b'{"schema_version": "2"}', "does not fit"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "findings.json").write_bytes(content)
    with pytest.raises(ReportError, match=said) as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value) and "findings.json" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_missing_file_names_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="give the folder of a run"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("findings", 0, "verdict"), "private"),
        (("findings", 0, "attacker"), "omniscient"),
        (("findings", 0, "estimate", "value"), "0.5"),
        (("findings", 0, "unknown"), 1),
        (("findings", 0, "utterances"), -1),
        (("findings", 0, "id"), "Not A Slug"),
        (("findings", 1, "id"), "reconstruction-qformer-wer"),
        (("examples", 0, "original", "audio"), "../../etc/passwd"),
        (("created",), "yesterday"),
    ],
)
def test_a_wrong_field_is_found_and_named(
    written: Path, path: tuple[str | int, ...], value: object
) -> None:
    file = written / "findings.json"
    document = json.loads(file.read_text())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file.write_text(json.dumps(document))
    with pytest.raises(ReportError) as caught:
        read_run(written)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../../b.wav", "", "C:\\a.wav", "http://a/b"])
def test_sounds_lie_inside_the_run_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        Rendition(audio=path)


def test_references_without_names_or_rules_are_refused() -> None:
    for missing in ({"ceiling_name": ""}, {"control_rule": ""}, {"control_passed": None}):
        with pytest.raises(ValidationError):
            finding(**missing)


def test_models_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        finding().verdict = "leaks"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        BudgetPoint(tap="t", amount=1, amount_unit="hours", metric="m", value=1)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Interval(value=1, low=3, high=2)


def test_times_are_kept_in_utc(tmp_path: Path) -> None:
    run = Run.model_validate(
        fake_run(tmp_path).model_dump() | {"created": "2025-03-14T16:09:26+01:00"}
    )
    assert run.created.isoformat() == "2025-03-14T15:09:26+00:00"
