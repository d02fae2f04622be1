"""A profile on disk: read back as written, and anything else is one line."""

import json

import pytest
from typer.testing import CliRunner

from esrt_privacy.cli import app
from esrt_privacy.errors import ReportError
from esrt_privacy.evaluation.profile import Figure, ProfileOptions
from esrt_privacy.evaluation.profile_record import (
    MAX_FILE_BYTES,
    Profile,
    read_profile,
    write_profile,
)

FIGURES = [
    Figure("edge", "weights", None, None, 0.9, "GB"),
    Figure("cloud", "prefill", 16, 80, 12.5, "ms"),
]


def test_a_profile_is_read_back_as_it_was_written(tmp_path):
    record = Profile.of(ProfileOptions("esrt-4b", random=True, dtype="bfloat16"), FIGURES)
    write_profile(record, tmp_path / "profile.json")
    assert read_profile(tmp_path / "profile.json") == record
    assert (record.model, record.random, record.dtype) == ("esrt-4b", True, "bfloat16")
    assert record.figures[1].positions == 80 and record.figures[1].value == 12.5


def changed(**fields) -> str:
    record = Profile.of(ProfileOptions(), FIGURES).model_dump(mode="json")
    return json.dumps(record | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no profile"),
        ("[]", "no profile"),
        ("\x00", "no profile"),
        (changed(schema_version="9"), "schema_version"),
        (changed(host="x"), "host: Extra inputs"),
        (changed(figures=[{"part": "edge"}]), "figures.0"),
        (changed().replace("12.5", "NaN"), "finite"),
        (" " * (MAX_FILE_BYTES + 1), "too large"),
    ],
)
def test_a_file_that_is_no_profile_is_one_line_that_names_it(text, message, tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=message) as caught:
        read_profile(path)
    assert str(caught.value).startswith(str(path)) and str(caught.value).isprintable()


def test_a_missing_profile_is_one_line(tmp_path):
    with pytest.raises(ReportError, match="cannot be read"):
        read_profile(tmp_path / "none.json")


@pytest.mark.slow
def test_the_command_leaves_what_a_report_can_be_given(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "profile.json"
    arguments = ["profile", "--model", str(tmp_path / "model"), "--part", "edge", "--batch", "1"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    record = read_profile(out)
    assert {f.what for f in record.figures} == {"weights", "speed", "peak memory so far"}
    assert all(f.part == "edge" and f.value > 0 for f in record.figures)
