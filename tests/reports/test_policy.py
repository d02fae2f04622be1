"""A gate: what passes, what fails, what is refused, and its exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from esrt_privacy.errors import PolicyError, ReportError
from esrt_privacy.findings import Finding, Interval, Run
from esrt_privacy.reports.policy import (
    GATE_FAILED,
    GateResult,
    Policy,
    Rule,
    check_run,
    read_policy,
)
from esrt_privacy.reports.policy_tables import (
    add_markdown,
    print_gate,
    render_markdown,
    verdict_line,
)
from tests.reports.compared_runs import audited
from tests.reports.fake_run import fake_run, finding

HOSTILE = "[red]x|y</td><script>alert(1)</script>`*_\n\u202e@you"
EER = """
[[rule]]
attack = "speaker"
metric = "speaker EER"
attacker = "semi-informed"
bound = "low"
at_least = 30.0
"""


def eer(low: float | None = 34.0, **changes: object) -> Finding:
    fields = {
        "id": "speaker.qformer.semi-informed-eer",
        "attack": "speaker",
        "metric": "speaker EER",
        "estimate": Interval(value=38.0, low=low, high=None if low is None else 44.0, n=20),
        "verdict": "not detected",
    }
    return finding(**(fields | changes))


def run_of(folder: Path, *findings: Finding) -> Run:
    return fake_run(folder).model_copy(update={"findings": findings, "examples": ()})


def policy_of(text: str, folder: Path) -> Policy:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path)


def gate(folder: Path, text: str, *findings: Finding) -> GateResult:
    return check_run(run_of(folder, *findings), policy_of(text, folder))


def test_a_figure_within_the_limit_passes_and_the_end_of_its_interval_counts(tmp_path: Path):
    assert gate(tmp_path, EER, eer(34.0)).passed
    assert gate(tmp_path, EER, eer(30.0)).passed
    failed = gate(tmp_path, EER, eer(29.9))
    assert not failed.passed and failed.lines[0].wanted == "low end ≥ 30%"
    by_value = EER.replace('bound = "low"\n', "")
    assert gate(tmp_path, by_value, eer(29.9)).passed


def test_at_most_is_held_against_the_upper_end(tmp_path: Path):
    rule = """
        [[rule]]
        attack = "language"
        metric = "balanced accuracy"
        bound = "high"
        at_most = 20.0
    """
    language = {"attack": "language", "metric": "balanced accuracy", "leaks_when": "higher"}
    below = Interval(value=12.0, low=8.0, high=20.0, n=9)
    above = Interval(value=12.0, low=8.0, high=20.1, n=9)
    assert gate(tmp_path, rule, finding(**language, estimate=below)).passed
    assert not gate(tmp_path, rule, finding(**language, estimate=above)).passed


def test_a_rule_that_no_finding_answers_fails_unless_it_is_not_required(tmp_path: Path):
    other = eer(attacker="ignorant")
    missed = gate(tmp_path, EER, other)
    assert not missed.passed and missed.lines[0].reason == "no finding answers this rule"
    assert gate(tmp_path, EER + "required = false\n", other).passed
    assert not gate(tmp_path, EER).passed


def test_what_was_not_measured_or_has_no_interval_fails(tmp_path: Path):
    assert "no low end" in gate(tmp_path, EER, eer(None)).lines[0].reason
    unmeasured = eer(estimate=Interval(value=None, method="undefined"))
    failed = gate(tmp_path, EER.replace('bound = "low"\n', ""), unmeasured)
    assert not failed.passed and "no value: undefined" in failed.lines[0].reason


@pytest.mark.parametrize("verdict", ["invalid", "untested"])
def test_a_figure_that_says_nothing_passes_no_rule(tmp_path: Path, verdict: str):
    weak = eer(verdict=verdict)
    failed = gate(tmp_path, EER, weak)
    assert not failed.passed and verdict in failed.lines[0].reason
    assert gate(tmp_path, EER + "allow_invalid = true\n", weak).passed


def test_every_finding_that_a_rule_is_about_must_meet_it(tmp_path: Path):
    mixed = eer(20.0, id="speaker.qformer.semi-informed-eer-mixed")
    result = gate(tmp_path, EER, eer(34.0), mixed)
    assert [line.passed for line in result.lines] == [True, False] and not result.passed
    narrowed = EER + 'slug = "semi-informed-eer"\n'
    assert gate(tmp_path, narrowed, eer(34.0), mixed).passed


def test_wire_is_the_tap_of_each_systems_first_finding(tmp_path: Path):
    lead = finding(id="a.qformer.wer", tap="qformer")
    encoder = eer(10.0, tap="encoder", id="speaker.encoder.semi-informed-eer")
    assert gate(tmp_path, EER, lead, eer(34.0), encoder).passed
    named = EER + 'tap = "encoder"\n'
    assert not gate(tmp_path, named, lead, eer(34.0), encoder).passed
    second = eer(10.0, id="b.eer", system="second", tap="projector")
    assert not gate(tmp_path, EER, lead, eer(34.0), second).passed
    assert gate(tmp_path, EER + 'system = "reference"\n', lead, eer(34.0), second).passed


def test_forbidden_verdicts(tmp_path: Path):
    rule = '[verdicts]\nforbidden = ["invalid", "leaks"]\n'
    control = eer(id="speaker.mel.eer", tap="mel", verdict="leaks")
    assert gate(tmp_path, rule, eer()).passed
    failed = gate(tmp_path, rule, eer(), control)
    assert [line.finding for line in failed.lines] == ["speaker.mel.eer"] and not failed.passed
    assert gate(tmp_path, rule + 'tap = "wire"\n', eer(), control).passed
    # Nothing there is nothing checked.
    assert not gate(tmp_path, rule + 'tap = "projector"\n', eer()).passed
    assert not gate(tmp_path, rule).passed


def test_a_limit_in_another_unit_is_refused_and_never_passes_for_that(tmp_path: Path):
    share = EER.replace("30.0", "0.30")
    with pytest.raises(PolicyError, match="write 30 for 30%"):
        gate(tmp_path, share, eer(10.0))
    assert gate(tmp_path, share + 'unit = "%"\n', eer(10.0)).passed
    with pytest.raises(PolicyError, match=r"unit is dB, but .* is in %"):
        gate(tmp_path, EER + 'unit = "dB"\n', eer())
    assert gate(tmp_path, EER.replace("30.0", "0.0"), eer(10.0)).passed


def test_a_rule_that_asks_for_little_says_so(tmp_path: Path):
    lax = gate(tmp_path, EER.replace('"low"', '"high"'), eer(10.0))
    assert lax.passed and "easier to meet" in lax.lines[0].reason
    turned = gate(
        tmp_path, EER.replace("at_least", "at_most").replace('"low"', '"high"'), eer(10.0)
    )
    assert "the rule asks for it" in turned.lines[0].reason
    assert gate(tmp_path, EER, eer()).lines[0].reason == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it would pass everything"),
        ("title = 'x'", "it would pass everything"),
        ("rule = [", "not TOML"),
        (EER + "at_most = 2.0\n", "at_least or at_most, one of them"),
        (EER.replace("at_least = 30.0", ""), "at_least or at_most, one of them"),
        (EER + "at_leats = 3\n", "rule.0.at_leats"),
        (EER.replace("30.0", "nan"), "rule.0.at_least"),
        (EER.replace("30.0", '"thirty"'), "rule.0.at_least"),
        (EER.replace('"low"', '"middle"'), "rule.0.bound"),
        (EER.replace("semi-informed", "all-knowing"), "rule.0.attacker"),
        ('[verdicts]\nforbidden = ["private"]', "verdicts.forbidden"),
        ("[verdicts]\nforbidden = []", "verdicts.forbidden"),
        ("a = " + "[" * 5000, "not TOML"),
        ("#" * 300_000, "too long for a policy"),
        (501 * EER, "rule"),
    ],
)
def test_bad_policies_are_refused_in_one_line(tmp_path: Path, text: str, why: str):
    with pytest.raises(PolicyError) as refused:
        policy_of(text, tmp_path)
    assert why in str(refused.value) and "\n" not in str(refused.value)


def test_a_policy_that_is_no_text_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes", "nowhere", "."):
        with pytest.raises(PolicyError, match="cannot be read as a policy"):
            read_policy(tmp_path / name)


def test_hostile_names_stay_text_in_terminal_and_markdown(tmp_path: Path):
    run = run_of(tmp_path, eer(20.0, metric=HOSTILE, attack=HOSTILE, system=HOSTILE, tap=HOSTILE))
    rule = Rule(name=HOSTILE, attack=HOSTILE, metric=HOSTILE, bound="low", at_least=30.0)
    result = check_run(run, Policy(title=HOSTILE, rule=(rule,)))
    markdown = render_markdown(result)
    assert "<script" not in markdown and "\u202e" not in markdown and "@you" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {7}
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=400, file=nowhere)
        print_gate(result, console)
    assert "[red]x|y" in console.export_text()


def test_markdown_is_added_to_what_a_summary_holds(tmp_path: Path):
    summary = tmp_path / "summary.md"
    summary.write_text("# Build\n\n")
    result = gate(tmp_path, EER, eer(20.0), eer(34.0, id="other.qformer.x"))
    add_markdown(result, summary)
    text = summary.read_text()
    assert text.startswith("# Build\n\n### ❌") and verdict_line(result) in text
    # What failed stands first.
    assert text.index("| FAIL |") < text.index("| pass |")
    with pytest.raises(ReportError, match="cannot be written"):
        add_markdown(result, tmp_path)


def checked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esrt_privacy.cli", "report", "check", str(folder), *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_exit_codes_of_real_processes(tmp_path: Path):
    policy = tmp_path / "policy.toml"
    policy.write_text(EER + '[verdicts]\nforbidden = ["invalid"]\n')
    # The same audit without a leak and with a planted one: target scores lie apart from the others.
    for name, strength in (("good", 0.0), ("planted", 4.0)):
        audited(tmp_path / name, strength=strength)
    passed = checked(tmp_path / "good", "--policy", str(policy))
    assert passed.returncode == 0 and "passed for reference on demo" in passed.stdout
    summary = tmp_path / "summary.md"
    failed = checked(tmp_path / "planted", "--policy", str(policy), "--markdown", str(summary))
    assert failed.returncode == GATE_FAILED == 3
    assert "FAIL" in failed.stdout and failed.stderr == ""
    assert "low end ≥ 30%" in summary.read_text()
    # Neither a run nor a policy that cannot be read is a gate that failed.
    for folder, rules in (("nowhere", policy), ("good", tmp_path / "none.toml")):
        broken = checked(tmp_path / folder, "--policy", str(rules))
        assert broken.returncode == 1 and len(broken.stderr.splitlines()) == 1
    assert checked(tmp_path / "good").returncode == 2


def test_the_policy_and_the_workflow_of_the_documentation_hold(tmp_path: Path):
    text = (Path(__file__).parents[2] / "docs" / "compare-and-gate.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(toml|yaml)\n(.*?)```", text, flags=re.S))
    policy = policy_of(blocks["toml"], tmp_path)
    assert len(policy.rule) == 2 and policy.verdicts is not None
    fields = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, flags=re.M)))
    assert set(fields) == set(Rule.model_fields) - {"name", "unit"}
    (gate_step,) = (line for line in blocks["yaml"].splitlines() if "report check" in line)
    assert (
        "--policy policy.toml" in gate_step and "|" not in gate_step
    )  # a pipe would hide the exit code
