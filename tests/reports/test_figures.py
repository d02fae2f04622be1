"""Pictures of a report: what they show is what the data says, and nothing hostile gets out of its place."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from esrt_privacy.findings import BudgetPoint, Finding, Interval
from esrt_privacy.reports import figures
from esrt_privacy.reports.figures import confusion as confusion_figure
from esrt_privacy.reports.figures.style import MOST_LINES
from tests.reports.fake_pictures import confusion, det_curve, lengths, speaker_finding
from tests.reports.fake_run import finding, interval

HOSTILE = "\"><script>alert('x')</script>&amp;\u202e\x00]]> $a_b$"


def words(svg: str) -> list[str]:
    """The texts that are drawn; the picture must be XML, in which a script or a stray sign would stand out."""
    root = ElementTree.fromstring(svg)
    tags = {element.tag for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "defs", "path", "use", "text", "clipPath", "rect"}
    assert not [name for e in root.iter() for name in e.attrib if name.lower().startswith("on")]
    return [element.text or "" for element in root.iter("text")]


def drawn() -> dict[str, str]:
    """One picture of each kind."""
    budget = [
        BudgetPoint(tap="qformer", amount=a, amount_unit="steps", metric="STOI", value=a / 1000)
        for a in (100, 400, 900)
    ]
    (panel,) = figures.leakage_panels([speaker_finding(), speaker_finding("encoder", value=20)])
    return {
        "det": figures.det_svg([det_curve(), det_curve("encoder", apart=1.5)]),
        "confusion": figures.confusion_svg(confusion()),
        "lengths": figures.lengths_svg(lengths()),
        "budget": figures.budget_svg(budget, "budget", "STOI against training."),
        "leakage": figures.leakage_svg(panel),
        "forest": figures.forest_svg([finding()], "forest", "Word error rate."),
    }


# --- all pictures


def test_the_same_data_gives_the_same_bytes() -> None:
    assert drawn() == drawn()


def test_every_picture_is_xml_with_a_name_and_asks_for_nothing_from_elsewhere() -> None:
    for svg in drawn().values():
        assert words(svg)
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img" and root.get("aria-label")
        references = re.findall(r'(?:href="|url\()([^")]*)', svg)
        assert all(reference.startswith("#") for reference in references)
        ids = re.findall(r' id="([^"]*)"', svg)
        assert len(set(ids)) == len(ids)
        assert {reference.removeprefix("#") for reference in references} <= set(ids)


def test_new_pictures_have_a_title_and_a_description_of_their_values() -> None:
    for name in ("det", "confusion", "lengths", "leakage"):
        root = ElementTree.fromstring(drawn()[name])
        title, description = root.findtext("title"), root.findtext("desc")
        assert title == root.get("aria-label")
        assert root.get("aria-describedby") == root.find("desc").attrib["id"]  # type: ignore[union-attr]
        assert description and re.search(r"\d", description)


def test_two_pictures_of_one_page_share_no_id() -> None:
    pair = [figures.det_svg([det_curve()], name) for name in ("a", "b")]
    first, second = (set(re.findall(r' id="([^"]*)"', svg)) for svg in pair)
    assert first and not first & second


def test_hostile_names_are_only_text() -> None:
    curve = det_curve().model_copy(update={"tap": HOSTILE, "system": HOSTILE, "asked": HOSTILE})
    table = confusion((HOSTILE, "other")).model_copy(update={"tap": HOSTILE, "asked": HOSTILE})
    point = BudgetPoint(tap=HOSTILE, amount=1, amount_unit="steps", metric=HOSTILE, value=1.0)
    bad = speaker_finding().model_copy(update={"tap": HOSTILE, "system": HOSTILE})
    pictures = [
        figures.det_svg([curve]),
        figures.confusion_svg(table),
        figures.lengths_svg(lengths().model_copy(update={"tap": HOSTILE, "system": HOSTILE})),
        figures.budget_svg([point], "budget", HOSTILE),
        *(figures.leakage_svg(panel) for panel in figures.leakage_panels([bad])),
        figures.forest_svg([bad], "forest", HOSTILE),
    ]
    for svg in pictures:
        assert "<script" not in svg and words(svg)
        assert not set("\u202e\x00") & set(svg)


# --- leakage


def test_leakage_of_metrics_of_all_kinds_stands_on_one_scale() -> None:
    accuracy = finding(
        id="language.qformer.balanced-accuracy",
        attack="language",
        metric="balanced accuracy",
        leaks_when="higher",
        estimate=interval(55.0, 9.0),
        floors={"chance": interval(10.0, 0.0), "duration only": interval(19.0, 1.0)},
        ceiling=interval(91.0, 1.0),
        control=interval(73.0, 1.0),
    )
    length = finding(
        id="duration.qformer.r2",
        attack="duration",
        metric="duration R²",
        unit="",
        leaks_when="higher",
        estimate=interval(0.8, 0.1),
        floors={"median duration": interval(-0.25, 0.05)},
        ceiling=None,
        control=None,
    )
    eer, which, how_long = figures.leakage_panels([length, speaker_finding(value=40), accuracy])
    # An EER of 40 ± 3 between chance, 50, and certainty, 0.
    bar = eer.taps[0].bar
    assert (bar.value, bar.low, bar.high) == pytest.approx((0.2, 0.14, 0.26))
    bar = which.taps[0].bar
    assert (bar.value, bar.low, bar.high) == pytest.approx((0.5, 0.4, 0.6))
    assert {mark.name: mark.value for mark in which.taps[0].references} == pytest.approx(
        {
            "floor chance": 0.0,
            "floor duration only": 0.1,
            "control transparent tensor": 0.7,
            "ceiling Griffin-Lim from the true mel": 0.9,
        }
    )
    # Without a floor called chance, the strongest floor stands at 0.
    assert how_long.taps[0].bar.value == pytest.approx(1.05 / 1.25)
    assert how_long.chance == "median duration"
    assert "from median duration (0) to certainty (1)" in how_long.caption


def test_taps_stand_in_order_from_the_microphone_to_the_llm() -> None:
    names = ["projector", "encoder", "vendor", "encoder.10", "encoder.3", "qformer", "mel"]
    names += ["transparent", "waveform"]
    found = [
        speaker_finding("q").model_copy(
            update={"tap": tap, "id": f"speaker.{tap.replace('.', '-')}.semi-informed-eer"}
        )
        for tap in names
    ]
    (panel,) = figures.leakage_panels(found)
    assert [row.tap for row in panel.taps] == [
        *("waveform", "mel", "encoder.3", "encoder.10", "encoder", "qformer", "projector"),
        "vendor",
    ]
    assert panel.audited == "projector"
    assert [word for word in words(figures.leakage_svg(panel)) if word in names] == [
        row.tap for row in panel.taps
    ]


def test_one_attacker_and_one_kind_of_trials_speak_for_a_question() -> None:
    def eer(attacker: str, end: str = "") -> Finding:
        found = speaker_finding("qformer", attacker)  # type: ignore[arg-type]
        return found.model_copy(update={"id": found.id + end})

    lazy, mixed, own = eer("lazy-informed"), eer("semi-informed", "-mixed"), eer("semi-informed")
    assert [p.attacker for p in figures.leakage_panels([lazy, mixed, own])] == ["semi-informed"]
    assert [p.attacker for p in figures.leakage_panels([eer("ignorant"), lazy])] == ["ignorant"]
    assert len(figures.leakage_panels([mixed])) == 1


def test_what_cannot_be_placed_between_chance_and_certainty_has_no_bar() -> None:
    unmeasured = speaker_finding().model_copy(update={"estimate": Interval(value=None)})
    floorless = speaker_finding().model_copy(update={"floors": {}})
    certain = speaker_finding().model_copy(update={"floors": {"chance": interval(0, 0)}})
    assert figures.leakage_panels([unmeasured, floorless, certain]) == ()
    assert figures.leakage_panels([finding(metric="a vendor's own")]) == ()


def test_an_invalid_bar_is_hollow_and_said_so() -> None:
    good, bad = (
        figures.leakage_panels([speaker_finding().model_copy(update={"verdict": verdict})])[0]
        for verdict in ("leaks", "invalid")
    )
    assert "attack, invalid" in words(figures.leakage_svg(bad))
    assert "attack, invalid" not in words(figures.leakage_svg(good))
    assert "stroke-dasharray" in figures.leakage_svg(bad)
    assert "qformer: 0.16 (0.10 to 0.22), invalid; floor chance 0.00" in bad.alt


# --- DET curves


def test_det_curves_are_grouped_by_question_and_attacker() -> None:
    curves = [
        det_curve("qformer"),
        det_curve("qformer", "lazy-informed"),
        det_curve("encoder"),
        det_curve("encoder").model_copy(update={"asked": "same recording"}),
    ]
    groups = figures.det_groups(curves)
    assert [[curve.tap for curve in group] for group in groups] == [
        ["qformer", "encoder"],
        ["qformer"],
        ["encoder"],
    ]
    assert figures.det_title(groups[1]) == (
        "Same speaker, one sex: reference, lazy-informed attacker"
    )


def test_a_det_picture_names_each_curve_with_its_equal_error_rate() -> None:
    gone = det_curve("mel").model_copy(update={"false_alarm": (), "miss": (), "eer": 0.0})
    curves = [det_curve().model_copy(update={"eer": 0.4251}), gone]
    said = words(figures.det_svg(curves))
    assert {"chance", "qformer, EER 42.5%", "mel, EER 0.0% (off the axes)"} <= set(said)
    assert "qformer: equal error rate 42.5%, 400 target" in figures.det_alt(curves)
    # Ticks reach down to a thousandth where an attack is that good.
    assert "0.1" in said and "0.1" not in words(figures.det_svg(curves[:1]))


def test_a_det_picture_marks_the_equal_error_rate_on_its_diagonal() -> None:
    # Only the mark is drawn at markersize 7 on the axes; its x and y mirror each other there.
    def mark(eer: float) -> tuple[float, float]:
        svg = figures.det_svg([det_curve().model_copy(update={"eer": eer})])
        colour = figures.ATTACK.colour
        marks = re.findall(
            rf'<use href="[^"]*" x="([\d.]+)" y="([\d.]+)" style="fill: {colour}', svg
        )
        x, y = marks[-1] if float(marks[-1][1]) > float(marks[0][1]) else marks[0]
        return float(x), float(y)

    low, high = mark(0.05), mark(0.4)
    assert high[0] - low[0] == pytest.approx(low[1] - high[1], rel=0.01)
    assert high[0] > low[0]


def test_more_curves_than_can_be_told_apart_are_left_out_and_said_so() -> None:
    many = [det_curve(trials=200).model_copy(update={"tap": f"t{i}"}) for i in range(15)]
    said = words(figures.det_svg(many))
    assert sum(word.startswith("t") and "EER" in word for word in said) == MOST_LINES
    assert "false alarms (%); 3 more not drawn" in said


# --- confusion matrices


def test_a_confusion_matrix_prints_counts_and_totals() -> None:
    table = confusion(("F", "M")).model_copy(update={"counts": ((31, 4), (0, 7)), "asked": "sex"})
    said = words(figures.confusion_svg(table))
    assert [word for word in said if word.isdigit()] == ["31", "4", "7"]
    assert {"F (35)", "M (7)", "answered sex", "true sex"} <= set(said)
    assert "F: 89% of 35 right, most often taken for M; M: 100% of 7 right." in (
        figures.confusion_alt(table)
    )


def test_the_rarest_of_many_labels_are_added_up() -> None:
    names = tuple(f"l{i:02d}" for i in range(30))
    table = confusion(names)
    counts = np.array(table.counts)
    counts[3] *= 5
    table = table.model_copy(update={"counts": tuple(map(tuple, counts.tolist()))})
    labels, small = confusion_figure.joined(table)
    assert len(labels) == 24 and labels[-1] == "7 others" and "l03" in labels
    assert small.sum() == counts.sum()
    assert small[labels.index("l03"), labels.index("l03")] == counts[3, 3]
    assert small[-1].sum() == 7 * 40
    assert "7 others (280)" in words(figures.confusion_svg(table))


def test_numbers_stand_out_from_every_shade() -> None:
    from matplotlib import colormaps

    shares = np.linspace(0, 1, 101)
    inks = confusion_figure._inks(shares[None])[0]
    shades = colormaps[confusion_figure.SHADES](shares)[:, :3]
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    for light, ink in zip(linear @ (0.2126, 0.7152, 0.0722), inks, strict=True):
        pair = sorted((light, 1.0 if ink == "white" else 0.0))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_a_label_that_nobody_spoke_is_said_so() -> None:
    table = confusion(("F", "M")).model_copy(update={"counts": ((2, 0), (0, 0))})
    assert "M: no utterance" in figures.confusion_alt(table)


# --- lengths


def test_lengths_say_how_many_lie_in_the_band() -> None:
    pairs = lengths().model_copy(
        update={"true": (2.0, 4.0, 10.0, 20.0), "inferred": (2.1, 4.5, 9.6, 20.0), "utterances": 4}
    )
    assert "75% of 4 within 5%" in words(figures.lengths_svg(pairs))
    assert "75% lie within 5% of the true length; the mean absolute error is 0.25 s." in (
        figures.lengths_alt(pairs)
    )


def test_drawn_lengths_are_said_to_be_drawn() -> None:
    drawn_pairs = lengths(50).model_copy(update={"utterances": 9_000, "thinning": "50 of 9,000"})
    assert "drawn of 9,000 utterances" in words(figures.lengths_svg(drawn_pairs))
    assert "50 of 9,000." in figures.lengths_alt(drawn_pairs)
    assert words(figures.lengths_svg(lengths(0)))
    assert figures.lengths_alt(lengths(0)) == "No utterance has both lengths."


# --- budget curves


def points(amounts: tuple[float, ...], **changes: object) -> list[BudgetPoint]:
    fields = {"tap": "qformer", "amount_unit": "steps", "metric": "speaker EER", "unit": "%"}
    return [
        BudgetPoint.model_validate({**fields, "amount": a, "value": 50 - i, **changes})
        for i, a in enumerate(amounts)
    ]


def test_amounts_over_decades_stand_on_a_log_axis_in_plain_numbers() -> None:
    said = words(figures.budget_svg(points((10, 1_000, 100_000)), "b", "alt"))
    assert {"10", "1,000", "100,000"} <= set(said)
    assert not [word for word in said if "$" in word or "^" in word]


def test_points_that_are_bounds_are_ringed() -> None:
    plain = points((100, 200, 400))
    ringed = [*plain[:2], plain[2].model_copy(update={"bound": True})]
    assert "still improving: a bound" in words(figures.budget_svg(ringed, "b", "alt"))
    assert "still improving: a bound" not in words(figures.budget_svg(plain, "b", "alt"))


def test_lines_of_several_systems_are_told_apart() -> None:
    both = points((100, 200), system="a") + points((100, 200), system="b")
    assert {"a, qformer", "b, qformer"} <= set(words(figures.budget_svg(both, "b", "alt")))
    many = [p for i in range(14) for p in points((100, 200), tap=f"t{i}")]
    assert "training (steps); 2 more lines are not drawn" in words(
        figures.budget_svg(many, "b", "alt")
    )
    assert "100" in words(figures.budget_svg(points((100,)), "b", "alt"))
