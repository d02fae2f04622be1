"""A plan run on the tiny system: what is found, that it repeats itself, and what goes on after a stop."""

from dataclasses import replace

import pytest

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.trials import read_trials
from esrt_privacy.audit import material
from esrt_privacy.audit.plan import PlannedAttack
from esrt_privacy.audit.run import run_audit
from esrt_privacy.corpora import Split, load_corpus
from esrt_privacy.corpora.split import speaker_key
from esrt_privacy.errors import AttackError, CaptureError, SystemUnavailable
from esrt_privacy.findings import read_run
from tests import tiny
from tests.audit import tiny_family


def content(run) -> dict:
    """A run without the moment and the command."""
    return {k: v for k, v in run.model_dump(mode="json").items() if k not in ("created", "command")}


def planned(request, **changes):
    return replace(request, plan=request.plan.model_copy(update=changes))


def never(*args: object) -> None:
    raise AssertionError("measured again")


def test_a_run_leaves_findings_that_read_back_and_a_page(tiny_request):
    done = run_audit(tiny_request)
    run = done.run
    assert read_run(tiny_request.out) == run
    assert done.report.read_text(encoding="utf-8").count("Is the nearest tensor") >= 3
    # The taps under audit in the plan's order, then the ceiling.
    assert [f.tap for f in run.findings] == ["qformer", "encoder", "mel"]
    assert all(f.verdict != "untested" and f.seeds == (0, 1) for f in run.findings)
    assert {"corpus", "system at qformer", "capture at mel"} <= set(run.fingerprints)
    assert [point.metric for point in run.budget] == ["hits"]
    assert len(list((tiny_request.out / "answers").iterdir())) == 3 * 2
    assert str(tiny_request.out.parent) not in (tiny_request.out / "findings.json").read_text()


def test_what_pictures_need_is_gathered_in_the_order_of_the_findings(tiny_request):
    run = run_audit(tiny_request).run
    assert [pairs.finding for pairs in run.lengths] == [f.id for f in run.findings]
    assert [pairs.tap for pairs in run.lengths] == ["qformer", "encoder", "mel"]
    true, inferred = run.lengths[0].true, run.lengths[0].inferred
    assert inferred == pytest.approx([1.5 * seconds for seconds in true], abs=0.002)
    assert all(point.system == "" for point in run.budget)


def test_the_trials_lie_beside_the_findings_by_their_fingerprint(tiny_request):
    run = run_audit(tiny_request).run
    (folder,) = (tiny_request.out / "trials").iterdir()
    assert run.fingerprints[f"trials/{folder.name}"].startswith(folder.name)
    tests = material.gathered("tiny", tiny_request.plan.corpus, None, "none", 0).tests
    listed = read_trials(folder / "trials", tests, folder / "enrolment")
    assert listed.fingerprint == run.fingerprints[f"trials/{folder.name}"]
    words = (folder / "trials").read_text(encoding="utf-8").splitlines()[0].split()
    assert len(words) == 3 and words[2] in ("target", "nontarget")


def test_the_same_plan_gives_the_same_findings_in_another_folder(tiny_request, tmp_path):
    first = run_audit(tiny_request)
    second = run_audit(replace(tiny_request, out=tmp_path / "again"))
    assert content(first.run) == content(second.run)


def test_another_seed_is_another_attack(tiny_request, tmp_path):
    first = run_audit(tiny_request)
    other = replace(planned(tiny_request, seeds=(5, 6)), out=tmp_path / "other")
    assert [f.estimate for f in run_audit(other).run.findings] != [
        f.estimate for f in first.run.findings
    ]


@pytest.mark.slow
def test_processes_side_by_side_find_what_one_finds(tiny_request, tmp_path):
    alone = run_audit(tiny_request)
    told: list[str] = []
    both = run_audit(
        replace(tiny_request, out=tmp_path / "both", jobs=2),
        lambda label, done, total: told.append(label),
    )
    assert content(both.run) == content(alone.run)
    assert "tiny at encoder, seed 1: reading" in told


def test_what_is_answered_is_not_asked_again(tiny_request, monkeypatch):
    first = run_audit(tiny_request)
    monkeypatch.setattr(tiny_family, "measure", never)
    assert content(run_audit(tiny_request).run) == content(first.run)
    missing = sorted((tiny_request.out / "answers").glob("tiny-encoder-1-*"))
    assert len(missing) == 1
    missing[0].unlink()
    with pytest.raises(AssertionError, match="measured again"):
        run_audit(tiny_request)


@pytest.mark.parametrize("change", [{"folds": 4}, {"budget": 2.0}, {"seed": 3}])
def test_answers_to_another_request_are_not_taken(tiny_request, monkeypatch, change):
    run_audit(tiny_request)
    monkeypatch.setattr(tiny_family, "measure", never)
    with pytest.raises(AssertionError, match="measured again"):
        run_audit(planned(tiny_request, **change))


def test_a_new_version_of_a_family_is_measured_again(tiny_request, monkeypatch):
    run_audit(tiny_request)
    monkeypatch.setattr(tiny_family, "measure", never)
    monkeypatch.setattr(tiny_family, "FAMILY", replace(tiny_family.FAMILY, version=2))
    with pytest.raises(AssertionError, match="measured again"):
        run_audit(tiny_request)


def test_damaged_answers_are_one_line(tiny_request):
    run_audit(tiny_request)
    path = min((tiny_request.out / "answers").iterdir())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(AttackError, match="delete the file and run again") as caught:
        run_audit(tiny_request)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("error", [AttackError, CaptureError])
def test_an_attack_that_cannot_answer_is_inconclusive_and_says_why(
    tiny_request, monkeypatch, error
):
    measure = tiny_family.measure

    def fails_at_mel(inputs, tap, seed, report) -> Answers:
        if tap == "mel":
            raise error("made: values that are no numbers")
        return measure(inputs, tap, seed, report)

    monkeypatch.setattr(tiny_family, "measure", fails_at_mel)
    run = run_audit(tiny_request).run
    assert [f.verdict for f in run.findings] == ["inconclusive"] * 2
    assert [f.id for f in run.findings] == ["tiny.qformer", "tiny.encoder"]
    for finding in run.findings:
        assert finding.estimate.value is None
        assert finding.reason.endswith("not measured: made: values that are no numbers")
    page = (tiny_request.out / "report.html").read_text(encoding="utf-8")
    assert "could not be measured" in page


def test_figures_that_cannot_be_drawn_up_are_inconclusive(tiny_request, monkeypatch):
    def fails(*args: object) -> None:
        raise AttackError("one speaker only")

    monkeypatch.setattr(tiny_family, "drafts", fails)
    run = run_audit(tiny_request).run
    assert {f.verdict for f in run.findings} == {"inconclusive"}
    assert all("one speaker only" in f.reason for f in run.findings)


def test_a_corpus_without_the_label_is_inconclusive_before_any_work(
    tiny_request, monkeypatch, tmp_path
):
    few = tmp_path / "few"
    tiny.write_speech(few, speakers=1, each=3, longest=1.2)
    for path in list((few / "speaker0").iterdir()):
        path.rename(few / path.name)  # no sub-folder: no speaker
    (few / "speaker0").rmdir()
    monkeypatch.setattr(tiny_family, "measure", never)
    run = run_audit(planned(tiny_request, corpus=str(few))).run
    assert {f.verdict for f in run.findings} == {"inconclusive"}
    assert all("no utterance has a speaker" in f.reason for f in run.findings)


def test_a_fault_in_an_attack_is_not_taken_for_an_answer(tiny_request, monkeypatch):
    def breaks(*args: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(tiny_family, "measure", breaks)
    with pytest.raises(ZeroDivisionError):
        run_audit(tiny_request)


def test_a_tap_that_is_not_there_is_one_line_before_any_work(tiny_request, monkeypatch):
    monkeypatch.setattr(tiny_family, "measure", never)
    worked: list[str] = []
    with pytest.raises(SystemUnavailable, match=r"no tap 'encoder\.9'; it has mel"):
        run_audit(planned(tiny_request, taps=("encoder.9",)), lambda *a: worked.append(a[0]))
    assert not worked


def test_only_the_attackers_asked_for_are_judged(tiny_request):
    attack = PlannedAttack(name="tiny", attackers=("ignorant",))
    run = run_audit(planned(tiny_request, attacks=(attack,))).run
    assert {f.attacker for f in run.findings} == {"ignorant"}
    assert [f.tap for f in run.findings] == ["encoder", "mel"]
    assert [pairs.tap for pairs in run.lengths] == ["encoder", "mel"]


def test_an_attacker_that_a_family_does_not_know_is_one_line(tiny_request):
    attack = PlannedAttack(name="tiny", attackers=("white-box",))
    with pytest.raises(AttackError, match="tiny knows no attacker 'white-box'; it knows semi"):
        run_audit(planned(tiny_request, attacks=(attack,)))


def test_findings_of_several_systems_are_told_apart(tiny_request, tmp_path):
    other = tiny.write_system(tmp_path / "other", seed=1, name="other")
    systems = (*tiny_request.plan.systems, str(other))
    run = run_audit(planned(tiny_request, systems=systems, taps=("wire",))).run
    assert run.system == "tiny, other"
    assert [f.id for f in run.findings] == [
        f"{system}.tiny.{tap}.nearest" for system in ("tiny", "other") for tap in ("qformer", "mel")
    ]
    assert [pairs.finding for pairs in run.lengths] == [f.id for f in run.findings]
    assert {point.system for point in run.budget} == {"tiny", "other"}
    assert {"tiny.system at qformer", "other.system at qformer"} <= set(run.fingerprints)


def test_reconstruction_is_judged_with_the_other_attacks(
    tiny_request, tiny_judge, monkeypatch, tiny_speech
):
    from esrt_privacy.audit import reconstruction

    monkeypatch.setattr(reconstruction, "_judge", lambda weights: tiny_judge)
    by_ear = PlannedAttack(name="reconstruction", utterances=3, training="1 steps")
    attacks = (*tiny_request.plan.attacks, by_ear)
    run = run_audit(planned(tiny_request, attacks=attacks, taps=("wire",))).run
    assert {f.attack for f in run.findings} == {"tiny", "reconstruction"}
    assert run.findings[0].tap == run.findings[1].tap == "qformer"
    assert run.examples and all(
        (tiny_request.out / e.original.audio).is_file() for e in run.examples
    )
    assert run.fingerprints["heard, judge"] == tiny_judge.fingerprint


# --- what is attacked, and what attackers learn from


@pytest.fixture
def divided_corpus(tiny_speech, monkeypatch):
    """The tiny corpus as if the reference had been trained on four of its six speakers."""
    whole = load_corpus(tiny_speech)
    roles = {f"speaker{n}": "adapter-train" if n < 4 else "test" for n in range(6)}
    split = Split(0, {speaker_key(u): roles[str(u.speaker)] for u in whole}, {})
    monkeypatch.setattr(material, "shipped_split", lambda: (split, frozenset()))
    return str(tiny_speech)


def test_whom_the_adapter_heard_may_teach_attackers_and_is_said(divided_corpus):
    got = material.gathered("reference", divided_corpus, None, "none", 0)
    assert got.tests.speakers == ("speaker4", "speaker5")
    assert got.training is not None
    assert got.training.speakers == ("speaker0", "speaker1", "speaker2", "speaker3")
    assert any("the adapter was trained on" in note for note in got.notes)


def test_another_system_is_tested_on_all_and_learns_fold_by_fold(divided_corpus):
    got = material.gathered("elsewhere", divided_corpus, None, "none", 0)
    assert len(got.tests.speakers) == 6 and got.training is None


def test_training_recordings_share_nothing_with_the_tests(tiny_speech, tmp_path):
    others = tmp_path / "others"
    tiny.write_speech(others, speakers=8, each=4, longest=1.2)  # the first six are known
    tiny.write_manifest(others)
    got = material.gathered("elsewhere", str(tiny_speech), str(others), "none", 0)
    tested = {u.fingerprint for u in got.tests}
    assert got.training is not None and got.training.speakers == ("speaker6", "speaker7")
    assert not tested & {u.fingerprint for u in got.training}
    assert any("training utterances out" in note for note in got.notes)


def test_channels_are_drawn_where_a_microphone_would_pass_for_a_voice(tiny_speech):
    auto = material.gathered("elsewhere", str(tiny_speech), None, "auto", 4)
    assert len({u.channel.seed for u in auto.tests}) == len(auto.tests)  # one each
    assert any("random channel of its own (one session a speaker" in n for n in auto.notes)
    plain = material.gathered("elsewhere", str(tiny_speech), None, "none", 4)
    assert all(u.channel is None for u in plain.tests) and not plain.notes
    given = material.gathered("elsewhere", str(tiny_speech), None, 9, 4)
    assert {u.channel.seed for u in given.tests}.isdisjoint({u.channel.seed for u in auto.tests})


def test_both_sides_go_through_channels(divided_corpus):
    got = material.gathered("reference", divided_corpus, None, 1, 0)
    assert got.training is not None
    assert all(u.channel is not None for u in (*got.tests, *got.training))
