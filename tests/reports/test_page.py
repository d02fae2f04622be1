"""The page: one file, nothing from elsewhere, everything said in words, hostile text harmless."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esrt_privacy.errors import ReportError
from esrt_privacy.findings import Example, Interval, Rendition, Run
from esrt_privacy.reports import media
from esrt_privacy.reports.build import Built, build_report, report_record
from esrt_privacy.reports.claim_rules import Evidence, verdicts
from esrt_privacy.reports.claims import load
from esrt_privacy.reports.figures import (
    FLOOR,
    attack_labels,
    forest_rows,
    forest_svg,
    spectrogram_db,
)
from esrt_privacy.reports.page import render_page, tap_groups, write_page
from tests.reports.fake_bandwidth import fake_bandwidth
from tests.reports.fake_pictures import pictured
from tests.reports.fake_run import fake_run, finding, sentence_like, write_sounds

SHA256 = re.compile(r"(?<=SHA-256 <code>)[0-9a-f]{64}")
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{'


def rendered(run: Run, folder: Path, evidence: Evidence | None = None, **printed: bool) -> str:
    """The page as `build_report` renders it."""
    evidence = evidence or Evidence()
    report = report_record(run, verdicts(load(), run, evidence), evidence, "0" * 64)
    return render_page(report, run, folder, evidence, **printed)


class Page(HTMLParser):
    """The start tags with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def hostile_run(folder: Path) -> Run:
    example = Example(
        utterance=HOSTILE,
        system=HOSTILE,
        tap=HOSTILE,
        speaker=HOSTILE,
        language=HOSTILE,
        text=HOSTILE,
        **{
            role: rendition.model_copy(update={"name": HOSTILE, "transcript": HOSTILE})
            for role, rendition in write_sounds(folder, "hostile", 3).items()
        },
    )
    hostile = finding(
        **dict.fromkeys(
            ("question", "system", "corpus", "tap", "attack", "metric", "unit", "reason"), HOSTILE
        ),
        ceiling_name=HOSTILE,
        control_name=HOSTILE,
        control_rule=HOSTILE,
        floors={HOSTILE: Interval(value=1.0)},
        notes=(HOSTILE,),
    )
    run = pictured(folder)
    hostile_place = {"system": HOSTILE, "tap": HOSTILE}
    corpus = run.corpus.model_copy(update={"name": HOSTILE, "notes": (HOSTILE,)})
    budget = tuple(
        point.model_copy(update={"tap": HOSTILE, "metric": HOSTILE}) for point in run.budget[:3]
    )
    return run.model_copy(
        update={
            "system": HOSTILE,
            "command": HOSTILE,
            "corpus": corpus,
            "findings": (hostile,),
            "examples": (example,),
            "budget": budget,
            "det_curves": tuple(
                c.model_copy(update={**hostile_place, "trials": HOSTILE}) for c in run.det_curves
            ),
            "confusions": tuple(
                c.model_copy(
                    update={
                        **hostile_place,
                        "asked": HOSTILE,
                        "labels": tuple(f"{HOSTILE}{n}" for n in range(len(c.labels))),
                    }
                )
                for c in run.confusions
            ),
            "lengths": tuple(
                c.model_copy(update={**hostile_place, "thinning": HOSTILE}) for c in run.lengths
            ),
            "fingerprints": {HOSTILE: HOSTILE},
            "comments": (HOSTILE,),
        }
    )


def test_page_asks_for_nothing_outside_itself(report: tuple[Run, Path]) -> None:
    page = Page(report[1].read_text())
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "link", "object", "embed"}
        for name in ("src", "srcset", "poster", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "http:" not in report[1].read_text() and "https:" not in report[1].read_text()
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'" in (policy["content"] or "")


def test_page_can_be_read_without_seeing_it(report: tuple[Run, Path]) -> None:
    page = Page(report[1].read_text())
    assert page.all("html")[0]["lang"] == "en"
    assert all(image.get("alt") for image in page.all("img"))
    assert all(audio.get("aria-label") for audio in page.all("audio"))
    charts = [svg for svg in page.all("svg") if svg.get("class") == "chart"]
    assert len(charts) == 9 and all(chart.get("aria-label") for chart in charts)
    assert all(header.get("scope") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = {a[name] for _, a in page.tags for name in ("href", "xlink:href") if name in a}
    assert {reference.removeprefix("#") for reference in references if reference} <= set(ids)


def test_page_plays_the_sounds_of_the_run(report: tuple[Run, Path]) -> None:
    run, path = report
    players = Page(path.read_text()).all("audio")
    assert len(players) == 5 * len(run.examples)
    source = players[0]["src"] or ""
    kind, encoded = source.split(",", 1)
    assert kind == "data:audio/flac;base64"
    played, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="int16")
    original, _ = soundfile.read(path.parent / run.examples[0].original.audio, dtype="int16")
    assert rate == 16_000
    np.testing.assert_allclose(played, original, atol=1)


def test_page_opens_with_the_answer_naming_system_and_corpus(report: tuple[Run, Path]) -> None:
    text = " ".join(Page(report[1].read_text()).text)
    sentence = "On the corpus demo, the qformer tensors of the system reference give away"
    assert 0 <= text.index(sentence) < text.index("Each row is one measure")
    assert "left out: broken.flac" in text.lower()
    assert "esrt-privacy reconstruct --system reference" in text
    assert "private" not in text.lower()


def test_hostile_names_and_transcripts_are_only_text(tmp_path: Path) -> None:
    evidence = Evidence(bandwidth=fake_bandwidth(corpus=HOSTILE))
    html = rendered(hostile_run(tmp_path), tmp_path, evidence)
    page = Page(html)
    assert not page.all("script")
    assert all(
        (image["src"] or "").startswith("data:image/png;base64,") for image in page.all("img")
    )
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert "<script>alert(1)</script>" in " ".join(page.text)


def test_page_holds_no_more_than_its_limits_and_says_so(
    report: tuple[Run, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = report
    monkeypatch.setattr("esrt_privacy.reports.page.MOST_EXAMPLES", 1)
    html = rendered(run, path.parent)
    assert len(Page(html).all("audio")) == 5
    assert "This page holds 1 of 3 examples" in html
    assert media.show_examples(run.examples, path.parent, most=3, max_bytes=1000) == []


def test_missing_damaged_and_outside_sounds_leave_their_place_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    soundfile.write(tmp_path / "secret.wav", sentence_like(1, 0.3), 16_000)
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "text.wav").write_text("not a sound")
    soundfile.write(folder / "empty.wav", np.zeros(0), 16_000)
    example = Example(
        utterance="u",
        system="s",
        tap="qformer",
        original=Rendition(audio="missing.wav"),
        reconstruction=Rendition(audio="text.wav"),
        floor=Rendition(audio="link.wav"),
        control=Rendition(audio="empty.wav"),
    )
    shown = media.show(example, folder)
    problems = {panel.role: panel.problem for panel in shown.panels}
    assert "missing" in problems["original"]
    assert "cannot be read" in problems["reconstruction"]
    assert "outside" in problems["floor"]
    assert "no usable samples" in problems["control"]
    assert not any(panel.audio or panel.picture for panel in shown.panels)
    run = fake_run(tmp_path / "other").model_copy(update={"examples": (example,)})
    assert "No sound here: the sound file is missing." in rendered(run, folder)


def test_the_same_run_gives_the_same_page(report: tuple[Run, Path]) -> None:
    run, path = report
    again = build_report(run, path.parent)
    assert again.page == path and rendered(run, path.parent) == SHA256.sub(
        "0" * 64, path.read_text()
    )


def test_page_of_a_run_without_findings_says_that_nothing_was_tested(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"findings": (), "examples": (), "budget": ()})
    html = rendered(run, tmp_path)
    assert "Nothing was tested of the system reference on the corpus demo." in html


def test_page_that_cannot_be_written_is_a_report_error(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"examples": ()})
    (tmp_path / "file").write_text("in the way")
    report = report_record(run, (), Evidence(), "0" * 64)
    with pytest.raises(ReportError, match="cannot be written"):
        write_page(report, run, tmp_path / "file", Evidence())


def test_sections_stand_in_the_order_in_which_they_are_asked_for(
    whole_report: tuple[Run, Built],
) -> None:
    page = Page(whole_report[1].page.read_text())
    sections = [a["id"] for a in page.all("section")]
    assert sections == [
        *("claims", "leakage", "det", "confusion", "lengths", "examples", "budget", "bandwidth"),
        *("untested", "reasons", "findings", "threat", "method", "rerun"),
    ]
    linked = [a["href"] for a in page.all("a") if a["href"] in {f"#{name}" for name in sections}]
    assert set(linked) >= {f"#{name}" for name in sections if name != "reasons"}


def test_every_claim_has_its_verdict_before_anything_else_is_told(
    whole_report: tuple[Run, Built],
) -> None:
    html = whole_report[1].page.read_text()
    first = html[html.index('<section id="claims"') : html.index('<section id="leakage"')]
    text = " ".join(Page(first).text)
    for claim in whole_report[1].report.claims:
        assert claim.sentence in text
    sums = [c for c in whole_report[1].report.claims if c.kind == "arithmetic"]
    others = len(whole_report[1].report.claims) - len(sums)
    assert first.count('class="badge') == len(sums) + 2 * others
    assert 'class="badge refuted"' in first and 'class="badge arithmetic-does-not-hold"' in first


def test_many_findings_are_folded_and_few_are_open(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"examples": (), "budget": ()})
    few = Page(rendered(run, tmp_path)).all("details")
    many = tuple(finding(id=f"many.{n}") for n in range(80))
    folded = Page(rendered(run.model_copy(update={"findings": many}), tmp_path)).all("details")
    assert [d for d in few if d.get("class") == "tap-findings" and "open" in d]
    assert not [d for d in folded if d.get("class") == "tap-findings" and "open" in d]


def test_paper_holds_no_player_and_not_every_finding_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esrt_privacy.reports.page.MOST_PRINTED", 3)
    run = fake_run(tmp_path)
    html = rendered(run, tmp_path, printed=True)
    page = Page(html)
    assert not page.all("audio") and len(page.all("img")) == 15
    assert html.count('<tr id="finding-') == 3
    assert f"3 of {len(run.findings)} findings are printed" in html
    assert all("open" in d for d in page.all("details"))
    # What is not on the page is not linked to.
    anchors = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= anchors


def test_findings_are_cut_over_all_taps_together() -> None:
    found = [finding(id=f"f.{n}", tap="qformer" if n < 4 else "encoder") for n in range(8)]
    groups = tap_groups(found, 6)
    assert [(len(g.findings), g.of) for g in groups] == [(4, 4), (2, 4)]


def test_forest_names_each_reference_once_and_leaves_out_what_was_not_measured() -> None:
    group = [finding(), finding(id="other", tap="encoder")]
    rows = forest_rows(group)
    assert [row.label for row in rows[:2]] == ["attack on qformer", "attack on encoder"]
    assert len([row for row in rows if row.kind is FLOOR]) == 2
    unmeasured = finding(estimate=Interval(value=None), floors={}, ceiling=None)
    assert "attack on qformer" not in forest_svg([unmeasured], "chart", "alt")


def test_text_stands_out_from_its_ground_as_wcag_aa_asks() -> None:
    css = (Path(media.__file__).parent / "templates" / "report.css").read_text()
    badges = re.findall(r"\.badge[^{]*{[^}]*?color: (#\w{6}); background: (#\w{6})", css)
    inks = re.findall(r"--(?:ink|muted|link): (#\w{6})", css)
    grounds = re.findall(r"--(?:soft|paper): (#\w{6})", css)
    grounds += re.findall(r"\.verdict\.[^{]*{[^}]*background: (#\w{6})", css)
    assert (len(badges), len(inks), len(grounds)) == (8, 3, 6)
    for ink, ground in badges + [(ink, ground) for ink in inks for ground in grounds]:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_spectrogram_of_a_tone_peaks_at_its_frequency() -> None:
    rate, hertz = 16_000, 2_000
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    spectrum = spectrogram_db(tone, rate)
    middle = spectrum[:, spectrum.shape[1] // 2]
    assert abs(np.argmax(middle) * (rate / 2) / (len(middle) - 1) - hertz) <= 20
    assert spectrogram_db(np.zeros(800), rate).max() == -70.0


def test_attacks_of_one_metric_are_told_apart_in_their_figure() -> None:
    eer = {"attack": "speaker", "metric": "speaker EER"}
    lazy = finding(id="speaker.qformer.lazy", attacker="lazy-informed", **eer)
    two = finding(id="speaker.qformer.same-sex", **eer)
    mixed = finding(id="speaker.qformer.mixed", **eer)
    assert attack_labels([two]) == ["attack on qformer"]
    assert attack_labels([lazy, two]) == [
        "lazy-informed attack on qformer",
        "semi-informed attack on qformer",
    ]
    assert attack_labels([lazy, two, mixed])[1:] == [
        "semi-informed attack on qformer, same-sex",
        "semi-informed attack on qformer, mixed",
    ]
    assert [row.label for row in forest_rows([two, mixed])][:2] == attack_labels([two, mixed])
