import shutil
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from esrt_privacy.corpora import extraction, load_corpus, parquet
from esrt_privacy.errors import CorpusError
from tests.corpora.layouts import pack, put, sound, table

# sentence, name of the recording, as written, normalised, gender; two people read sentence 7
ENGLISH = [
    (7, "100.wav", 'He said "Yes".', "he said yes", "MALE"),
    (7, "101.wav", 'He said "Yes".', "he said yes", "FEMALE"),
    (9, "102.wav", "A dog.", "a dog", "OTHER"),
]
GERMAN = [(7, "200.wav", "Er sagte „Ja“.", "er sagte ja", "FEMALE")]
CHINESE = [(9, "300.wav", "一只狗。", "一 只 狗", "MALE")]
TEXTS = {"en_us": ENGLISH, "de_de": GERMAN, "cmn_hans_cn": CHINESE}


def tsv_rows(rows):
    return [(number, name, raw, text, "c h", 3200, sex) for number, name, raw, text, sex in rows]


def own_tree(root: Path, packed: bool = False, split: str = "test") -> Path:
    """The corpus's own layout."""
    for language, rows in TEXTS.items():
        put(root / language / f"{split}.tsv", table(tsv_rows(rows)))
        audio = root / language / "audio"
        sounds = {name: sound(int(name[:3])) for _, name, *_ in rows}
        if packed:
            pack(audio / f"{split}.tar.gz", {f"{split}/{n}": s for n, s in sounds.items()})
        else:
            for name, content in sounds.items():
                put(audio / split / name, content)
    return root


def write_parquet(file: Path, configuration: str, rows, **changes) -> Path:
    """A table of the hub, which come in several groups of rows."""
    number = {"cmn_hans_cn": 13, "de_de": 17, "en_us": 19}[configuration]
    columns = {
        "id": pyarrow.array([row[0] for row in rows], pyarrow.int32()),
        "num_samples": pyarrow.array([3200] * len(rows), pyarrow.int32()),
        "path": [f"/home/someone/{row[1]}" for row in rows],
        "audio": [{"bytes": sound(int(row[1][:3])), "path": row[1]} for row in rows],
        "transcription": [row[3] for row in rows],
        "raw_transcription": [row[2] for row in rows],
        "gender": [["MALE", "FEMALE", "OTHER"].index(row[4]) for row in rows],
        "lang_id": [number] * len(rows),
        "language": ["English"] * len(rows),
    } | changes
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: column for name, column in columns.items() if column is not None}
    pyarrow.parquet.write_table(pyarrow.table(kept), file, row_group_size=2)
    return file


def hub_tree(root: Path) -> Path:
    for language, rows in TEXTS.items():
        write_parquet(root / language / "test" / "0000.parquet", language, rows)
    return root


def labels(corpus):
    return [(u.id, u.language, u.sex, u.text, dict(u.translations)) for u in corpus]


CHINESE_LABELS = ("cmn/test/300", "cmn", "M", "一只狗。", {"eng": "A dog."})
GERMAN_LABELS = ("deu/test/200", "deu", "F", "Er sagte „Ja“.", {"eng": 'He said "Yes".'})
ENGLISH_LABELS = [
    ("eng/test/100", "eng", "M", 'He said "Yes".', {"deu": "Er sagte „Ja“."}),
    ("eng/test/101", "eng", "F", 'He said "Yes".', {"deu": "Er sagte „Ja“."}),
    ("eng/test/102", "eng", None, "A dog.", {"cmn": "一只狗。"}),
]


@pytest.fixture(params=["folders", "archives", "hub"])
def tree(request, tmp_path, cache):
    if request.param == "hub":
        return hub_tree(tmp_path / "fleurs")
    return own_tree(tmp_path / "fleurs", packed=request.param == "archives")


def test_every_layout_gives_the_same_corpus(tree, tmp_path):
    corpus = load_corpus(tree)
    assert corpus.notes == () and corpus.name == "fleurs"
    assert labels(corpus) == [CHINESE_LABELS, GERMAN_LABELS, *ENGLISH_LABELS]
    assert {(u.corpus, u.licence, u.speaker, u.session) for u in corpus} == {
        ("fleurs", "CC BY 4.0", None, None)
    }
    for utterance in corpus:
        assert utterance.audio.read_bytes() == sound(int(utterance.id[-3:]))
        assert utterance.duration == pytest.approx(0.2)
    plain = load_corpus(own_tree(tmp_path / "plain"))
    assert corpus.fingerprint == plain.fingerprint


def test_a_language_is_loaded_alone_with_the_texts_beside_it(tree, monkeypatch):
    shutil.rmtree(tree / "de_de" / "audio", ignore_errors=True)
    assert labels(load_corpus(tree / "en_us")) == ENGLISH_LABELS
    monkeypatch.chdir(tree / "en_us")
    assert labels(load_corpus(".")) == ENGLISH_LABELS


def test_one_table_is_loaded_by_its_name(tmp_path, cache):
    own = own_tree(own_tree(tmp_path / "own"), split="dev")
    assert len(load_corpus(own / "en_us")) == 6
    assert labels(load_corpus(own / "en_us" / "test.tsv")) == ENGLISH_LABELS
    hub = hub_tree(tmp_path / "hub")
    assert labels(load_corpus(hub / "en_us" / "test" / "0000.parquet")) == ENGLISH_LABELS
    assert labels(load_corpus(hub / "en_us" / "test")) == ENGLISH_LABELS


def test_a_sentence_is_parallel_within_its_split_only(tmp_path, cache):
    root = own_tree(tmp_path / "fleurs")
    (root / "de_de" / "test.tsv").rename(root / "de_de" / "train.tsv")
    (root / "de_de" / "audio" / "test").rename(root / "de_de" / "audio" / "train")
    by_id = {u.id: dict(u.translations) for u in load_corpus(root)}
    assert by_id["deu/train/200"] == {} and by_id["eng/test/100"] == {}
    assert by_id["eng/test/102"] == {"cmn": "一只狗。"}


@pytest.mark.parametrize(
    "name", ["fleurs-test.parquet", "fleurs-test-00000-of-00002.parquet", "test/0000.parquet"]
)
def test_the_hubs_ways_to_name_a_table(tmp_path, cache, name):
    write_parquet(tmp_path / "en_us" / name, "en_us", ENGLISH)
    assert [u.id for u in load_corpus(tmp_path)] == [row[0] for row in ENGLISH_LABELS]


def test_validation_is_called_dev_in_both_layouts(tmp_path, cache):
    path = write_parquet(tmp_path / "en_us" / "validation" / "0000.parquet", "en_us", ENGLISH)
    assert load_corpus(path).utterances[0].id == "eng/dev/100"


def test_the_trees_folder_data_is_looked_into(tmp_path, cache):
    own_tree(tmp_path / "data")
    assert len(load_corpus(tmp_path)) == 5


def test_a_table_alone_says_its_language_itself(tmp_path, cache):
    write_parquet(tmp_path / "some" / "test-00000-of-00001.parquet", "de_de", GERMAN)
    assert labels(load_corpus(tmp_path / "some")) == [(*GERMAN_LABELS[:4], {})]
    path = write_parquet(tmp_path / "no_number.parquet", "en_us", ENGLISH, lang_id=None)
    first = load_corpus(path).utterances[0]
    assert (first.id, first.language) == ("eng/100", "eng")


def test_columns_that_are_not_needed_may_be_missing(tmp_path, cache):
    path = write_parquet(
        tmp_path / "en_us" / "test.parquet", "en_us", ENGLISH, path=None, raw_transcription=None,
        gender=None, lang_id=None, language=None, num_samples=None,
    )  # fmt: skip
    first = load_corpus(path).utterances[0]
    assert (first.id, first.text, first.sex) == ("eng/test/100", "he said yes", None)


def test_rows_that_cannot_be_used_are_left_out_each_with_a_line(tmp_path, cache, monkeypatch):
    audio = [
        {"bytes": None, "path": "100.wav"},
        {"bytes": b"no audio", "path": "101.wav"},
        {"bytes": sound(102), "path": "102.wav"},
        {"bytes": b"x" * 100_000, "path": "103.wav"},
    ]
    monkeypatch.setattr(parquet, "MAX_CLIP_BYTES", 50_000)
    rows = [*ENGLISH, (11, "103.wav", "Long.", "long", "MALE")]
    path = write_parquet(tmp_path / "en_us" / "test.parquet", "en_us", rows, audio=audio)
    corpus = load_corpus(path)
    assert [u.id for u in corpus] == ["eng/test/102"]
    said = "\n".join(corpus.notes)
    assert "test.parquet, row 0: no recording in it" in said and "row 3: 100000 bytes" in said
    assert "left out 2 rows" in said and "101.wav: no audio" in said
    assert load_corpus(path).notes == corpus.notes


def test_bad_rows_of_a_text_table_are_left_out_with_their_line(tmp_path, cache):
    root = tmp_path / "en_us"
    rows = [*tsv_rows(ENGLISH), (1, "../../etc/x.wav", "up"), (2,), (3, "a.wav", *"1234567")]
    put(root / "test.tsv", table([*rows, (4, "gone.wav", "Gone.")]))
    for _, name, *_ in ENGLISH:
        put(root / "audio" / "test" / name, sound())
    corpus = load_corpus(root)
    assert [u.id for u in corpus] == [row[0] for row in ENGLISH_LABELS]
    said = ["line 4: '../../etc/x.wav' is no name", "line 5: '' is no name", "line 6: 9 columns",
            "gone.wav: is missing"]  # fmt: skip
    assert len(corpus.notes) == 4
    for what in said:
        assert sum(what in note for note in corpus.notes) == 1


def test_recordings_that_an_archive_lacks_are_counted(tmp_path, cache):
    root = own_tree(tmp_path / "fleurs")
    shutil.rmtree(root / "en_us" / "audio")
    pack(root / "en_us" / "audio" / "test.tar.gz", {"test/102.wav": sound(102)})
    corpus = load_corpus(root / "en_us")
    assert [u.id for u in corpus] == ["eng/test/102"]
    assert len(corpus.notes) == 1 and "left out 2 rows" in corpus.notes[0]
    assert "(first: 100.wav)" in corpus.notes[0]


def test_a_split_without_recordings_is_said_and_still_translates(tmp_path, cache):
    root = own_tree(tmp_path / "fleurs")
    shutil.rmtree(root / "de_de" / "audio")
    corpus = load_corpus(root)
    assert labels(corpus) == [CHINESE_LABELS, *ENGLISH_LABELS]
    assert any("no such folder, nor test.tar.gz" in note for note in corpus.notes)


def test_a_damaged_table_is_left_out_and_the_others_are_read(tmp_path, cache):
    root = hub_tree(tmp_path / "fleurs")
    bad = root / "de_de" / "test" / "0000.parquet"
    bad.write_bytes(bad.read_bytes()[:-300])
    corpus = load_corpus(root)
    assert {u.language for u in corpus} == {"eng", "cmn"}
    assert len(corpus.notes) == 1 and "damaged or no Parquet table" in corpus.notes[0]


def test_a_table_with_spoilt_audio_gives_the_groups_before_it(tmp_path, cache):
    path = write_parquet(tmp_path / "en_us" / "test.parquet", "en_us", ENGLISH)
    with pyarrow.parquet.ParquetFile(path) as file:
        audio = file.schema_arrow.names.index("audio")
        start = file.metadata.row_group(1).column(audio).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    corpus = load_corpus(path)
    assert [u.id for u in corpus] == ["eng/test/100", "eng/test/101"]
    assert any("test.parquet: damaged" in note for note in corpus.notes)


def test_a_table_of_something_else_is_one_clear_line(tmp_path, cache):
    path = tmp_path / "numbers.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(CorpusError, match="has columns audio, id, transcription") as caught:
        load_corpus(path)
    assert "\n" not in str(caught.value)
    put(tmp_path / "anna" / "1.wav", sound())
    assert [u.id for u in load_corpus(tmp_path)] == ["anna/1"]  # a folder of audio all the same


@pytest.mark.parametrize("tables", ["fleurs/en_us/test.parquet", "fleurs/data/test.parquet"])
def test_without_pyarrow_one_line_says_what_to_install(tmp_path, cache, monkeypatch, tables):
    write_parquet(tmp_path / tables, "en_us", ENGLISH)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for path in (tmp_path / "fleurs", tmp_path / tables):
        with pytest.raises(CorpusError, match="pip install pyarrow") as caught:
            load_corpus(path)
        assert "\n" not in str(caught.value) and "test.parquet" in str(caught.value)


def test_without_pyarrow_tables_beside_a_tree_of_text_only_lack_as_translations(
    tmp_path, cache, monkeypatch
):
    root = own_tree(tmp_path / "fleurs")
    shutil.rmtree(root / "de_de")
    write_parquet(root / "de_de" / "test" / "0000.parquet", "de_de", GERMAN)
    assert labels(load_corpus(root / "en_us")) == ENGLISH_LABELS
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    corpus = load_corpus(root / "en_us")
    assert [dict(u.translations) for u in corpus] == [{}, {}, {"cmn": "一只狗。"}]
    assert len(corpus.notes) == 1 and "pip install pyarrow" in corpus.notes[0]


def test_a_table_is_taken_out_once_and_goes_on_after_a_kill(tmp_path, cache, monkeypatch):
    path = write_parquet(tmp_path / "en_us" / "test.parquet", "en_us", ENGLISH)
    keep, kept = extraction.Extraction.keep, []

    def dying(self, key, name, content):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(key)
        return keep(self, key, name, content)

    monkeypatch.setattr(extraction.Extraction, "keep", dying)
    with pytest.raises(KeyboardInterrupt):
        load_corpus(path)
    monkeypatch.setattr(
        extraction.Extraction,
        "keep",
        lambda self, key, *rest: (kept.append(key), keep(self, key, *rest))[1],
    )
    corpus = load_corpus(path)
    assert kept == ["0", "1", "2"] and len(corpus) == 3
    assert load_corpus(path).fingerprint == corpus.fingerprint and len(kept) == 3


def test_unpacking_is_reported(tmp_path, cache):
    seen = []
    load_corpus(hub_tree(tmp_path), lambda *progress: seen.append(progress))
    assert {label for label, _, _ in seen} == {"unpacking 0000.parquet"}
    assert seen[-1] == ("unpacking 0000.parquet", 3, 3)
