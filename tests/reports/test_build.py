"""Every form of a report says the same, is checked, and leaves nothing half written."""

import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy import schemas
from esrt_privacy.bandwidth.record import write_record
from esrt_privacy.errors import ReportError
from esrt_privacy.findings import Run, write_run
from esrt_privacy.reports import markdown_text, pdf, record
from esrt_privacy.reports.build import Built, build_report
from esrt_privacy.reports.figures import spectrogram_png
from tests.reports.fake_bandwidth import fake_bandwidth
from tests.reports.fake_run import fake_run, finding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder without sounds."""
    run = fake_run(tmp_path).model_copy(update={"examples": (), "budget": ()})
    write_run(run, tmp_path)
    return tmp_path


def build(folder: Path, **options) -> Built:
    from esrt_privacy.findings import read_run

    return build_report(read_run(folder), folder, **options)


def test_the_shipped_schema_is_the_models() -> None:
    shipped = Path(record.__file__).parent / "schema" / record.SCHEMA_FILE
    assert shipped.read_text() == record.schema_text()


def test_what_is_written_is_read_back_the_same(whole_report: tuple[Run, Built]) -> None:
    built = whole_report[1]
    assert record.read_report_record(built.page.parent) == built.report
    assert [path.name for path in built.files] == ["report.json", "report.md", "report.html"]


def test_the_record_refers_to_the_findings_it_was_made_from(
    whole_report: tuple[Run, Built],
) -> None:
    run, built = whole_report
    findings = (built.page.parent / "findings.json").read_bytes()
    assert built.report.findings_sha256 == hashlib.sha256(findings).hexdigest()
    assert [f.id for f in built.report.findings] == [f.id for f in run.findings]
    counted = sum(sum(tally.verdicts.values()) for tally in built.report.tallies)
    assert counted == len(run.findings)
    assert built.report.bandwidth is not None and built.report.bandwidth.recordings == 647


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": "9"}, "schema_version"),
        ({"answer": ["one", "two"]}, "answer"),
        ({"answer": None}, "answer"),
        ({"surprise": 1}, "surprise"),
        ({"findings_sha256": "short"}, "findings_sha256"),
    ],
)
def test_a_report_that_does_not_fit_is_refused_in_one_line(
    whole_report: tuple[Run, Built], tmp_path: Path, change: dict, said: str
) -> None:
    document = json.loads((whole_report[1].page.parent / "report.json").read_text())
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document | change))
    with pytest.raises(ReportError, match=said) as refused:
        record.read_report_record(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"[]"])
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match="a report") as refused:
        record.read_report_record(path)
    assert "\n" not in str(refused.value)


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MAX_FILE_BYTES", 3)
    (tmp_path / "report.json").write_text("null")
    with pytest.raises(ReportError, match="too large"):
        record.read_report_record(tmp_path)


def test_a_report_elsewhere_takes_its_findings_along(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    built = build(folder, out=out)
    assert built.page == out / "report.html"
    assert (out / "findings.json").read_bytes() == (folder / "findings.json").read_bytes()
    assert not (folder / "report.html").exists()


def test_bandwidth_is_found_beside_the_run_or_taken_from_where_it_is_said(
    folder: Path, tmp_path: Path
) -> None:
    assert build(folder).report.bandwidth is None
    other = tmp_path / "sizes"
    path = write_record(fake_bandwidth("elsewhere"), other)
    for given_path in (path, other):
        summary = build(folder, bandwidth=given_path).report.bandwidth
        assert summary is not None and summary.corpus == "elsewhere"
    write_record(fake_bandwidth("beside"), folder)
    found = build(folder).report.bandwidth
    assert found is not None and found.corpus == "beside"


def test_a_damaged_record_of_bandwidth_stops_the_report(folder: Path) -> None:
    (folder / "bandwidth.json").write_text('{"schema_version": "1"}')
    with pytest.raises(ReportError, match="not a record of bandwidth"):
        build(folder)
    with pytest.raises(ReportError, match="cannot be read"):
        build(folder, bandwidth=folder / "nowhere.json")


def test_claims_of_a_vendor_stand_beside_the_papers(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "vendor.toml"
    own.write_text(
        """
source = "A vendor"
[[claims]]
id = "vendor-words"
section = "Leaflet"
sentence = "No word of yours | can be <b>read</b>."
about = ["reference"]
kind = "privacy"
why = "WER says how many words can be read."
[claims.test]
by = "findings"
[[claims.test.parts]]
name = "the words"
refuted_by = [{attack = "reconstruction", metric = "word error rate"}]
bounded_by = [{attack = "reconstruction", metric = "word error rate"}]
"""
    )
    built = build(folder, claims=(own,))
    verdict = {c.claim: c for c in built.report.claims}["vendor-words"]
    assert verdict.verdict == "refuted" and len(built.report.claims) > 20
    html = built.page.read_text()
    assert "can be &lt;b&gt;read&lt;/b&gt;." in html and "<b>read</b>" not in html
    assert r"No word of yours \| can be &lt;b&gt;read" in (folder / "report.md").read_text()


def test_markdown_is_short_and_tells_answer_claims_and_leaks(
    whole_report: tuple[Run, Built],
) -> None:
    run, built = whole_report
    text = (built.page.parent / "report.md").read_text()
    for sentence in built.report.answer:
        assert markdown_text.text(sentence) in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    leaks = sum(f.verdict == "leaks" for f in run.findings)
    tables = 3  # each with a head and a rule
    assert len(rows) == len(built.report.subjects) + len(built.report.claims) + leaks + 2 * tables
    assert len(text) < 20_000


def test_markdown_of_a_thousand_leaks_stays_short(folder: Path) -> None:
    from esrt_privacy.findings import read_run

    many = tuple(finding(id=f"leak.{n}") for n in range(1000))
    run = read_run(folder).model_copy(update={"findings": many})
    write_run(run, folder)
    build(folder)
    text = (folder / "report.md").read_text()
    assert "980 more leaks stand in report.html" in text and len(text) < 20_000


@given(st.text())
def test_no_text_breaks_out_of_its_cell(value: str) -> None:
    said = markdown_text.text(value)
    assert "\n" not in said and "<" not in said and ">" not in said
    # A bar is a cell's end only where no odd run of backslashes stands before it.
    for at, character in enumerate(said):
        if character == "|":
            before = said[:at]
            assert (len(before) - len(before.rstrip("\\"))) % 2 == 1


def test_nobody_is_called_and_nothing_linked_from_markdown() -> None:
    said = markdown_text.text("@someone #12 https://x.example www.x.example")
    for call in ("@someone", "#12", "://", "www."):
        assert call not in said
    assert said.replace(markdown_text.JOINER, "") == (
        "@someone #12 https://x.example www.x.example"
    )


def test_a_pdf_without_its_program_is_one_line_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)  # what an import of it then raises
    with pytest.raises(ReportError, match=r"esrt-privacy\[pdf\]"):
        build(folder, pdf=True)
    assert not (folder / "report.json").exists()


def test_the_pdf_reads_nothing_from_outside_its_page(folder: Path, tmp_path: Path) -> None:
    try:
        pdf.require_weasyprint()
    except ReportError as error:
        pytest.skip(f"no PDF was made: {error}")
    picture = tmp_path / "picture.png"
    picture.write_bytes(spectrogram_png(np.ones(1600, dtype=np.float32), 16_000, 0.1))
    inside = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    page = "<html lang=en><title>t</title><p>text<img src='{}' alt='x'>"
    assert b"/Image" in pdf.write_pdf(page.format(inside), tmp_path).read_bytes()
    assert b"/Image" not in pdf.write_pdf(page.format(picture.as_uri()), tmp_path).read_bytes()
    built = build(folder, pdf=True)
    assert (folder / "report.pdf") in built.files
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")
