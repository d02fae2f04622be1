"""The published example: a whole report of the reference on the demo corpus, small enough to lie in the repository.

    python tools/published_example.py [--run runs/audit]

Makes what is missing by the commands that a user has (the default audit, the bytes of 647 recordings, the memory of an
edge half of the paper's size; each goes on where it was interrupted), then writes docs/example and the picture of its
first screen, docs/example.png, by Chromium. The report names the command of the audit; the test that belongs to it
(tests/reports/test_published_example.py) says when it is no longer of what the package ships.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import chromium

from esrt_privacy.findings import read_run
from esrt_privacy.reports.build import Built, build_report

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLE = DOCS / "example"
MOST_BYTES = 3_000_000  # of the folder and the picture together
MOST_PAGE_BYTES = 2_100_000
# The edge half of the paper's size, with random weights: memory asks for no others.
PROFILE = (
    "profile",
    "--model",
    "esrt-4b",
    "--random",
    "--part",
    "edge",
    "--dtype",
    "bfloat16",
    "--batch",
    "1",
)
SCREEN: ViewportSize = {"width": 1120, "height": 1500}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/audit"))
    parser.add_argument("--bandwidth", type=Path, default=Path("runs/bandwidth"))
    parser.add_argument("--profile", type=Path, default=Path("runs/profile.json"))
    options = parser.parse_args()
    if not (options.run / "findings.json").exists():
        _command("audit", "--out", str(options.run))
    if not (options.bandwidth / "bandwidth.json").exists():
        _command("bandwidth", "--samples", "647", "--out", str(options.bandwidth))
    if not options.profile.exists():
        _command(*PROFILE, "--out", str(options.profile))
    built = published(options.run, options.bandwidth, options.profile, EXAMPLE)
    first_screen(built.page, DOCS / "example.png")
    size = sum(p.stat().st_size for p in (*EXAMPLE.iterdir(), DOCS / "example.png"))
    print(f"{EXAMPLE}: {size / 1e6:.2f} MB with the picture")
    if size > MOST_BYTES:
        sys.exit(f"more than {MOST_BYTES / 1e6:g} MB")


def published(run: Path, bandwidth: Path, profile: Path, out: Path) -> Built:
    """The report of a run, written anew into `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return build_report(
        read_run(run),
        run,
        bandwidth=bandwidth,
        profile=profile,
        out=out,
        most_bytes=MOST_PAGE_BYTES,
    )


def first_screen(page: Path, picture: Path) -> None:
    """What a reader sees who opens the page."""
    found = chromium.path()
    if found is None:
        sys.exit("no Chromium (apt-get install chromium): the picture was not made")
    with chromium.launched(found) as browser:
        sheet = browser.new_page(viewport=SCREEN)
        sheet.goto(page.resolve().as_uri())
        sheet.screenshot(path=picture)


def _command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "esrt_privacy.cli", *words], check=True)


if __name__ == "__main__":
    main()
