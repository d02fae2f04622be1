from pathlib import Path

import pytest

from esrt_privacy.corpora import load_corpus
from esrt_privacy.corpora.common_voice import clip_name
from esrt_privacy.corpora.tables import RowError
from esrt_privacy.errors import CorpusError
from tests.corpora.layouts import pack, put, sound, table

COLUMNS = ("client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes",
           "down_votes", "age", "gender", "accents", "variant", "locale", "segment")  # fmt: skip


def rows(locale, *clips):
    """Rows of a table; a clip is (number, speaker, sentence, gender)."""
    return [COLUMNS] + [
        (who, f"common_voice_{locale}_{number}.mp3", "s1", said, "", 2, 0, "twenties", sex,
         "England", "", locale, "")
        for number, who, said, sex in clips
    ]  # fmt: skip


ONE = (1, "anna", "Yes.", "female_feminine")
TWO = (2, "bert", 'He said "no".', "male_masculine")
THREE = (3, "anna", "Perhaps.", "female")
FOUR = (4, "carl", "", "other")


def members(locale: str, clips: bytes = b"") -> dict[str, bytes]:
    """A language's folder: three splits and what was validated besides."""
    return {
        f"{locale}/test.tsv": table(rows(locale, ONE)),
        f"{locale}/dev.tsv": table(rows(locale, TWO)),
        f"{locale}/validated.tsv": table(rows(locale, ONE, TWO, THREE, FOUR)),
        f"{locale}/invalidated.tsv": table(rows(locale, (5, "dora", "Refused.", ""))),
        f"{locale}/other.tsv": table(rows(locale, (6, "emil", "Unheard.", ""))),
        f"{locale}/clip_durations.tsv": table([("clip", "duration[ms]")]),
    } | {
        f"{locale}/clips/common_voice_{locale}_{number}.mp3": clips or sound(number, kind="MP3")
        for number in range(1, 7)
    }


def tree(root: Path, *locales: str) -> Path:
    for locale in locales:
        for name, content in members(locale).items():
            put(root / name, content)
    return root


def labels(corpus):
    return [(u.id.rpartition("_")[2], u.speaker, u.language, u.sex, u.text) for u in corpus]


EXPECTED = [
    ("2", "bert", "eng", "M", 'He said "no".'),
    ("1", "anna", "eng", "F", "Yes."),
    ("3", "anna", "eng", "F", "Perhaps."),
    ("4", "carl", "eng", None, None),
]


def test_a_language_gives_its_validated_clips_each_once(tmp_path):
    corpus = load_corpus(tree(tmp_path, "en") / "en")
    assert corpus.notes == () and corpus.name == "en"
    assert labels(corpus) == EXPECTED
    first = corpus.utterances[0]
    assert (first.id, first.session) == ("common_voice_en_2", None)
    assert (first.corpus, first.licence) == ("common_voice", "CC0 1.0")
    assert (first.age, first.accent, first.emotion) == ("twenties", "England", None)
    assert first.waveform().size == pytest.approx(0.2 * 16_000, abs=3000)  # MP3 pads


def test_a_release_and_a_folder_of_releases_give_every_language(tmp_path):
    root = tree(tmp_path / "cv-corpus-17.0-2024-03-15", "en", "sv-SE", "zh-CN")
    tree(tmp_path / "cv-corpus-18.0-2024-06-14", "de")
    assert {u.language for u in load_corpus(root)} == {"eng", "swe", "cmn"}
    assert {u.language for u in load_corpus(tmp_path)} == {"eng", "swe", "cmn", "deu"}


def test_one_table_is_loaded_by_its_name(tmp_path, monkeypatch):
    root = tree(tmp_path, "en") / "en"
    assert labels(load_corpus(root / "test.tsv")) == [EXPECTED[1]]
    assert load_corpus(root / "test.tsv").name == "test"
    assert labels(load_corpus(root / "invalidated.tsv")) == [("5", "dora", "eng", None, "Refused.")]
    monkeypatch.chdir(root)
    assert labels(load_corpus("dev.tsv")) == [EXPECTED[0]]


@pytest.mark.parametrize("folder", ["cv-corpus-17.0-2024-03-15/", ""])
def test_an_archive_as_downloaded_gives_what_its_folder_gives(tmp_path, cache, folder):
    unpacked = load_corpus(tree(tmp_path / "tree", "en"))
    packed = {folder + name: content for name, content in members("en").items()}
    path = pack(tmp_path / "cv-corpus-17.0-2024-03-15-en.tar.gz", packed)
    corpus = load_corpus(path)
    assert corpus.notes == () and corpus.name == "cv-corpus-17.0-2024-03-15-en"
    assert corpus.fingerprint == unpacked.fingerprint
    assert all(u.audio.is_relative_to(cache) for u in corpus)
    assert {path.name for path in tmp_path.iterdir()} == {"tree", path.name}


def test_a_first_release_packed_without_a_folder_or_a_locale(tmp_path, cache):
    old = [("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"),
           ("anna", "0a1b2c", "Ja.", 2, 0, "", "female", "")]  # fmt: skip
    path = pack(
        tmp_path / "sv-SE.tar.gz",
        {"clips/0a1b2c.mp3": sound(kind="MP3"), "train.tsv": table(old)},
    )
    (utterance,) = load_corpus(path)
    assert (utterance.id, utterance.language, utterance.text) == ("0a1b2c", "swe", "Ja.")


def test_the_language_is_the_rows_then_the_clips_then_the_folders(tmp_path):
    header = ("client_id", "path", "sentence", "locale")
    clips = [("a", "common_voice_de_1.mp3", "x", "zh-HK"), ("a", "common_voice_de_2.mp3", "x", ""),
             ("a", "3.mp3", "x", ""), ("a", "4.mp3", "x", "??")]  # fmt: skip
    put(tmp_path / "cy" / "train.tsv", table([header, *clips]))
    for _, name, *_ in clips:
        put(tmp_path / "cy" / "clips" / name, sound(kind="MP3"))
    assert [u.language for u in load_corpus(tmp_path)] == ["yue", "deu", "cym", "cym"]


def test_rows_that_cannot_be_used_are_left_out_each_with_a_line(tmp_path):
    root = tmp_path / "en"
    header = ("client_id", "path", "sentence")
    bad = [("a", "../../../etc/passwd.mp3", "up"), ("a", "", "none"), ("a", "x.mp3", "y", "z"),
           ("a", "gone.mp3", "gone"), ("a", "junk.mp3", "junk")]  # fmt: skip
    put(root / "train.tsv", table([header, *bad, ("a", "good.mp3", "good")]))
    put(root / "clips" / "good.mp3", sound(kind="MP3"))
    put(root / "clips" / "junk.mp3", b"not audio")
    corpus = load_corpus(root)
    assert [u.id for u in corpus] == ["good"]
    said = ["line 2: '../../../etc/passwd.mp3' is no name of a clip", "line 3: no column path",
            "line 4: 4 columns where there are 3", "gone.mp3: is missing", "junk.mp3: no audio"]  # fmt: skip
    assert len(corpus.notes) == 5
    for what in said:
        assert sum(what in note for note in corpus.notes) == 1


def test_clips_that_an_archive_lacks_or_that_are_damaged(tmp_path, cache):
    packed = members("en", clips=sound(kind="MP3"))
    del packed["en/clips/common_voice_en_1.mp3"], packed["en/clips/common_voice_en_3.mp3"]
    packed["en/clips/common_voice_en_4.mp3"] = b"junk"
    corpus = load_corpus(pack(tmp_path / "en.tar.gz", packed))
    assert [row[0] for row in labels(corpus)] == ["2"]
    said = "\n".join(corpus.notes)
    assert "left out 2 clips of en: not there (first: common_voice_en_1.mp3)" in said
    assert "common_voice_en_4.mp3: no audio" in said


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x1f\x8bjunk", b""])
def test_a_file_that_is_no_archive_is_one_clear_line(tmp_path, cache, content):
    with pytest.raises(CorpusError, match=r"en\.tar\.gz: damaged or truncated") as caught:
        load_corpus(put(tmp_path / "en.tar.gz", content))
    assert "\n" not in str(caught.value)


def test_an_archive_without_tables_is_one_clear_line(tmp_path, cache):
    path = pack(tmp_path / "music.tar.gz", {"a.mp3": sound(kind="MP3")})
    with pytest.raises(CorpusError, match=r"no train\.tsv or other table of Common Voice"):
        load_corpus(path)


@pytest.mark.parametrize(
    ("value", "name"),
    [("a.mp3", "a.mp3"), (" a ", "a.mp3"), ("a.WAV", "a.WAV"), ("a.b", "a.b.mp3")],
)
def test_a_name_without_a_suffix_is_that_of_an_mp3(value, name):
    assert clip_name({"path": value}) == name


@pytest.mark.parametrize("value", ["", "/a.mp3", "..", "a/../../b.mp3"])
def test_a_name_that_is_a_path_is_refused(value):
    with pytest.raises(RowError):
        clip_name({"path": value})
