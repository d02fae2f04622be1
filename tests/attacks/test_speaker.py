"""Speaker verification on planted voices: found when strong, never claimed when absent, invalid when it is broken."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.attacks import speaker
from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.base import OVERRULED
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.fold_trials import trial_table
from esrt_privacy.attacks.trials import Trial, TrialList, read_trials
from esrt_privacy.audit.parts import answers_path
from esrt_privacy.errors import AttackError
from esrt_privacy.measures.verification import eer
from tests.attacks.planted import inputs
from tests.attacks.planted import people as planted_people

BUDGET = 0.03
STRONG = {"speaker": 4.0}


def people(*args, **options):
    """Planted people whose words say nothing of them: every sentence is another, drawn from its number alone."""
    corpus = planted_people(*args, **options)
    rows = []
    for number, u in enumerate(corpus):
        letters = np.random.default_rng(number).choice(list("abcdefghijklmnopqrstuvwxyz  "), 30)
        rows.append(replace(u, text="".join(letters)))
    return replace(corpus, utterances=tuple(rows))


@pytest.fixture(scope="module")
def weightless(tmp_path_factory):
    """No speaker encoder on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path_factory.mktemp("empty")))
        yield


def attacked(corpus, leaks, seeds=(0,), **options):
    given = inputs(corpus, leaks, folds=3, **{"budget": BUDGET, **options})
    answers = {(tap, s): speaker.measure(given, tap, s) for tap in leaks for s in seeds}
    return given, answers


def findings_of(given, answers):
    return {f.id.removeprefix("speaker."): f for f in judged(speaker.drafts(given, answers))}


@pytest.fixture(scope="module")
def leaking(weightless):
    leaks = {"qformer": STRONG, "transparent": STRONG, "mel": STRONG}
    return attacked(people(36, 6), leaks)


def test_a_strong_leak_is_found_beside_its_floors_control_and_ceiling(leaking):
    found = findings_of(*leaking)
    finding = found["qformer.semi-informed-eer"]
    assert finding.verdict == "leaks"
    assert finding.estimate.value < 20
    assert set(finding.floors) == {"chance", "text only", "duration only"}
    assert finding.control_passed is True
    assert finding.control_name == "transparent tensor"
    assert finding.ceiling.value < 20
    assert found["qformer.semi-informed-eer-mixed"].estimate.value < 20
    assert found["qformer.lazy-informed-eer"].estimate.value < 35
    assert any("head by development speakers" in note for note in finding.notes)


def test_attackers_with_recordings_are_left_out_with_a_note_where_there_are_none(leaking):
    found = findings_of(*leaking)
    assert not any("cross-modal" in key or "ignorant" in key for key in found)
    notes = found["qformer.semi-informed-eer"].notes
    assert any("no attacker with recordings" in note for note in notes)


def test_no_leak_is_never_claimed(weightless):
    leaks = {"qformer": {}, "transparent": STRONG}
    found = findings_of(*attacked(people(36, 5, seed=2), leaks))
    assert found["qformer.semi-informed-eer"].verdict in ("not detected", "inconclusive")
    assert found["qformer.semi-informed-eer"].control_passed is True


def test_an_attack_that_fails_at_its_control_is_invalid(weightless):
    found = findings_of(*attacked(people(24, 4), {"qformer": {}, "transparent": {}}))
    for name, finding in found.items():
        assert finding.verdict == "invalid", name


def test_a_voice_that_shows_leaks_though_the_control_failed(weightless):
    found = findings_of(*attacked(people(36, 6), {"qformer": STRONG, "transparent": {}}))
    leak = found["qformer.semi-informed-eer"]
    assert leak.verdict == "leaks" and leak.control_passed is False
    assert OVERRULED in leak.notes
    assert found["transparent.semi-informed-eer"].verdict == "invalid"
    assert OVERRULED not in found["transparent.semi-informed-eer"].notes


def test_the_list_of_the_trials_can_be_had_again(leaking, tmp_path):
    given, answers = leaking
    (listed,) = speaker.lists(given, answers)
    answer = answers["qformer", 0]
    assert (listed.fingerprint,) == answer.rows["trial_list"]
    listed.save(tmp_path)
    written = read_trials(tmp_path / "trials", given.test, tmp_path / "enrolment")
    assert written.fingerprint == listed.fingerprint
    scored = set(zip(answer.rows["enrol"], answer.rows["utterances"], strict=True))
    assert scored <= {(trial.speaker, trial.utterance) for trial in written.trials}
    own = replace(given, trials=written)
    assert speaker.lists(own, answers) == (written,)


def test_without_the_speaker_encoder_other_answers_are_expected(leaking, monkeypatch):
    given, _ = leaking
    assert speaker.assets(given) == ""
    encoder = SimpleNamespace(fingerprint="e" * 64)
    monkeypatch.setattr(speaker.Ge2e, "load", lambda weights: encoder)
    assert speaker.assets(given) == encoder.fingerprint
    keys = []
    for found in ("", "e" * 64):
        monkeypatch.setattr(speaker, "assets", lambda _, found=found: found)
        keys.append(answers_path(Path("run"), speaker, given, "qformer", 0))
    assert keys[0] != keys[1]


def test_scores_are_averaged_over_seeds_and_the_spread_is_told(leaking):
    given, answers = leaking
    first = answers["qformer", 0]
    other = replace(first, arrays={**first.arrays, "semi-informed": -first.arrays["semi-informed"]})
    finding = findings_of(given, {("qformer", 0): first, ("qformer", 1): other})
    note = next(
        n for n in finding["qformer.semi-informed-eer"].notes if "each training seed alone" in n
    )
    assert note.endswith("50.0%; their scores are averaged")
    assert finding["qformer.semi-informed-eer"].estimate.value == pytest.approx(50)
    assert finding["qformer.semi-informed-eer"].seeds == (0, 1)


def test_answers_survive_the_disk_and_give_the_same_findings(leaking, tmp_path):
    given, answers = leaking
    again = {}
    for number, (key, answer) in enumerate(answers.items()):
        path = tmp_path / f"{number}.safetensors"
        answer.save(path)
        again[key] = Answers.load(path)
    assert findings_of(given, again) == findings_of(given, answers)
    points = speaker.budget(given, again)
    assert {p.tap for p in points} == {"qformer", "transparent", "mel"}
    assert all(0 <= p.value <= 50 for p in points)


def test_the_same_seed_answers_alike(leaking):
    given, answers = leaking
    again = speaker.measure(given, "qformer", 0)
    before = answers["qformer", 0]
    assert again.rows == before.rows
    for name, values in before.arrays.items():
        assert np.array_equal(values, again.arrays[name], equal_nan=True)


def test_permuted_test_labels_find_nothing(leaking):
    """The negative control: who is enrolled has nothing to do with who speaks."""
    _, answers = leaking
    answer = answers["qformer", 0]
    scores, target = answer.arrays["semi-informed"], answer.arrays["target"]
    rng = np.random.default_rng(0)
    assert eer(scores[target], scores[~target]) < 0.2
    shuffled = rng.permutation(target)
    assert eer(scores[shuffled], scores[~shuffled]) > 0.4


@given(speakers=st.integers(4, 20), each=st.integers(2, 5), folds=st.integers(2, 5))
def test_trials_never_join_two_folds(speakers, each, folds):
    given_ = inputs(people(speakers, each), {"qformer": {}}, folds=folds)
    try:
        table = trial_table(given_, "qformer")
    except AttackError as error:
        assert "\n" not in str(error)
        return
    fold_of = {u.id: n for n, p in enumerate(table.parts) for u in p.fold.test}
    names = {str(u.speaker): fold_of[u.id] for p in table.parts for u in p.fold.test}
    assert all(names[t.speaker] == fold_of[t.utterance] for t in table.trials)
    places = np.concatenate([p.places for p in table.parts])
    assert sorted(places) == list(range(len(table.trials)))
    for part in table.parts:
        matrix = np.arange(len(part.members) * len(part.fold.test), dtype=float)
        matrix = matrix.reshape(len(part.members), len(part.fold.test))
        for row, place in zip(part.take(matrix), part.places, strict=True):
            model, tested = divmod(int(row), len(part.fold.test))
            trial = table.trials[place]
            assert part.fold.test[tested].id == trial.utterance
            assert {part.fold.test[i].speaker for i in part.members[model]} == {trial.speaker}


def test_many_other_people_make_one_fold_and_all_pairs():
    training = people(12, 3, seed=4, name="others")
    given_ = inputs(people(10, 4), {"qformer": {}}, training)
    table = trial_table(given_, "qformer")
    assert len(table.parts) == 1
    assert len({t.speaker for t in table.trials}) == 10


def test_ones_own_list_is_used(tmp_path):
    corpus = people(4, 3)
    listed = TrialList(
        {"planted0": ("planted-0-1",), "planted2": ("planted-2-1",)},
        (
            Trial("planted0", "planted-0-0", True),
            Trial("planted2", "planted-0-0", False),
            Trial("planted2", "planted-2-0", True),
        ),
        "same sex",
    )
    training = people(8, 3, seed=4, name="others")
    table = trial_table(inputs(corpus, {"qformer": {}}, training, trials=listed), "qformer")
    assert table.trials == listed.trials
    assert table.fingerprint == listed.fingerprint


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        (people(1, 6), "one speaker only"),
        (people(8, 1), "two recordings"),
        (
            replace(people(4, 2), utterances=tuple(replace(u, speaker=None) for u in people(4, 2))),
            "no utterance with a known speaker",
        ),
    ],
    ids=["one speaker", "one utterance a speaker", "no speakers"],
)
def test_bad_corpora_are_errors_of_one_line(corpus, said):
    with pytest.raises(AttackError, match=said) as error:
        speaker.measure(inputs(corpus, {"qformer": {}}), "qformer", 0)
    assert "\n" not in str(error.value)


def test_tensors_that_are_no_numbers_are_left_out_with_a_note(weightless):
    given_ = inputs(people(12, 4), {"qformer": STRONG}, budget=BUDGET, folds=2)
    bad = given_.test.utterances[5]
    given_.captures["qformer"].store.tensors[bad.tensor_key][0, 0] = float("nan")
    answer = speaker.measure(given_, "qformer", 0)
    assert any(bad.id in note and "no numbers" in note for note in answer.notes)
    assert bad.id not in answer.rows["utterances"]
    assert np.isfinite(answer.arrays["semi-informed"]).all()


def test_synthetic_voices_and_shared_sessions_carry_no_verdict(leaking):
    given, answers = leaking
    demo = replace(
        given,
        test=replace(given.test, utterances=tuple(replace(u, corpus="demo") for u in given.test)),
    )
    finding = findings_of(demo, answers)["qformer.semi-informed-eer"]
    assert finding.verdict == "inconclusive"
    assert "synthetic" in finding.reason
    one = replace(
        given,
        test=replace(given.test, utterances=tuple(replace(u, session=None) for u in given.test)),
    )
    finding = findings_of(one, answers)["qformer.semi-informed-eer"]
    assert finding.verdict == "inconclusive"
    assert "session" in finding.reason


def test_a_recording_finds_the_tensors_of_its_speaker(tmp_path, monkeypatch):
    """With audio beside the tensors, and a stand-in for the speaker encoder that hears the planted direction."""
    from tests.attacks.planted import direction

    corpus = people(24, 4)
    rows = []
    for u in corpus:
        path = tmp_path / f"{u.id}.wav"
        path.write_bytes(b"recording")
        rows.append(replace(u, audio=path))
    corpus = replace(corpus, utterances=tuple(rows))
    rng = np.random.default_rng(0)

    def heard(encoder, corpus, root, report):
        voices = {}
        for u in corpus:
            vector = np.zeros(256)
            vector[:12] = direction(f"speaker {u.speaker}", 12) + 0.05 * rng.standard_normal(12)
            voices[u.fingerprint] = vector / np.linalg.norm(vector)
        return voices

    class Ear:
        def embed(self, wave):
            return np.r_[wave, np.zeros(256 - len(wave))]

    monkeypatch.setattr(speaker, "real_voices", heard)
    monkeypatch.setattr(speaker.Ge2e, "load", classmethod(lambda cls, weights: Ear()))
    sounds = {u.id: direction(f"speaker {u.speaker}", 12) for u in corpus}
    given = inputs(
        corpus, {"qformer": STRONG}, folds=2, budget=BUDGET, reconstructions={"qformer": sounds}
    )
    found = findings_of(given, {("qformer", 0): speaker.measure(given, "qformer", 0)})
    assert found["qformer.cross-modal-eer"].estimate.value < 20
    assert found["qformer.ignorant-eer"].estimate.value < 10


def test_voices_are_kept_and_silence_has_none(tmp_path):
    import soundfile

    from esrt_privacy.attacks.voices import real_voices
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.errors import AudioError

    wave = 0.1 * np.random.default_rng(0).standard_normal(8000)
    for name, values in (("noise", wave), ("silent", 0 * wave)):
        soundfile.write(tmp_path / f"{name}.wav", values, 16_000)

    class Ear:
        fingerprint = "ear"
        heard = 0

        def embed(self, values):
            Ear.heard += 1
            if not np.any(values):
                raise AudioError("silent")
            return np.full(256, 1 / 16, dtype=np.float32)

    corpus = load_corpus(tmp_path)
    root = Path(tmp_path / "voices")
    for _ in range(2):
        voices = real_voices(Ear(), corpus, root)
    assert set(voices) == {u.fingerprint for u in corpus if u.id.startswith("noise")}
    assert Ear.heard == 2


class MelFrontEnd:
    """The log-mel of an ESRT system as a system of its own, which needs no weights."""

    name = "log-mel"

    @property
    def taps(self):
        import torch

        from esrt_privacy.systems.base import Tap

        return {"mel": Tap("mel", (3000, 80), torch.float16, "mel", is_wire=True)}

    def represent(self, waves, taps):
        from esrt_privacy.esrt.encoder import log_mel

        return {"mel": log_mel(waves, 80).transpose(1, 2).half()}


@pytest.mark.slow
@pytest.mark.speech
def test_recorded_people_are_told_apart_through_channels(speech_folder, tmp_path):
    """Half of AN4's speakers, each utterance through a channel of its own: the linear head alone does it."""
    from esrt_privacy.attacks.heads import train_head
    from esrt_privacy.attacks.scoring import pairs_eer
    from esrt_privacy.captures import capture
    from esrt_privacy.corpora import load_corpus

    an4 = load_corpus(speech_folder).select(corpus="an4").with_channel(1)
    chosen = set(an4.speakers[::2])
    taken = {s: [u.id for u in an4 if u.speaker == s][:8] for s in chosen}
    an4 = an4.filter(lambda u: u.speaker in chosen and u.id in taken[u.speaker])
    mel = capture(MelFrontEnd(), ["mel"], an4, tmp_path)["mel"]
    people_ = sorted(chosen)
    roles = [
        [u for u in mel.corpus if u.speaker in part]
        for part in (people_[:22], people_[22:28], people_[28:])
    ]
    training, development, test = roles
    head = train_head(
        "linear",
        mel,
        training,
        [u.speaker for u in training],
        development,
        [u.speaker for u in development],
        "embedding",
        0,
    )
    speakers = np.array([u.speaker for u in test])
    assert pairs_eer(head.embed(mel, test), speakers) < 0.3
