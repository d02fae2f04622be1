"""One rendered report for all tests of this room."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esrt_privacy.bandwidth.record import write_record
from esrt_privacy.findings import Run, write_run
from esrt_privacy.reports.build import Built, build_report
from tests.reports import browsing
from tests.reports.fake_bandwidth import fake_bandwidth
from tests.reports.fake_pictures import pictured
from tests.reports.fake_run import fake_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One Chromium for all pages."""
    yield from browsing.started()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run and the path of its page."""
    folder = tmp_path_factory.mktemp("run")
    run = fake_run(folder)
    write_run(run, folder)
    return run, build_report(run, folder).page


@pytest.fixture(scope="session")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Built]:
    """A run with every kind of picture and with bandwidth, and its report."""
    folder = tmp_path_factory.mktemp("whole")
    run = pictured(folder)
    write_run(run, folder)
    write_record(fake_bandwidth(), folder)
    return run, build_report(run, folder)
