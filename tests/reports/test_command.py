"""`esrt-privacy report build`, as it is typed."""

from pathlib import Path

from typer.testing import CliRunner

from esrt_privacy.cli import app
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import write_run
from tests.reports.fake_run import fake_run


def test_build_names_every_file_that_it_wrote(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"examples": (), "budget": ()})
    write_run(run, tmp_path)
    done = CliRunner().invoke(app, ["report", "build", str(tmp_path)])
    assert done.exit_code == 0
    named = [Path(line) for line in done.stdout.split()]
    assert [path.name for path in named] == ["report.json", "report.md", "report.html"]
    assert all(path.is_file() for path in named)


def test_a_folder_that_holds_no_run_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "build", str(tmp_path / "nowhere")])
    assert isinstance(done.exception, ReportError)
    assert "give the folder of a run" in str(done.exception)
