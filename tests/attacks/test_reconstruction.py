"""Which utterances are attacked, and what the findings say of made-up judgements."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from esrt_privacy.attacks import reconstruction
from esrt_privacy.attacks.base import OVERRULED
from esrt_privacy.attacks.hearing import Judgement
from esrt_privacy.attacks.inverter_training import CurvePoint, frames_of
from esrt_privacy.attacks.reconstruction import CONTROL_TAP, Outcome, Reconstruction
from esrt_privacy.attacks.reconstruction_findings import Findings
from esrt_privacy.attacks.reconstruction_speakers import SpeakerTrials, enrol
from esrt_privacy.corpora import Corpus, Split, Utterance
from esrt_privacy.corpora.split import speaker_key
from esrt_privacy.errors import AttackError


def utterance(number: int, speaker: str | None, **labels: object) -> Utterance:
    row = {"language": "eng", "text": f"sentence {number}", "corpus": "made", "duration": 2.0}
    return Utterance(f"u{number}", Path(f"{number}.flac"), speaker, **{**row, **labels})


def corpus(speakers: int = 6, each: int = 4, **labels: object) -> Corpus:
    rows = [utterance(n, f"s{n % speakers}", **labels) for n in range(speakers * each)]
    return Corpus("made", tuple(rows))


# --- which utterances


def test_chosen_utterances_spread_over_the_speakers():
    uneven = Corpus("made", tuple(utterance(n, "s0" if n < 30 else f"s{n}") for n in range(36)))
    chosen = reconstruction.chosen_utterances(uneven, 8, seed=0)
    counts = [sum(u.speaker == s for u in chosen) for s in chosen.speakers]
    assert len(chosen.speakers) == 7
    assert sorted(counts) == [1] * 6 + [2]


def test_the_choice_depends_on_the_seed_and_not_on_the_order():
    whole = corpus(speakers=4, each=20)
    shuffled = replace(
        whole, utterances=tuple(np.random.default_rng(1).permutation(whole.utterances))
    )

    def ids(of: Corpus, seed: int) -> set[str]:
        return {u.id for u in reconstruction.chosen_utterances(of, 10, seed)}

    assert ids(whole, 0) == ids(shuffled, 0)
    assert ids(whole, 0) != ids(whole, 1)
    chosen = reconstruction.chosen_utterances(whole, 10, 0)
    assert list(chosen) == [u for u in whole if u.id in ids(whole, 0)]
    assert reconstruction.chosen_utterances(whole, 1000, 0).utterances == whole.utterances


def test_english_with_a_text_comes_first():
    mixed = Corpus(
        "made",
        tuple(
            utterance(n, f"s{n % 3}", language="eng" if n % 2 else "deu", text="" if n < 6 else "x")
            for n in range(24)
        ),
    )
    chosen = reconstruction.chosen_utterances(mixed, 9, 0)
    assert all(u.language == "eng" and u.text for u in chosen)


def test_one_corpus_is_divided_without_shared_speakers_or_sentences():
    whole = corpus(speakers=7)
    training, test, split = reconstruction.divided(whole, 3)
    assert not set(training.speakers) & set(test.speakers)
    assert not {u.text for u in training} & {u.text for u in test}
    assert len(training) > len(test) > 0
    assert reconstruction.divided(whole, 3)[2].fingerprint == split.fingerprint


@pytest.mark.parametrize("speakers", [1])
def test_one_speaker_cannot_be_divided(speakers):
    with pytest.raises(AttackError, match="too few speakers"):
        reconstruction.divided(corpus(speakers=speakers), 0)


def test_a_partner_says_something_else_in_another_voice_for_about_as_long():
    rows = [
        utterance(0, "a", duration=2.0),
        utterance(1, "a", duration=2.0),
        utterance(2, "b", duration=2.1, text="sentence 0"),
        utterance(3, "b", duration=2.5),
        utterance(4, "c", duration=9.0),
    ]
    partners = reconstruction._partners(Corpus("made", tuple(rows)))
    assert partners["u0"].id == "u3"
    assert partners == reconstruction._partners(Corpus("made", tuple(reversed(rows))))
    assert all(partners[u.id].id != u.id for u in rows)
    assert reconstruction._partners(Corpus("made", (rows[0],))) == {}


def test_what_the_shipped_networks_were_trained_on_is_not_tested():
    class Heard(Utterance):
        fingerprint = "0" * 64

    rows = tuple(Heard(f"u{n}", Path("x"), f"s{n}", corpus="made") for n in range(4))
    whole = Corpus("made", rows)
    split = Split(0, {speaker_key(rows[0]): "adapter-train"}, {})
    left = reconstruction.test_part(whole, split, frozenset())
    assert [u.id for u in left] == ["u1", "u2", "u3"]
    assert "left out 1" in left.notes[-1]
    with pytest.raises(AttackError, match="trained on all of it"):
        reconstruction.test_part(whole, split, frozenset({"0" * 16}))


# --- what is said of them

STRENGTHS = {"qformer": 0.8, "encoder": 0.9, CONTROL_TAP: 0.95}


def judgements(
    rows: Corpus, stoi: float, wer: float | None, seed: int, voice: str | None = None
) -> dict[str, Judgement]:
    """Judgements around a level; `voice` "own" gives each speaker an embedding of its own."""
    rng = np.random.default_rng(seed)
    out = {}
    for u in rows:
        embedding = None
        if voice is not None:
            speaker = int((u.speaker or "s0")[1:]) if voice == "own" else 99
            vector = np.random.default_rng(speaker).normal(size=256) + 0.2 * rng.normal(size=256)
            embedding = tuple(vector / np.linalg.norm(vector))
        out[u.id] = Judgement(
            stoi=float(np.clip(stoi + 0.02 * rng.normal(), 0, 1)),
            estoi=stoi - 0.1 + 0.02 * float(rng.normal()),
            mcd=10 * (1 - stoi) + 0.1 * float(rng.normal()),
            f0=float("nan") if u.id.endswith("1") else stoi + 0.02 * float(rng.normal()),
            envelope=stoi + 0.02 * float(rng.normal()),
            seconds=frames_of(u) / 100 * (1.01 + 0.02 * float(rng.random())),
            transcript=None if wer is None else "words",
            word_errors=None if wer is None else int(rng.binomial(20, min(wer, 1.0))),
            words=None if wer is None else 20,
            embedding=embedding,
        )
    return out


def outcome(
    rows: Corpus,
    strengths: dict[str, float] = STRENGTHS,
    floor: float = 0.2,
    words: bool = True,
    voice: str | None = "own",
) -> Outcome:
    def level(value: float, seed: int, who: str | None = voice) -> dict[str, Judgement]:
        return judgements(rows, value, 1 - value if words else None, seed, who)

    taps = {}
    for place, (tap, value) in enumerate(strengths.items()):
        attacker = SimpleNamespace(
            tap_fingerprint="f" * 64, seed=0, curve=(CurvePoint(100, 1.0, float("nan")),)
        )
        own, another = ({}, {}) if place else (level(value, 7), level(floor, 8, "none"))
        if len(rows) < 2:
            another = {}
        taps[tap] = Reconstruction(tap, attacker, level(value, place), own, another)
    return Outcome(
        system=SimpleNamespace(name="made-up"),
        corpus=rows,
        captures={},
        taps=taps,
        ceiling=level(0.97, 20),
        mean_mel=level(floor - 0.05, 21, "none"),
        sounds={},
    )


def trials(rows: Corpus, synthetic: bool = False) -> SpeakerTrials:
    embeddings = judgements(rows, 1.0, None, 50, "own")
    enrolment: dict[str, dict[str, np.ndarray]] = {}
    for u in rows:
        enrolment.setdefault(str(u.speaker), {})[u.id] = np.array(embeddings[u.id].embedding)
    return SpeakerTrials(enrolment, dict.fromkeys(enrolment), synthetic, False)


def verdicts(found) -> dict[str, str]:
    return {f.id.removeprefix("reconstruction."): f.verdict for f in found}


def test_a_strong_attack_with_a_good_control_leaks():
    rows = corpus(speakers=10)
    found = verdicts(Findings(outcome(rows), trials(rows), 0).findings())
    for name in ("wer", "wer-own-length", "stoi", "estoi", "mcd", "f0-correlation", "speaker-eer"):
        assert found[f"qformer.{name}"] == "leaks", name
    assert found["encoder.stoi"] == found["transparent.stoi"] == "leaks"


def test_an_attack_at_its_floor_is_not_detected_with_a_bound():
    rows = corpus(speakers=12, each=8)
    weak = {"qformer": 0.2, CONTROL_TAP: 0.95}
    findings = Findings(outcome(rows, weak, voice="none"), trials(rows), 0).findings()
    found = verdicts(findings)
    assert found["qformer.stoi"] == found["qformer.mcd"] == "not detected"
    assert "leaks" not in {
        v for k, v in found.items() if k.startswith("qformer.") and "length" not in k
    }
    (stoi,) = (f for f in findings if f.id == "reconstruction.qformer.stoi")
    assert "bound" in stoi.reason and stoi.control_passed is True


@pytest.mark.parametrize("control", [0.3, 0.55, 0.69])
def test_an_attack_whose_control_fails_is_invalid_where_it_fails_too(control):
    rows = corpus(speakers=10)
    broken = outcome(rows, {"qformer": 0.5, "encoder": 0.4, CONTROL_TAP: control})
    found = verdicts(Findings(broken, trials(rows), 0).findings())
    # The length is read off without any speech, so that intelligibility is no control of it.
    assert {v for k, v in found.items() if not k.endswith(".length-error")} == {"invalid"}
    assert found["qformer.length-error"] in ("leaks", "inconclusive")


def test_speech_that_comes_back_leaks_though_the_control_failed():
    rows = corpus(speakers=10)
    found = {
        f.id.removeprefix("reconstruction."): f
        for f in Findings(outcome(rows, {**STRENGTHS, CONTROL_TAP: 0.3}), None, 0).findings()
    }
    assert found["qformer.stoi"].verdict == found["qformer.wer"].verdict == "leaks"
    assert found["qformer.stoi"].control_passed is False
    assert OVERRULED in found["qformer.stoi"].notes
    assert found["transparent.stoi"].verdict == "invalid"


def test_a_control_that_is_loud_but_unreadable_fails():
    rows = corpus(speakers=10)
    made = outcome(rows)
    garbled = judgements(rows, 0.95, 0.6, 3)
    control = replace(made.taps[CONTROL_TAP], at_true_length=garbled)
    made = replace(made, taps={**made.taps, CONTROL_TAP: control})
    built = Findings(made, None, 0)
    assert built.control_passed is False
    assert "WER 6" in built.control_words


def test_a_floor_that_is_hardly_ever_defined_is_left_out_with_a_note():
    rows = corpus(speakers=10)
    made = outcome(rows)
    thin = {
        u.id: judgement if i < 2 else replace(judgement, f0=float("nan"))
        for i, (u, judgement) in enumerate(
            zip(rows, made.taps["qformer"].another.values(), strict=True)
        )
    }
    first = replace(made.taps["qformer"], another=thin)
    made = replace(made, taps={**made.taps, "qformer": first})
    found = {f.id: f for f in Findings(made, None, 0).findings()}
    f0, stoi = (found[f"reconstruction.qformer.{m}"] for m in ("f0-correlation", "stoi"))
    assert list(f0.floors) == ["mean mel"]
    assert any("another utterance is left out" in note for note in f0.notes)
    assert list(stoi.floors) == ["mean mel", "another utterance"]


def test_synthetic_voices_get_no_speaker_verdict():
    rows = corpus(speakers=10)
    found = Findings(outcome(rows), trials(rows, synthetic=True), 0).findings()
    speaker = [f for f in found if f.metric.startswith("speaker")]
    assert len(speaker) == 6
    assert {f.verdict for f in speaker} == {"inconclusive"}
    assert all("no population" in f.reason for f in speaker)


def test_without_texts_nothing_is_said_of_words():
    rows = corpus(speakers=10, text=None)
    findings = Findings(outcome(rows, words=False), None, 0).findings()
    assert not [f for f in findings if f.metric.startswith("WER")]
    (stoi,) = (f for f in findings if f.id == "reconstruction.qformer.stoi")
    assert stoi.verdict == "leaks"
    assert "no English" in stoi.control_rule


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("speaker", ["s0", None])
@pytest.mark.parametrize("words", [True, False])
def test_a_corpus_too_small_to_say_anything_says_so(count, speaker, words):
    rows = Corpus("made", tuple(utterance(n, speaker) for n in range(count)))
    findings = Findings(outcome(rows, words=words), None, 0).findings()
    if count == 1 or speaker is not None:
        assert {f.verdict for f in findings} == {"inconclusive"}
        assert all(f.estimate.low is None and f.estimate.high is None for f in findings)
    assert all(f.verdict != "not detected" for f in findings)
    for f in findings:
        assert f.estimate.value is not None


def test_an_utterance_without_a_speaker_counts_as_a_speaker_of_its_own():
    rows = Corpus("made", tuple(utterance(n, None) for n in range(9)))
    (stoi, *_) = (f for f in Findings(outcome(rows), None, 0).findings() if f.metric == "STOI")
    assert stoi.speakers == 9
    assert stoi.verdict == "leaks"


def test_the_same_seed_gives_the_same_findings():
    rows = corpus(speakers=8)
    first = Findings(outcome(rows), trials(rows), 5).findings()
    assert first == Findings(outcome(rows), trials(rows), 5).findings()
    assert first != Findings(outcome(rows), trials(rows), 6).findings()


def test_every_sentence_names_the_system_audited():
    rows = corpus(speakers=8)
    for finding in Findings(outcome(rows), trials(rows), 0).findings():
        assert "made-up" in finding.question
        assert "made-up" in finding.reason


def test_a_curve_without_a_value_is_null():
    points = Findings(outcome(corpus()), None, 0).budget()
    assert {p.value for p in points} == {None}


# --- whose voice


def test_a_tested_recording_is_not_its_own_enrolment():
    rows = corpus(speakers=3, each=2)
    known = trials(rows)
    model = known.model("s0", "u0")
    assert model is not None
    assert np.allclose(model, known.enrolment["s0"]["u3"])
    assert known.model("nobody", "u0") is None


def test_trials_are_of_one_sex_where_it_is_known():
    rows = corpus(speakers=4, each=2)
    sexes = {"s0": "F", "s1": "F", "s2": "M", "s3": "M"}
    known = replace(trials(rows), sex=sexes)
    scored = list(known.scores(list(rows), judgements(rows, 1.0, None, 1, "own")))
    assert len(scored) == 8 * 2
    assert {(sexes[enrolled], sexes[tested]) for _, _, enrolled, tested, _ in scored} == {
        ("F", "F"),
        ("M", "M"),
    }
    targets = [score for score, target, *_ in scored if target]
    assert min(targets) > max(score for score, target, *_ in scored if not target)


def test_enrolment_needs_two_speakers_with_two_recordings(tiny_judge, tiny_speech):
    from esrt_privacy.corpora import load_corpus

    whole = load_corpus(tiny_speech)
    pair = whole.filter(lambda u: u.speaker in ("speaker0", "speaker1"))
    found = enrol(pair, pair, tiny_judge)
    assert found is not None
    assert set(found.enrolment) == {"speaker0", "speaker1"}
    assert found.few_recordings and not found.synthetic
    one_each = pair.filter(lambda u: u.id.endswith("-0"))
    assert enrol(one_each, one_each, tiny_judge) is None
    assert enrol(whole, whole.select(speaker="speaker0"), tiny_judge) is None
    unknown = replace(pair, utterances=tuple(replace(u, speaker=None) for u in pair))
    assert enrol(unknown, unknown, tiny_judge) is None
