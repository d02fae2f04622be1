"""Every page that the package writes, at a desk and on a phone: what axe-core finds against WCAG AA, and edges."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esrt_privacy.bandwidth.experiment import measure
from esrt_privacy.bandwidth.options import BandwidthRequest
from esrt_privacy.bandwidth.report import write_report as write_bandwidth_page
from esrt_privacy.findings import Run
from esrt_privacy.reports import compare_page
from esrt_privacy.reports.build import Built
from esrt_privacy.validity.report import write_page as write_validity_page
from tests.reports.browsing import DESK, PHONE, opened, over_the_edge
from tests.reports.compared_runs import audited, compared
from tests.validity.fake_validity import fake_validity

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def pages(
    whole_report: tuple[Run, Built],
    tiny_speech: Path,
    tiny_system: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """The path of each page by its kind."""
    folder = tmp_path_factory.mktemp("pages")
    audited(folder / "a")
    audited(folder / "b", errors=0.3, strength=2.0, seed=1)
    audited(folder / "c", errors=0.3, people=1)
    bandwidth = measure(
        BandwidthRequest(
            samples=8,
            corpus=str(tiny_speech),
            system=str(tiny_system),
            listened=0,
            languages=4,
            connection=False,
            command="esrt-privacy bandwidth --samples 8",
        )
    )
    for name in ("alike", "apart", "bandwidth", "validity"):
        (folder / name).mkdir()
    return {
        "audit": whole_report[1].page,
        "comparison": compare_page.write_page(
            compared(folder / "a", folder / "b"), folder / "alike"
        ),
        "unpaired": compare_page.write_page(compared(folder / "a", folder / "c"), folder / "apart"),
        "bandwidth": write_bandwidth_page(bandwidth, folder / "bandwidth"),
        "validity": write_validity_page(fake_validity(), folder / "validity"),
    }


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("kind", ["audit", "comparison", "unpaired", "bandwidth", "validity"])
def test_a_page_meets_wcag_aa_fits_and_asks_nobody(
    browser: "Browser", pages: dict[str, Path], kind: str, size: dict[str, int]
) -> None:
    axe_playwright = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="axe was not run: needs axe-playwright-python (pip install '.[dev]')",
    )
    page, heard = opened(browser, pages[kind], size)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    asked = [line for line in heard if not line.startswith("asked for data:")]
    assert asked == [f"asked for {pages[kind].as_uri()}"]
    assert over_the_edge(page) == []
    found = axe_playwright.Axe().run(page, options={"runOnly": WCAG_AA})
    assert found.response["passes"]  # it looked
    assert found.violations_count == 0, found.generate_report()
    page.close()
