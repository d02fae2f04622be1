import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esrt_privacy.corpora import SAMPLE_RATE, Corpus, Utterance, check, demo, load_corpus
from esrt_privacy.errors import AudioError, CorpusError


def test_folder_names_speakers_by_its_first_level(tmp_path, write):
    write("anna/monday/1.wav")
    write("anna/2.FLAC")
    write("bert/1.ogg")
    write("flat.mp3")
    write(".hidden/x.wav")
    (tmp_path / "notes.txt").write_text("not audio")
    corpus = load_corpus(tmp_path)
    said = [(u.id, u.speaker) for u in corpus]
    assert said == [("anna/2", "anna"), ("anna/monday/1", "anna"), ("bert/1", "bert"),
                    ("flat", None)]  # fmt: skip
    assert corpus.speakers == ("anna", "bert") and corpus.notes == ()


def test_files_that_differ_only_in_suffix_keep_apart(tmp_path, write):
    write("a.wav")
    write("a.flac")
    assert [u.id for u in load_corpus(tmp_path)] == ["a.flac", "a.wav"]


def test_links_are_followed_and_circles_are_not(tmp_path, write):
    write("real/a.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "anna").symlink_to(tmp_path / "real")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    assert [u.id for u in load_corpus(tmp_path / "corpus")] == ["anna/a"]


def test_bad_files_are_left_out_each_with_a_line(tmp_path, write):
    write("good.wav")
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), 16_000)
    corpus = load_corpus(tmp_path)
    assert [u.id for u in corpus] == ["good"]
    assert len(corpus.notes) == 5 and not any("\n" in note for note in corpus.notes)
    for name in ("text", "empty", "folder", "gone", "zero"):
        assert sum(f"{name}.wav: " in note for note in corpus.notes) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_left_out(tmp_path, write):
    write("a.wav")
    write("b.wav").chmod(0)
    corpus = load_corpus(tmp_path)
    assert [u.id for u in corpus] == ["a"] and "b.wav: cannot be opened" in corpus.notes[0]


@pytest.mark.parametrize("spec", ["empty", "missing", "text.txt"])
def test_nothing_to_load_is_one_clear_line(tmp_path, spec):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path / spec)
    assert spec in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "windows"), [(30.0, 1), (30.01, 2), (31.0, 2), (60.0, 2), (60.3, 3)]
)
def test_long_recordings_become_equal_windows(tmp_path, write, seconds, windows):
    write("a.wav", seconds, rate=8_000)
    corpus = load_corpus(tmp_path)
    assert len(corpus) == windows
    assert {round(u.duration, 9) for u in corpus} == {round(seconds / windows, 9)}
    if windows > 1:
        assert [u.id for u in corpus] == [f"a#{n}" for n in range(1, windows + 1)]
        assert {u.recording for u in corpus} == {"a"}
        assert len({u.fingerprint for u in corpus}) == windows
        assert len(corpus.notes) == 1 and f"into {windows} windows" in corpus.notes[0]
    sizes = [u.waveform().size for u in corpus]
    assert sum(sizes) == pytest.approx(seconds * SAMPLE_RATE, abs=windows)
    assert max(sizes) <= 30 * SAMPLE_RATE


def test_windows_join_to_the_recording_and_lose_its_text(tmp_path, write):
    path = write("a.flac", 31.0)
    (tmp_path / "m.jsonl").write_text('{"audio": "a.flac", "text": "Long.", "speaker": "s"}\n')
    corpus = load_corpus(tmp_path / "m.jsonl")
    joined = np.concatenate([u.waveform() for u in corpus])
    assert np.array_equal(joined, soundfile.read(path, dtype="float32")[0])
    assert [(u.text, u.speaker) for u in corpus] == [(None, "s")] * 2
    assert "its text is not used" in corpus.notes[0]


def test_a_window_never_takes_an_id_that_is_taken(tmp_path, write):
    write("a#1.wav")
    write("a.wav", 31.0, rate=8_000)
    corpus = load_corpus(tmp_path)
    assert [u.id for u in corpus] == ["a#1", "a#2"]
    assert any("a#1 is taken" in note for note in corpus.notes)


def librispeech(root: Path, write) -> None:
    for speaker, chapter in [("19", "198"), ("26", "495")]:
        folder = f"{root}/{speaker}/{chapter}/{speaker}-{chapter}"
        for n in range(2):
            write(f"{folder}-{n:04}.flac", seed=int(speaker) + n)
        Path(f"{folder}.trans.txt").write_text(f"{speaker}-{chapter}-0000 NORTHANGER ABBEY\n")


def test_librispeech_tree_from_a_subset_or_from_above(tmp_path, write):
    root = tmp_path / "LibriSpeech"
    librispeech(root / "train-clean-100", write)
    (root / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "19   | F | train-clean-100  | 25.19 | Kara Shallenberg\n"
        "26   | M | train-clean-100  | 25.08 | Denny Sayers\n"
    )
    subset, above = load_corpus(root / "train-clean-100"), load_corpus(root)
    assert subset.fingerprint == above.fingerprint
    first, second = subset.utterances[:2]
    assert (first.id, first.speaker, first.session) == ("19-198-0000", "19", "198")
    assert (first.sex, first.language, first.text) == ("F", "eng", "NORTHANGER ABBEY")
    assert second.text is None and "19-198-0001.flac: no transcript" in subset.notes[0]
    assert [u.sex for u in subset] == ["F", "F", "M", "M"]


def test_fingerprint_follows_content_labels_and_order_but_not_the_place(tmp_path, write):
    write("here/a.wav", seed=1)
    write("here/b.wav", seed=2)
    corpus = load_corpus(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "here")
    assert load_corpus(tmp_path / "elsewhere" / "here").fingerprint == corpus.fingerprint
    a, b = corpus
    others = [
        Corpus("x", (b, a)),
        Corpus("x", (a,)),
        Corpus("x", (replace(a, speaker="s"), b)),
        Corpus("x", (replace(a, id="c"), b)),
        corpus.with_channel(1),
        Corpus("x", (replace(a, age="twenties"), b)),
        Corpus("x", (replace(a, accent="twenties"), b)),
        Corpus("x", (replace(a, emotion="twenties"), b)),
    ]
    assert len({corpus.fingerprint, *(other.fingerprint for other in others)}) == 9
    before = a.fingerprint
    write("here/a.wav", seconds=1.1, seed=3)
    assert a.fingerprint != before


def test_fingerprint_of_a_missing_file_is_an_audio_error(tmp_path):
    with pytest.raises(AudioError, match=r"gone\.wav"):
        _ = Utterance("a", tmp_path / "gone.wav").fingerprint


def test_filter_and_select_keep_order_and_notes():
    labels = [("a", "eng", "F"), ("b", "deu", "F"), ("c", "eng", "M")]
    utterances = [Utterance(i, Path(i), language=lang, sex=sex) for i, lang, sex in labels]
    corpus = Corpus("x", tuple(utterances), ("a note",))
    assert [u.id for u in corpus.select(language="eng")] == ["a", "c"]
    assert [u.id for u in corpus.select(language="eng", sex="F")] == ["a"]
    assert [u.id for u in corpus.select(ids={"c", "b"})] == ["b", "c"]
    assert corpus.filter(lambda u: u.id != "a").notes == ("a note",)


def test_check_finds_damage_that_a_header_hides(tmp_path, write):
    write("good.flac", 0.5)
    bad = write("bad.flac", 3.0)
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    corpus = load_corpus(tmp_path)
    assert len(corpus) == 2
    seen = []
    checked = check(corpus, progress=lambda done, total: seen.append((done, total)))
    assert [(u.id, u.duration) for u in checked] == [("good", 0.5)]
    assert "bad.flac: " in checked.notes[0] and seen == [(1, 2), (2, 2)]
    with pytest.raises(CorpusError, match="no usable recording"):
        check(corpus.select(ids={"bad"}))


def test_demo_is_read_from_the_package_and_missed_with_a_remedy(tmp_path, write, monkeypatch):
    monkeypatch.setattr(demo.resources, "files", lambda name: tmp_path)
    with pytest.raises(CorpusError, match=r"demo: .*reinstall"):
        load_corpus("demo")
    write("data/demo/en/a.flac")
    (tmp_path / "data/demo/manifest.jsonl").write_text('{"audio": "en/a.flac", "id": "d1"}\n')
    corpus = load_corpus("demo")
    assert corpus.name == "demo" and [u.id for u in corpus] == ["d1"]


@pytest.mark.speech
def test_recorded_speech_loads_without_a_note(speech_folder):
    corpus = load_corpus(speech_folder)
    assert corpus.notes == () and len(corpus.speakers) > 50
    wave = corpus.utterances[0].waveform()
    assert wave.size / SAMPLE_RATE == pytest.approx(corpus.utterances[0].duration, abs=1e-3)
