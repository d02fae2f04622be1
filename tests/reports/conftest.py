"""One rendered report for all tests of this room."""

from pathlib import Path

import pytest

from esrt_privacy.findings import Run
from esrt_privacy.reports.page import write_page
from tests.reports.fake_run import fake_run


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run and the path of its page."""
    folder = tmp_path_factory.mktemp("run")
    run = fake_run(folder)
    return run, write_page(run, folder)
