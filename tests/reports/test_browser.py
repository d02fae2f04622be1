"""The page in a real browser: Debian's Chromium, headless.

It opens from disk, asks nobody for anything, plays its sounds, fits a phone and a desk, and prints whole.
"""

from typing import TYPE_CHECKING, Any

import pytest

from esrt_privacy.bandwidth.record import write_record
from esrt_privacy.findings import Run, write_run
from esrt_privacy.reports.build import Built, build_report
from tests.reports.browsing import DESK, PHONE, claims_below, opened, over_the_edge
from tests.reports.fake_bandwidth import fake_bandwidth
from tests.reports.fake_pictures import pictured
from tests.reports.fake_run import finding

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

A4 = {"width": 695, "height": 1000}  # CSS pixels inside the margins


@pytest.fixture(scope="module")
def folded_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Built]:
    """A report with so many findings that their tables are folded away."""
    folder = tmp_path_factory.mktemp("folded")
    run = pictured(folder)
    many = tuple(finding(id=f"many.{n}") for n in range(80))
    run = run.model_copy(update={"findings": (*run.findings, *many)})
    write_run(run, folder)
    write_record(fake_bandwidth(), folder)
    return run, build_report(run, folder)


def until(page: "Page", condition: str, seconds: float = 30.0) -> None:
    """Waits for an expression to hold; the page's policy forbids a function that would wait in it."""
    for _ in range(round(seconds / 0.1)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {condition}")


def test_the_page_asks_nobody_and_complains_of_nothing(
    browser: "Browser", whole_report: tuple[Run, Built]
) -> None:
    path = whole_report[1].page
    page, heard = opened(browser, path, DESK)
    page.evaluate("document.querySelectorAll('img').forEach(i => i.scrollIntoView())")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    own = f"asked for {path.as_uri()}"
    others = [line for line in heard if line != own and not line.startswith("asked for data:")]
    assert own in heard and others == []
    page.close()


def test_every_player_knows_its_length_and_plays(
    browser: "Browser", whole_report: tuple[Run, Built]
) -> None:
    run, built = whole_report
    page, _ = opened(browser, built.page, DESK)
    until(page, "[...document.querySelectorAll('audio')].every(a => a.readyState >= 1 || a.error)")
    players: list[dict[str, Any]] = page.evaluate(
        "[...document.querySelectorAll('audio')].map(a => ({seconds: a.duration, broken: !!a.error}))"
    )
    assert len(players) == 5 * len(run.examples)
    assert all(not p["broken"] and 1.5 < p["seconds"] < 4 for p in players)
    page.evaluate("document.querySelector('audio').play()")
    until(page, "document.querySelector('audio').currentTime > 0.2")
    page.close()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("kind", ["whole_report", "folded_report"])
def test_nothing_runs_over_the_edge(
    browser: "Browser", size: dict[str, int], kind: str, request: pytest.FixtureRequest
) -> None:
    page, _ = opened(browser, request.getfixturevalue(kind)[1].page, size)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert over_the_edge(page) == []
    page.close()


def test_the_verdict_on_each_claim_stands_on_the_first_two_screens(
    browser: "Browser", whole_report: tuple[Run, Built]
) -> None:
    page, _ = opened(browser, whole_report[1].page, DESK)
    claims = len({c.claim for c in whole_report[1].report.claims})
    assert claims_below(page, 2) == (claims, [])
    page.close()


def test_the_keyboard_reaches_the_claims_and_their_reasons(
    browser: "Browser", whole_report: tuple[Run, Built]
) -> None:
    page, _ = opened(browser, whole_report[1].page, DESK)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#claims")
    assert not page.evaluate("document.querySelector('.claim').checkVisibility()")
    page.keyboard.press("Tab")
    target = page.evaluate("document.activeElement.hash")
    assert target.startswith("#claim-")
    page.keyboard.press("Enter")
    # A link into what is folded away unfolds it.
    until(page, "document.querySelector(location.hash).checkVisibility()")
    page.close()


def test_print_folds_nothing_away_and_cuts_no_figure(
    browser: "Browser", folded_report: tuple[Run, Built]
) -> None:
    run, built = folded_report
    page, _ = opened(browser, built.page, A4)
    rows = (
        "[...document.querySelectorAll('tr[id^=finding-]')].filter(e => e.checkVisibility()).length"
    )
    assert page.evaluate(rows) == 0
    page.emulate_media(media="print")
    assert page.evaluate(rows) == len(run.findings)
    figures = page.evaluate(
        """() => [...document.querySelectorAll('figure')].filter(f => f.checkVisibility()).map(f => ({
            name: f.innerText.slice(0, 40), high: f.getBoundingClientRect().height,
            wide: f.scrollWidth - f.clientWidth, breaks: getComputedStyle(f).breakInside}))"""
    )
    assert len(figures) > 20
    cut = [
        f for f in figures if f["high"] > A4["height"] or f["wide"] > 1 or f["breaks"] != "avoid"
    ]
    assert cut == []
    assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF-")
    page.close()


def test_whatever_shows_text_stands_out_from_its_ground(
    browser: "Browser", whole_report: tuple[Run, Built]
) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1, of every text that stands on a plain ground."""
    page, _ = opened(browser, whole_report[1].page, DESK)
    faint = page.evaluate(
        """() => {
            const parts = c => c.match(/[\\d.]+/g).map(Number);
            const light = c => parts(c).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = e => { for (; e; e = e.parentElement) {
                const c = getComputedStyle(e).backgroundColor;
                if (parts(c)[3] !== 0) return c; } return 'rgb(255,255,255)'; };
            const found = [];
            for (const e of document.body.querySelectorAll('*:not(svg *)')) {
                const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
                if (!own || e.closest('.skip')) continue;
                const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
                const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (ratio < 4.5) found.push([ratio, e.outerHTML.slice(0, 80)]);
            }
            return found; }"""
    )
    assert faint == []
    page.close()
