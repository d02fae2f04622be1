import pytest
import torch

from esrt_privacy.captures import capture
from esrt_privacy.captures.capture import SHARD_UTTERANCES
from esrt_privacy.corpora import Corpus, Utterance, load_corpus
from esrt_privacy.errors import CaptureError, CorpusError


def test_every_utterance_has_the_tensor_of_its_own_audio(system, corpus, tmp_path):
    made = capture(system, ["mel", "q"], corpus, tmp_path / "store", batch=3)
    assert set(made) == {"mel", "q"}
    for utterance in corpus:
        wanted = system.represent([utterance.waveform()], ["mel", "q"])
        for name, held in made.items():
            assert torch.equal(held.tensor(utterance), wanted[name][0])
    q = made["q"]
    assert (q.tap, q.shape, q.system_name) == ("q", (4, 5), "counting")
    assert q.system_fingerprint == system.taps["q"].fingerprint
    batch = q.batch(corpus.utterances[:2])
    assert batch.shape == (2, 4, 5) and batch.dtype == torch.float32


def test_encoding_happens_once(system, corpus, tmp_path):
    capture(system, ["mel", "q"], corpus, tmp_path)
    assert system.utterances == 10
    again = capture(system, ["mel", "q"], corpus, tmp_path)
    assert system.utterances == 10 and len(again["q"].corpus) == 10


def test_only_what_is_missing_is_encoded(system, corpus, tmp_path):
    capture(system, ["q"], corpus.select(speaker="anna"), tmp_path)
    system.encoded.clear()
    made = capture(system, ["q"], corpus, tmp_path)["q"]
    assert system.utterances == 5
    assert all(made.tensor(u).shape == (4, 5) for u in corpus)


def test_a_tap_that_is_there_is_not_computed_again(system, corpus, tmp_path):
    capture(system, ["mel"], corpus, tmp_path)
    system.encoded.clear()
    capture(system, ["mel", "q"], corpus, tmp_path)
    assert {taps for _, taps in system.encoded} == {("q",)}


def test_an_interrupted_run_goes_on_after_its_last_shard(counting, recording, tmp_path):
    for i in range(70):
        recording(tmp_path / "speech" / f"{i:02}.wav", i, seconds=0.1)
    corpus = load_corpus(tmp_path / "speech")
    killed = counting(fail_at=9)  # 72 of 8 a call: one shard is written, 40 are lost
    with pytest.raises(KeyboardInterrupt):
        capture(killed, ["q"], corpus, tmp_path / "store", batch=7)
    (held,) = (tmp_path / "store").glob("q-*")
    (held / "0000.safetensors.1.part").write_bytes(b"half")
    system = counting()
    made = capture(system, ["q"], corpus, tmp_path / "store", batch=7)["q"]
    stored = 70 - system.utterances
    assert stored >= SHARD_UTTERANCES
    for utterance in corpus:
        wanted = system.represent([utterance.waveform()], ["q"])["q"][0]
        assert torch.equal(made.tensor(utterance), wanted)


def test_undecodable_audio_is_left_out_with_a_note(system, corpus, tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    bad = (Utterance("text", tmp_path / "text.wav"), Utterance("gone", tmp_path / "gone.wav"))
    mixed = Corpus("mixed", (*corpus.utterances[:3], *bad), notes=("as found",))
    made = capture(system, ["q"], mixed, tmp_path / "store", batch=2)["q"].corpus
    assert [u.id for u in made] == [u.id for u in mixed.utterances[:3]]
    assert made.notes[0] == "as found" and len(made.notes) == 3
    assert "text.wav" in made.notes[1] and "gone.wav" in made.notes[2]


def test_nothing_decodable_is_an_error(system, tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    corpus = Corpus("bad", (Utterance("text", tmp_path / "text.wav"),))
    with pytest.raises(CorpusError, match=r"bad: no recording could be decoded.*text\.wav"):
        capture(system, ["q"], corpus, tmp_path / "store")


def test_the_same_audio_under_two_ids_has_one_tensor(system, corpus, tmp_path):
    first = corpus.utterances[0]
    twins = Corpus("twins", (first, Utterance("twin", first.audio)))
    made = capture(system, ["q"], twins, tmp_path)["q"]
    assert torch.equal(*(made.tensor(u) for u in twins)) and len(made.corpus) == 2


def test_another_systems_capture_is_refused(system, counting, corpus, tmp_path):
    made = capture(system, ["q"], corpus, tmp_path)["q"]
    made.require(system)
    with pytest.raises(CaptureError, match="a capture of counting at q, not of other"):
        made.require(counting(name="other", salt="!"))


def test_systems_do_not_share_a_folder(system, counting, corpus, tmp_path):
    capture(system, ["q"], corpus, tmp_path)
    other = counting(name="other", salt="!")
    capture(other, ["q"], corpus, tmp_path)
    assert other.utterances == 10 and len(list(tmp_path.glob("q-*"))) == 2


def test_unknown_tap_is_one_line(system, corpus, tmp_path):
    with pytest.raises(CaptureError, match="counting has no tap 'x'; it has mel, q"):
        capture(system, ["x"], corpus, tmp_path)


def test_a_system_that_computes_nan_is_named(counting, corpus, tmp_path):
    spoiled = counting(spoil=float("nan"))
    with pytest.raises(CaptureError, match="counting gave values that are no numbers at q"):
        capture(spoiled, ["q"], corpus, tmp_path)


def test_progress_counts_what_was_there_already(system, corpus, tmp_path):
    capture(system, ["q"], corpus.select(speaker="anna"), tmp_path)
    seen = []
    capture(system, ["q"], corpus, tmp_path, lambda done, total: seen.append((done, total)), 2)
    assert seen == [(7, 10), (9, 10), (10, 10)]


def test_fingerprint_names_system_and_audio(system, counting, corpus, tmp_path):
    whole = capture(system, ["q"], corpus, tmp_path)["q"]
    again = capture(system, ["q"], corpus, tmp_path)["q"]
    part = capture(system, ["q"], corpus.select(speaker="anna"), tmp_path)["q"]
    other = capture(counting(salt="!"), ["q"], corpus, tmp_path)["q"]
    assert whole.fingerprint == again.fingerprint
    assert len({whole.fingerprint, part.fingerprint, other.fingerprint}) == 3
