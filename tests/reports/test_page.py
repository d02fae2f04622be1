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
from esrt_privacy.reports.figures import (
    FLOOR,
    attack_labels,
    forest_rows,
    forest_svg,
    spectrogram_db,
)
from esrt_privacy.reports.page import render_page, write_page
from tests.reports.fake_run import fake_run, finding, sentence_like, write_sounds

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{'


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
    run = fake_run(folder)
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
    assert len(charts) == 8 and all(chart.get("aria-label") for chart in charts)
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


def test_page_opens_with_the_verdict_naming_system_and_corpus(report: tuple[Run, Path]) -> None:
    text = " ".join(Page(report[1].read_text()).text)
    sentence = "The qformer tensors of the system reference leak on the corpus demo"
    assert 0 <= text.index(sentence) < text.index("Each row is one measure")
    assert "left out: broken.flac" in text.lower()
    assert "esrt-privacy reconstruct --system reference" in text
    assert "private" not in text.lower()


def test_hostile_names_and_transcripts_are_only_text(tmp_path: Path) -> None:
    html = render_page(hostile_run(tmp_path), tmp_path)
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
    html = render_page(run, path.parent)
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
    assert "No sound here: the sound file is missing." in render_page(run, folder)


def test_the_same_run_gives_the_same_page(report: tuple[Run, Path]) -> None:
    run, path = report
    assert render_page(run, path.parent) == path.read_text()


def test_page_of_a_run_without_findings_says_that_nothing_was_tested(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"findings": (), "examples": (), "budget": ()})
    html = render_page(run, tmp_path)
    assert "Nothing was tested of the system reference on the corpus demo." in html


def test_page_that_cannot_be_written_is_a_report_error(tmp_path: Path) -> None:
    run = fake_run(tmp_path).model_copy(update={"examples": ()})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportError, match="cannot be written"):
        write_page(run, tmp_path / "file")


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
    assert (len(badges), len(inks), len(grounds)) == (5, 3, 6)
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
