"""The published example is of the shipped reference, of today's claims, whole and small."""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import published_example
import pytest

from esrt_privacy.attacks.attackers import attackers_folder
from esrt_privacy.corpora import load_corpus
from esrt_privacy.findings import FILE_NAME, Run, read_run
from esrt_privacy.reports.claims import load
from esrt_privacy.reports.record import Report, read_report_record
from tests.reports.browsing import DESK, claims_below, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
PICTURE = published_example.DOCS / "example.png"


@pytest.fixture(scope="module")
def run() -> Run:
    return read_run(published_example.EXAMPLE)


@pytest.fixture(scope="module")
def report() -> Report:
    return read_report_record(published_example.EXAMPLE)


def test_it_is_small() -> None:
    files = [*published_example.EXAMPLE.iterdir(), PICTURE]
    assert sum(path.stat().st_size for path in files) <= published_example.MOST_BYTES


def test_it_is_of_the_shipped_reference_and_demo_corpus(run: Run) -> None:
    """Attackers carry the fingerprint of the tap that they attack in their names."""
    shipped = {
        tap: {p.stem.rsplit("-", 1)[1] for p in attackers_folder().glob(f"*-{tap}-*.safetensors")}
        for tap in ("qformer", "transparent")
    }
    for tap, (attacked,) in shipped.items():
        assert run.fingerprints[f"system at {tap}"].startswith(attacked)
    assert run.system == "reference"
    heard = load_corpus("demo").with_channel(run.seeds["audit"])  # each utterance through its own
    assert run.corpus.fingerprint == heard.fingerprint


def test_it_asked_everything_that_the_default_audit_asks(run: Run) -> None:
    asked = {finding.attack for finding in run.findings if finding.tap == "qformer"}
    assert asked == {
        *("speaker", "linkage", "language", "duration", "attributes", "structure"),
        *("reading", "reconstruction"),
    }
    assert run.examples and run.det_curves and run.budget


def test_it_has_a_verdict_on_each_claim(report: Report) -> None:
    assert [c.claim for c in report.claims] == [c.id for c in load()]
    assert report.bandwidth is not None


def test_its_parts_belong_together(report: Report) -> None:
    findings = (published_example.EXAMPLE / FILE_NAME).read_bytes()
    assert report.findings_sha256 == hashlib.sha256(findings).hexdigest()
    page = (published_example.EXAMPLE / "report.html").read_text(encoding="utf-8")
    assert all(sentence in page for sentence in _plain(report.answer))
    assert page.count("<audio ") >= 5
    assert json.loads((published_example.EXAMPLE / "report.json").read_text())["system"]


@pytest.mark.slow
def test_its_verdicts_stand_on_the_first_two_screens(browser: "Browser", report: Report) -> None:
    page, _ = opened(browser, published_example.EXAMPLE / "report.html", DESK)
    assert claims_below(page, 2) == (len(report.claims), [])
    page.close()


def test_the_readme_shows_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/example.png)" in readme and "docs/example/report.md" in readme


def _plain(sentences: tuple[str, ...]) -> list[str]:
    """The parts of each sentence that no escaping changes."""
    return [max(re.split(r"[&<>\"'’]", text), key=len).strip() for text in sentences]
