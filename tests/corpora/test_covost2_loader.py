import shutil

import pytest

from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import CorpusError
from tests.corpora.layouts import pack, put, sound, table

NAMES = [f"common_voice_en_{number}.mp3" for number in range(1, 5)]
VALIDATED = table(
    [("client_id", "path", "sentence", "age", "gender", "locale"),
     ("anna", NAMES[0], "Yes.", "", "female", "en"), ("bert", NAMES[1], "No.", "", "male", "en"),
     ("anna", NAMES[2], "Who?", "", "female", "en"), ("carl", NAMES[3], "Me.", "", "", "en")]
)  # fmt: skip
# as downloaded: sentences and speakers are in Common Voice's table
GERMAN = table(
    [("path", "translation", "split"), (NAMES[0], "Ja.", "train"), (NAMES[1], "Nein.", "dev"),
     (NAMES[2], "Wer?", "train_covost"), (NAMES[3], "Ich.", "dev_covost")]
)  # fmt: skip
# as get_covost_splits.py writes them
HEADER = ("path", "sentence", "translation", "client_id")
SWEDISH_TEST = table([HEADER, (NAMES[1], 'He said \\"no\\".', "Nej.", "bert")])
SWEDISH_TRAIN = table([HEADER, (NAMES[0], "Yes.", "Ja.", "anna")])


@pytest.fixture(params=["among", "beside", "above", "release", "archive", "release's archive"])
def corpus_folder(request, tmp_path, cache):
    """CoVoST-2's tables with Common Voice wherever people put it."""
    members = {"validated.tsv": VALIDATED} | {
        f"clips/{name}": sound(number, kind="MP3") for number, name in enumerate(NAMES)
    }
    tables = {
        "among": "en", "beside": "", "above": "covost", "release": "", "archive": "",
        "release's archive": "translations",
    }[request.param]  # fmt: skip
    for name, content in {
        "covost_v2.en_de.tsv": GERMAN,
        "covost_v2.en_sv-SE.test.tsv": SWEDISH_TEST,
        "covost_v2.en_sv-SE.train.tsv": SWEDISH_TRAIN,
    }.items():
        put(tmp_path / tables / name, content)
    if request.param == "archive":
        pack(tmp_path / "en.tar.gz", members)
    elif request.param == "release's archive":
        release = "cv-corpus-4-2019-12-10"
        packed = {f"{release}/en/{name}": content for name, content in members.items()}
        pack(tmp_path / f"{release}-en.tar.gz", packed)
    else:
        below = "cv-corpus-4/en" if request.param == "release" else "en"
        for name, content in members.items():
            put(tmp_path / below / name, content)
    return tmp_path


EXPECTED = [
    ("common_voice_en_1", "anna", "F", "Yes.", {"deu": "Ja.", "swe": "Ja."}),
    ("common_voice_en_2", "bert", "M", "No.", {"deu": "Nein.", "swe": "Nej."}),
    ("common_voice_en_3", "anna", "F", "Who?", {"deu": "Wer?"}),
]


def labels(corpus):
    return [(u.id, u.speaker, u.sex, u.text, dict(u.translations)) for u in corpus]


def test_clips_come_with_the_translations_of_every_table(corpus_folder):
    corpus = load_corpus(corpus_folder)
    assert labels(corpus) == EXPECTED
    assert len(corpus.notes) == 1
    assert "left out 1 rows of" in corpus.notes[0] and "in no split" in corpus.notes[0]
    assert {(u.language, u.corpus, u.licence) for u in corpus} == {("eng", "covost2", "CC0 1.0")}
    assert all(u.duration > 0.1 for u in corpus)


def test_one_table_is_loaded_by_its_name(corpus_folder, monkeypatch):
    (path,) = corpus_folder.rglob("covost_v2.en_sv-SE.test.tsv")
    corpus = load_corpus(path)
    assert labels(corpus) == [("common_voice_en_2", "bert", "M", "No.", {"swe": "Nej."})]
    assert corpus.name == "covost_v2.en_sv-SE.test"
    monkeypatch.chdir(path.parent)
    assert load_corpus(path.name).fingerprint == corpus.fingerprint


def test_without_common_voices_tables_the_splits_say_it_themselves(tmp_path):
    put(tmp_path / "covost_v2.en_sv-SE.test.tsv", SWEDISH_TEST)
    put(tmp_path / "en" / "clips" / NAMES[1], sound(kind="MP3"))
    assert labels(load_corpus(tmp_path)) == [
        ("common_voice_en_2", "bert", None, 'He said "no".', {"swe": "Nej."})
    ]


def test_each_source_has_its_own_clips(tmp_path):
    french = "common_voice_fr_1.mp3"
    put(tmp_path / "en" / "covost_v2.en_sv-SE.test.tsv", SWEDISH_TEST)
    put(tmp_path / "en" / "clips" / NAMES[1], sound(kind="MP3"))
    put(tmp_path / "fr" / "covost_v2.fr_en.dev.tsv", table([HEADER, (french, "Oui.", "Yes.", "d")]))
    put(tmp_path / "fr" / "clips" / french, sound(kind="MP3"))
    corpus = load_corpus(tmp_path)
    assert [(u.language, dict(u.translations)) for u in corpus] == [
        ("eng", {"swe": "Nej."}),
        ("fra", {"eng": "Yes."}),
    ]
    shutil.rmtree(tmp_path / "fr" / "clips")
    corpus = load_corpus(tmp_path)
    assert {u.language for u in corpus} == {"eng"}
    assert "no Common Voice beside it; put fr/clips" in corpus.notes[0]


def test_the_clips_of_another_language_are_not_taken_for_the_sources(tmp_path):
    put(tmp_path / "de" / "clips" / NAMES[1], sound(kind="MP3"))
    put(tmp_path / "de" / "covost_v2.en_sv-SE.test.tsv", SWEDISH_TEST)
    with pytest.raises(CorpusError, match="no Common Voice beside it"):
        load_corpus(tmp_path / "de")


def test_translations_without_common_voice_are_one_clear_line(tmp_path):
    put(tmp_path / "covost_v2.en_de.tsv", GERMAN)
    with pytest.raises(CorpusError, match=r"archive en\.tar\.gz") as caught:
        load_corpus(tmp_path)
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_used_are_left_out_each_with_a_line(tmp_path, cache):
    bad = [("../x.mp3", "", "Up.", "a"), (NAMES[3], "", "Weg.", "a"), (NAMES[0], "Yes.", "Nej!", "a"),
           (NAMES[1], "No.", "", "a")]  # fmt: skip
    put(tmp_path / "covost_v2.en_sv-SE.test.tsv", table([HEADER, *bad]))
    put(tmp_path / "covost_v2.en_sv-SE.dev.tsv", SWEDISH_TRAIN)
    clips = {f"clips/{name}": sound(kind="MP3") for name in NAMES[:2]}
    pack(tmp_path / "en.tar.gz", {"validated.tsv": VALIDATED} | clips)
    corpus = load_corpus(tmp_path)
    assert labels(corpus) == [
        ("common_voice_en_1", "anna", "F", "Yes.", {"swe": "Ja."}),
        ("common_voice_en_2", "bert", "M", "No.", {}),
    ]
    said = ["line 2: '../x.mp3' is no name of a clip", f"left out 1 clips of en: not there (first: {NAMES[3]})",
            f"line 4: another translation of {NAMES[0]}"]  # fmt: skip
    assert len(corpus.notes) == 3
    for what in said:
        assert sum(what in note for note in corpus.notes) == 1
