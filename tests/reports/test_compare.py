"""Two runs beside one another: which findings belong together, the intervals, the order, and hostile names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from esrt_privacy.errors import ReportError
from esrt_privacy.findings import Interval, write_run
from esrt_privacy.replicates import FigureReplicates, write_replicates
from esrt_privacy.reports import compare_page, compare_record, compare_tables
from esrt_privacy.reports.compare import matched
from esrt_privacy.reports.compare_record import (
    Change,
    Comparison,
    read_comparison,
    write_comparison,
)
from tests.reports.compared_runs import audited, compared
from tests.reports.fake_run import fake_run, finding

HOSTILE = "[red]x|y</td><script>alert(1)</script>`*_\n\u202e@you"


def by_metric(comparison: Comparison) -> dict[str, Change]:
    return {change.metric: change for change in comparison.changes}


def width(change: Change) -> float:
    assert change.leakage.low is not None and change.leakage.high is not None
    return change.leakage.high - change.leakage.low


def test_runs_over_the_same_speakers_are_compared_in_pairs(tmp_path: Path):
    audited(tmp_path / "a")
    audited(tmp_path / "b", errors=0.42, strength=3.0, system="other", seed=1)
    wer = by_metric(compared(tmp_path / "a", tmp_path / "b"))["WER"]
    assert wer.paired and wer.note == ""
    # Fewer wrong words are more leakage.
    assert wer.leakage.value == pytest.approx(wer.a.estimate.value - wer.b.estimate.value)
    assert wer.leakage.low > 0 and wer.outcome == "worse"
    assert (wer.a.system, wer.b.system) == ("reference", "other")
    back = by_metric(compared(tmp_path / "b", tmp_path / "a"))["WER"]
    assert back.outcome == "better"
    assert (back.leakage.low, back.leakage.high) == (
        pytest.approx(-wer.leakage.high),
        pytest.approx(-wer.leakage.low),
    )


def test_a_paired_interval_is_narrower_than_an_unpaired_one(tmp_path: Path):
    for name, replicates in (("paired", True), ("unpaired", False)):
        audited(tmp_path / name / "a", replicates=replicates)
        audited(tmp_path / name / "b", seed=1, replicates=replicates)
    paired, unpaired = (
        by_metric(compared(tmp_path / name / "a", tmp_path / name / "b"))
        for name in ("paired", "unpaired")
    )
    assert not unpaired["WER"].paired and unpaired["WER"].note == "a run kept no replicates of it"
    assert 2.5 * width(paired["WER"]) < width(unpaired["WER"])
    assert width(paired["speaker EER"]) < width(unpaired["speaker EER"])


def test_an_unpaired_interval_is_that_of_zou_and_donner(tmp_path: Path):
    audited(tmp_path / "a", replicates=False)
    audited(tmp_path / "b", errors=0.4, people=3)
    wer = by_metric(compared(tmp_path / "a", tmp_path / "b"))["WER"]
    a, b = wer.a.estimate, wer.b.estimate
    # WER leaks when lower: the difference is A's figure minus B's.
    assert wer.leakage.low == pytest.approx(
        a.value - b.value - np.hypot(a.value - a.low, b.high - b.value)
    )
    assert wer.leakage.high == pytest.approx(
        a.value - b.value + np.hypot(a.high - a.value, b.value - b.low)
    )


def test_other_speakers_are_no_pairs(tmp_path: Path):
    audited(tmp_path / "a")
    audited(tmp_path / "b", people=5)
    wer = by_metric(compared(tmp_path / "a", tmp_path / "b"))["WER"]
    assert not wer.paired and wer.note == "other speakers"


def test_replicates_of_another_figure_are_not_used(tmp_path: Path):
    audited(tmp_path / "a")
    audited(tmp_path / "b", seed=1)
    audited(tmp_path / "old", seed=2)
    (tmp_path / "old" / "replicates.safetensors").rename(tmp_path / "b" / "replicates.safetensors")
    wer = by_metric(compared(tmp_path / "a", tmp_path / "b"))["WER"]
    assert not wer.paired and "of another figure" in wer.note


def test_a_run_beside_itself_has_the_same_answers(tmp_path: Path):
    audited(tmp_path / "a")
    comparison = compared(tmp_path / "a", tmp_path / "a")
    assert {change.outcome for change in comparison.changes} == {"same answers"}
    assert all(change.leakage.value == 0 and change.p is None for change in comparison.changes)
    assert "Both runs attacked the same system with the same weights." in comparison.notes


def test_figures_without_any_spread_fall_back_to_their_own_intervals(tmp_path: Path):
    flat = FigureReplicates(50.0, np.full(9, 50.0), np.full(20, 50.0), "00")
    interval = Interval(value=50.0, low=40.0, high=60.0, n=9)
    for name in "ab":
        run = fake_run(tmp_path / name)
        one = finding(id="x.one", estimate=interval)
        write_run(run.model_copy(update={"findings": (one,), "examples": ()}), tmp_path / name)
        write_replicates({"x.one": flat}, tmp_path / name)
    (change,) = compared(tmp_path / "a", tmp_path / "b").changes
    assert not change.paired and change.note == "none of 9 speakers changes the difference"
    assert change.leakage.high == pytest.approx(np.hypot(10, 10))


def test_what_got_worse_comes_first_and_a_graver_verdict_before_others(tmp_path: Path):
    def figure(name: str, value: float, verdict: str) -> dict:
        interval = Interval(value=value, low=value - 2, high=value + 2, n=30)
        return {"id": f"x.{name}", "metric": name, "estimate": interval, "verdict": verdict}

    sides = {
        "a": [figure("steady", 50, "leaks"), figure("graver", 50, "not detected"),
              figure("better", 50, "leaks"), figure("worse", 50, "leaks")],
        "b": [figure("steady", 50, "leaks"), figure("graver", 51, "leaks"),
              figure("better", 70, "leaks"), figure("worse", 30, "leaks")],
    }  # fmt: skip
    for name, rows in sides.items():
        run = fake_run(tmp_path / name)
        made = tuple(finding(**row) for row in rows)
        write_run(run.model_copy(update={"findings": made, "examples": ()}), tmp_path / name)
    comparison = compared(tmp_path / "a", tmp_path / "b")
    assert [c.metric for c in comparison.changes] == ["worse", "graver", "steady", "better"]
    assert [c.outcome for c in comparison.changes] == [
        "worse",
        "no clear change",
        "no clear change",
        "better",
    ]
    assert comparison.tested == 4 and comparison.excluding_zero == 2


def test_many_small_differences_are_not_called_worse_one_by_one(tmp_path: Path):
    for name, shift in (("a", 0.0), ("b", -2.9)):
        rows = tuple(
            finding(
                id=f"x.{n}",
                metric=f"metric {n}",
                estimate=Interval(value=50 + shift, low=48 + shift, high=52 + shift, n=30),
            )
            for n in range(40)
        )
        run = fake_run(tmp_path / name)
        write_run(run.model_copy(update={"findings": rows, "examples": ()}), tmp_path / name)
    comparison = compared(tmp_path / "a", tmp_path / "b")
    # 2.9 against half-widths of hypot(2, 2): each by itself excludes zero, none is left after Holm.
    assert comparison.excluding_zero == 40
    assert {c.outcome for c in comparison.changes} == {"no clear change"}
    assert "about 2.0 would by chance" in compare_tables.multiplicity(comparison)


def test_findings_are_matched_by_their_question_and_systems_may_differ():
    first = [finding(id="a.one", tap="qformer"), finding(id="a.two", tap="encoder")]
    second = [
        finding(id="b.one", tap="qformer", system="other"),
        finding(id="b.three", tap="encoder"),
    ]
    pairs, only_first, only_second = matched(first, second)
    assert [(a.id, b.id) for a, b in pairs] == [("a.one", "b.one")]
    assert [f.id for f in only_first] == ["a.two"]
    assert [f.id for f in only_second] == ["b.three"]


def test_of_several_systems_those_of_one_name_are_matched_first():
    first = [finding(id="x.wer", system="x"), finding(id="y.wer", system="y")]
    second = [finding(id="z.wer", system="z"), finding(id="x2.wer", system="x")]
    pairs, only_first, only_second = matched(first, second)
    assert [(a.system, b.system) for a, b in pairs] == [("x", "x"), ("y", "z")]
    assert only_first == only_second == []
    # With two left on one side nobody can say which belongs to which.
    more = [*first, finding(id="w.wer", system="w")]
    pairs, only_first, only_second = matched(more, second)
    assert [(a.system, b.system) for a, b in pairs] == [("x", "x")]
    assert [f.system for f in only_first] == ["y", "w"] and [f.system for f in only_second] == ["z"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"estimate": Interval(value=None)}, "not measured in B"),
        ({"unit": "dB"}, "the runs give it in different units"),
        (
            {"estimate": Interval(value=1.0, low=0.5, high=2.0, level=0.9)},
            "intervals are not of 95% each",
        ),
        ({"estimate": Interval(value=1.0)}, "a run has no interval of it"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path: Path, change: dict, why: str):
    for name, changes in (("a", {}), ("b", change)):
        run = fake_run(tmp_path / name)
        write_run(
            run.model_copy(update={"findings": (finding(**changes),), "examples": ()}),
            tmp_path / name,
        )
    (made,) = compared(tmp_path / "a", tmp_path / "b").changes
    assert made.outcome == "not compared" and why in made.note and made.p is None


def test_runs_without_a_common_question_are_refused(tmp_path: Path):
    for name, metric in (("a", "WER"), ("b", "STOI")):
        run = fake_run(tmp_path / name)
        one = (finding(metric=metric),)
        write_run(run.model_copy(update={"findings": one, "examples": ()}), tmp_path / name)
    with pytest.raises(ReportError, match="no question in common"):
        compared(tmp_path / "a", tmp_path / "b")


def hostile(folder: Path) -> Comparison:
    for name in "ab":
        run = fake_run(folder / name)
        rows = tuple(
            f.model_copy(
                update={"metric": HOSTILE, "tap": HOSTILE, "attack": HOSTILE, "system": HOSTILE}
            )
            for f in run.findings
        )
        extra = finding(id=f"only-{name}", metric=HOSTILE)
        corpus = run.corpus.model_copy(update={"name": HOSTILE})
        changes = {"findings": (*rows, extra), "corpus": corpus, "system": HOSTILE, "examples": ()}
        write_run(run.model_copy(update=changes), folder / name)
    return compared(folder / "a", folder / "b")


def test_hostile_names_stay_text_in_every_form(tmp_path: Path):
    comparison = hostile(tmp_path)
    page = compare_page.render_page(comparison)
    assert "<script" not in page and "</td><script" not in page and "\u202e" not in page
    assert page.count("&lt;script&gt;") > 5
    markdown = compare_tables.render_markdown(comparison)
    assert "<script" not in markdown and "\u202e" not in markdown
    (*_, first) = (line for line in markdown.splitlines() if line.startswith("| "))
    assert first.replace("\\|", "").count("|") == len(compare_tables.HEADS) + 1
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=300, file=nowhere)
        compare_tables.print_comparison(comparison, console)
    assert "[red]x|y" in console.export_text()


def test_a_comparison_is_written_read_and_fits_its_published_schema(tmp_path: Path):
    audited(tmp_path / "a")
    audited(tmp_path / "b", seed=1)
    comparison = compared(tmp_path / "a", tmp_path / "b")
    path = write_comparison(comparison, tmp_path)
    assert read_comparison(path) == comparison
    assert json.loads(path.read_text())["schema_version"] == "1"
    assert str(tmp_path) not in path.read_text()
    assert json.loads(compare_record.schema_text()) == compare_record.shipped_schema()


@pytest.mark.parametrize("content", [b"{}", b"no json", b"\xff\xfe", b'{"schema_version": "2"}'])
def test_a_foreign_file_is_no_comparison(tmp_path: Path, content: bytes):
    path = tmp_path / "comparison.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match="no comparison"):
        read_comparison(path)


def test_the_page_draws_a_picture_for_each_unit_and_needs_nothing_from_outside(tmp_path: Path):
    fake_run(tmp_path / "a")
    for name in "ab":
        write_run(fake_run(tmp_path / name), tmp_path / name)
    comparison = compared(tmp_path / "a", tmp_path / "b")
    page = compare_page.render_page(comparison)
    assert page.count('<svg class="chart"') == len({c.unit for c in comparison.changes})
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
    assert page == compare_page.render_page(comparison)


def test_the_command_compares_in_a_real_process(tmp_path: Path):
    audited(tmp_path / "a")
    audited(tmp_path / "b", errors=0.3, seed=1)
    command = [sys.executable, "-m", "esrt_privacy.cli", "report", "compare"]
    out = tmp_path / "out"

    def run(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    done = run(tmp_path / "a", tmp_path / "b", "--out", out)
    assert done.returncode == 0 and done.stderr == ""
    names = ["comparison.html", "comparison.md", "comparison.json"]
    assert done.stdout.splitlines()[-3:] == [str(out / name) for name in names]
    found = read_comparison(out / "comparison.json")
    assert by_metric(found)["WER"].outcome == "worse" and found.command.startswith(
        "esrt-privacy report"
    )
    failed = run(tmp_path / "a", tmp_path / "nowhere", "--out", out)
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1
