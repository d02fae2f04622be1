"""A whole audit of a tiny system: what is written, that it repeats itself, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from esrt_privacy.attacks import attackers
from esrt_privacy.audit import Done, ReconstructionRequest, material, reconstruct, reconstruction
from esrt_privacy.captures.store import TapStore
from esrt_privacy.corpora import Split, load_corpus
from esrt_privacy.errors import AttackError, CorpusError, EsrtPrivacyError, ReportError
from esrt_privacy.findings import read_run
from tests import tiny

BUDGET = "2 steps"


@pytest.fixture(scope="session")
def request_of_run(tiny_system: Path, tiny_speech: Path, tmp_path_factory) -> ReconstructionRequest:
    return ReconstructionRequest(
        system=str(tiny_system),
        corpus=str(tiny_speech),
        train_corpus=str(tiny_speech),
        budget=BUDGET,
        utterances=3,
        out=tmp_path_factory.mktemp("run") / "out",
        command="esrt-privacy reconstruct",
    )


@pytest.fixture(scope="session")
def done(request_of_run: ReconstructionRequest, tiny_judge, tiny_cache: Path) -> Done:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESRT_PRIVACY_CACHE", str(tiny_cache))
        return reconstruct(request_of_run, judge=tiny_judge)


def content(run) -> dict:
    """A run without the moment and the command."""
    return {k: v for k, v in run.model_dump(mode="json").items() if k not in ("created", "command")}


def test_a_run_leaves_findings_that_read_back_a_page_and_sounds(done, request_of_run):
    out = request_of_run.out
    assert read_run(out) == done.run
    assert done.report == out / "report.html"
    assert "tiny" in done.report.read_text(encoding="utf-8")
    assert done.run.examples
    for example in done.run.examples:
        for rendition in (example.original, example.reconstruction, example.floor, example.control):
            wave, rate = soundfile.read(out / rendition.audio)
            assert rate == 16_000 and len(wave) > 0
    for tap in ("qformer", "transparent", "encoder"):
        assert (out / "attackers" / f"{tap}.safetensors").stat().st_size < 8_400_000


def test_speaker_trials_have_their_curves(done):
    eers = [f for f in done.run.findings if f.metric == "speaker EER"]
    assert eers and [c.finding for c in done.run.det_curves] == [f.id for f in eers]
    assert [c.eer for c in done.run.det_curves] == pytest.approx(
        [f.estimate.value / 100 for f in eers]
    )


def test_the_audited_tap_comes_first_and_an_untrained_attack_is_invalid(done):
    findings = done.run.findings
    assert findings[0].tap == "qformer"
    assert [f.tap for f in findings] == sorted(
        (f.tap for f in findings), key=["qformer", "transparent", "encoder"].index
    )
    checked = [f for f in findings if f.metric != "length error"]
    assert {f.verdict for f in checked} == {"invalid"}
    assert all(f.system == "tiny" and "tiny" in f.reason for f in findings)
    assert {f.control_passed for f in checked if f.control} == {False}


def test_captures_that_are_given_are_attacked_as_they_are(
    done, request_of_run, tiny_judge, tiny_cache, tmp_path, monkeypatch
):
    # Another wire tensor under the same key, as an interceptor might have recorded it: the result tells.
    given = tmp_path / "captures"
    shutil.copytree(tiny_cache / "captures", given)
    for folder in given.glob("qformer-*"):
        kept = TapStore.open(tiny_cache / "captures" / folder.name)
        for shard in folder.glob("*.safetensors"):
            shard.unlink()
        TapStore.open(folder).add({key: -kept.tensor(key) for key in kept.keys})
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "empty"))
    request = replace(request_of_run, out=tmp_path / "out", captures=given)
    other = reconstruct(request, judge=tiny_judge).run
    assert not (tmp_path / "empty" / "captures").exists()
    assert other.fingerprints["capture at encoder"] == done.run.fingerprints["capture at encoder"]
    assert [f.estimate for f in other.findings] != [f.estimate for f in done.run.findings]


def test_the_report_says_what_it_rests_on(done, request_of_run, tiny_judge):
    run = done.run
    assert run.fingerprints["judge"] == tiny_judge.fingerprint
    assert run.fingerprints["split"] == Split.load(request_of_run.out / "split.json").fingerprint
    assert {f"system at {tap}" for tap in ("qformer", "transparent", "encoder")} <= set(
        run.fingerprints
    )
    assert run.seeds == {"audit": 0}
    assert {"torch", "python"} <= set(run.versions)
    assert {p.tap for p in run.budget} == {"qformer", "transparent", "encoder"}
    # No path of this machine gets into what is passed on.
    assert str(request_of_run.out.parent) not in (request_of_run.out / "findings.json").read_text()


def test_training_and_test_share_no_speaker(done, request_of_run, tiny_speech):
    split = Split.load(request_of_run.out / "split.json")
    whole = load_corpus(tiny_speech)
    tested = {e.speaker for e in done.run.examples}
    assert tested <= set(split.select(whole, "test").speakers)
    assert not tested & set(split.select(whole, "attack-train").speakers)


def test_the_same_seed_gives_the_same_findings_in_another_folder(
    done, request_of_run, tiny_judge, own_cache, tmp_path
):
    again = reconstruct(replace(request_of_run, out=tmp_path / "again"), judge=tiny_judge)
    assert content(again.run) == content(done.run)


def test_a_finished_folder_is_gone_on_with_and_not_trained_again(
    done, request_of_run, tiny_judge, own_cache, tmp_path, monkeypatch
):
    out = tmp_path / "copy"
    shutil.copytree(request_of_run.out, out)

    def never(*args: object) -> None:
        raise AssertionError("trained or judged again")

    monkeypatch.setattr("esrt_privacy.attacks.inverter_training._loss", never)
    monkeypatch.setattr(tiny_judge, "_batch", never)
    # A path spelled otherwise is the same corpus.
    other = f"{request_of_run.corpus}/../{Path(request_of_run.corpus).name}/"
    seen: list[str] = []
    again = reconstruct(
        replace(request_of_run, out=out, train_corpus=other),
        lambda label, done, total: seen.append(label),
        tiny_judge,
    )
    assert content(again.run) == content(done.run)
    assert seen[-1] == "writing the report"


def test_shipped_attackers_are_used_when_the_system_is_theirs(
    done, request_of_run, tiny_judge, own_cache, tmp_path, monkeypatch
):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(attackers, "attackers_folder", lambda: shipped)
    untrained = replace(request_of_run, out=tmp_path / "out", train_corpus=None)
    with pytest.raises(AttackError, match=r"no trained attacker ships for tiny.*--train-corpus"):
        reconstruct(untrained, judge=tiny_judge)

    fingerprints = done.run.fingerprints
    for path in (request_of_run.out / "attackers").iterdir():
        fingerprint = fingerprints[f"system at {path.stem}"]
        name = f"reconstruction-{path.stem}-{fingerprint[:16]}.safetensors"
        shutil.copy(path, shipped / name)
    # The control's basis was fitted in that run, so that without it only one line can be said.
    with pytest.raises(AttackError, match="no control basis is shipped for tiny"):
        reconstruct(untrained, judge=tiny_judge)

    going_on = replace(untrained, train_corpus=request_of_run.corpus, go_on=True)
    continued = reconstruct(replace(going_on, budget="1 steps"), judge=tiny_judge)
    assert continued.run.findings[0].tap == "qformer"


def test_going_on_without_a_shipped_attacker_is_refused(
    request_of_run, done, tiny_judge, own_cache, tmp_path
):
    with pytest.raises(AttackError, match="leave --continue out"):
        reconstruct(replace(request_of_run, out=tmp_path, go_on=True), judge=tiny_judge)


def test_two_utterances_of_one_speaker_without_texts_are_audited_and_say_nothing(
    done, request_of_run, tiny_judge, own_cache, tmp_path
):
    few = tmp_path / "few"
    tiny.write_speech(few, speakers=1, each=2, longest=1.2)
    for path in list((few / "speaker0").iterdir()):
        path.rename(few / path.name)  # no sub-folder: no speaker
    (few / "speaker0").rmdir()
    asked = replace(request_of_run, corpus=str(few), out=tmp_path / "out", budget="1 steps")
    run = reconstruct(asked, judge=tiny_judge).run
    assert run.corpus.utterances == 2 and run.corpus.speakers == 0
    assert {f.verdict for f in run.findings} <= {"invalid", "inconclusive"}
    assert not [f for f in run.findings if f.metric.startswith(("WER", "speaker"))]
    assert any("no speaker findings" in note for note in run.corpus.notes)
    assert "NaN" not in (tmp_path / "out" / "findings.json").read_text()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"budget": "soon"}, AttackError, "write 5m"),
        ({"corpus": "/nowhere/at/all"}, CorpusError, "no such corpus"),
        ({"tap": "microphone"}, AttackError, "no tap 'microphone'; it has mel"),
        ({"system": "nothing"}, EsrtPrivacyError, "unknown system"),
        ({"system": "esrt-4b"}, EsrtPrivacyError, "not part of this package"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_before_any_work(
    request_of_run, tiny_judge, own_cache, tmp_path, change, error, words
):
    asked = replace(request_of_run, out=tmp_path / "out", **change)
    worked: list[str] = []
    with pytest.raises(error, match=words) as caught:
        reconstruct(asked, lambda label, done, total: worked.append(label), tiny_judge)
    assert len(str(caught.value).splitlines()) == 1
    assert not worked


def test_an_out_folder_that_is_a_file_is_one_line(request_of_run, tiny_judge, own_cache, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ReportError, match="--out"):
        reconstruct(replace(request_of_run, out=tmp_path / "taken"), judge=tiny_judge)


def test_training_recordings_that_are_all_in_the_test_corpus_are_refused(
    request_of_run, tiny_judge, own_cache, tmp_path, tiny_speech
):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_speech, copy)
    asked = replace(request_of_run, train_corpus=str(copy), out=tmp_path / "out")
    with pytest.raises(AttackError, match="nothing is left to train on"):
        reconstruct(asked, judge=tiny_judge)


def test_a_broken_recording_is_left_out_with_one_note(
    done, request_of_run, tiny_judge, own_cache, tmp_path
):
    test = tmp_path / "test"
    tiny.write_speech(test, speakers=2, each=2, longest=1.2)
    whole = (test / "speaker0" / "0.flac").read_bytes()
    (test / "speaker0" / "0.flac").write_bytes(whole[: len(whole) // 2])
    (test / "speaker1" / "9.wav").write_text("this is text")
    asked = replace(
        request_of_run, corpus=str(test), out=tmp_path / "out", budget="1 steps", channel=4
    )
    asked = replace(asked, utterances=48)
    run = reconstruct(asked, judge=tiny_judge).run
    assert run.corpus.utterances == 3
    notes = run.corpus.notes
    assert len([n for n in notes if "0.flac" in n]) == 1
    assert len([n for n in notes if "9.wav" in n]) == 1
    assert any("channel" in n for n in notes)
    assert len(notes) == len(set(notes))


def test_the_reference_is_never_tested_on_what_it_was_trained_on(
    tiny_speech, monkeypatch, tmp_path
):
    from esrt_privacy.corpora.split import speaker_key

    whole = load_corpus(tiny_speech)
    roles = {f"speaker{n}": "adapter-train" if n < 4 else "test" for n in range(6)}
    split = Split(0, {speaker_key(u): roles[u.speaker] for u in whole}, {})
    monkeypatch.setattr(material, "shipped_split", lambda: (split, frozenset()))
    asked = ReconstructionRequest(corpus=str(tiny_speech), out=tmp_path)
    assert reconstruction._parts(asked, whole).tests.speakers == ("speaker4", "speaker5")
    both = reconstruction._parts(replace(asked, train_corpus=str(tiny_speech)), whole)
    assert both.tests.speakers == ("speaker4", "speaker5")
    assert both.training.speakers == ("speaker0", "speaker1", "speaker2", "speaker3")
    assert both.split is split


def test_findings_are_plain_json(done, request_of_run):
    text = (request_of_run.out / "findings.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["system"] == "tiny"
