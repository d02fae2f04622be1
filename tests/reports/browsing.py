"""Pages in Debian's Chromium, headless: opened from disk, at the size of a desk or of a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import chromium
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

DESK: "ViewportSize" = {"width": 1280, "height": 800}
PHONE: "ViewportSize" = {"width": 360, "height": 740}


def started() -> Iterator["Browser"]:
    """Chromium, or a line that says that nothing was tested here."""
    pytest.importorskip(
        "playwright.sync_api",
        reason="the page was not tried in a browser: needs playwright (pip install '.[dev]')",
    )
    found = chromium.path()
    if found is None:
        pytest.skip(
            "the page was not tried in a browser: needs Chromium (apt-get install chromium)"
        )
    with chromium.launched(found) as browser:
        yield browser


def opened(browser: "Browser", path: Path, size: "ViewportSize") -> "tuple[Page, list[str]]":
    """The page at a size, and what it asked for or complained of."""
    page = browser.new_page(viewport=size)
    heard: list[str] = []
    page.on("request", lambda r: heard.append(f"asked for {r.url}"))
    page.on("console", lambda m: heard.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: heard.append(f"error: {e}"))
    page.goto(path.as_uri())
    return page, heard


def over_the_edge(page: "Page") -> list[str]:
    """Elements that run over the right edge of the window, what scrolls by itself left out."""
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll('*')]
            .filter(e => !e.closest('.scroll *') && !e.closest('svg *') && !e.closest('.skip'))
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .map(e => e.outerHTML.slice(0, 80))
            .concat(document.documentElement.scrollWidth > innerWidth ? ['the page itself'] : [])"""
    )
    return found


def claims_below(page: "Page", screens: int) -> tuple[int, list[str]]:
    """How many claims the page shows, and those whose verdict lies below so many screens."""
    found: list[tuple[float, str]] = page.evaluate(
        """() => [...document.querySelectorAll('#claims tbody tr:not(.kind), #claims .sums li')]
            .map(row => [row.querySelector('.badge').getBoundingClientRect().bottom, row.innerText])"""
    )
    size = page.viewport_size
    assert size is not None
    return len(found), [text for bottom, text in found if bottom > screens * size["height"]]
