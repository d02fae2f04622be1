import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esrt_privacy.corpora import load_corpus, tables
from esrt_privacy.errors import CorpusError


@pytest.fixture
def rows(tmp_path):
    def written(*lines, name="manifest.jsonl"):
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / name).write_text("\n".join(text) + "\n", encoding="utf-8")
        return tmp_path / name

    return written


def test_columns_become_labels_and_paths_start_at_the_manifest(rows, write):
    write("clips/a.flac", 1.5)
    row = {"audio": "clips/a.flac", "id": "a", "corpus": "c", "speaker": "s", "session": 7,
           "language": "eng", "sex": "F", "text": "Yes.", "duration": 99, "licence": "CC0",
           "age": 31, "accent": "Leeds", "emotion": " calm ",
           "translations": {"deu": "Ja."}, "unknown column": [1]}  # fmt: skip
    path = rows(row)
    corpus = load_corpus(path.parent)
    (u,) = corpus
    assert corpus.notes == ()
    assert (u.id, u.corpus, u.speaker, u.session, u.language) == ("a", "c", "s", "7", "eng")
    assert (u.sex, u.text, u.licence, dict(u.translations)) == ("F", "Yes.", "CC0", {"deu": "Ja."})
    assert (u.age, u.accent, u.emotion) == ("31", "Leeds", "calm")
    assert u.duration == 1.5  # measured, not believed
    assert load_corpus(path).fingerprint == corpus.fingerprint


def test_absent_labels_are_unknown_and_the_file_stem_is_the_id(rows, write):
    path = write("a.flac")
    (u,) = load_corpus(rows({"audio": str(path)}))
    assert u.id == "a"
    assert (u.speaker, u.session, u.language, u.sex, u.text) == (None,) * 5


def test_each_bad_row_is_left_out_with_file_and_line(rows, write):
    for name in "abc":
        write(f"{name}.flac")
    path = rows(
        {"audio": "a.flac", "id": "a"},
        {"id": "x"},
        "{not json",
        "",
        "[1, 2]",
        {"audio": "b.flac", "id": "a"},
        {"audio": "c.flac", "speaker": {"name": "x"}},
        {"audio": 5},
        {"audio": "gone.flac"},
        {"audio": "b.flac", "id": "b"},
    )
    corpus = load_corpus(path)
    assert [u.id for u in corpus] == ["a", "b"]
    said = [
        ("line 2", "no column audio"), ("line 3", "not valid JSON"), ("line 5", "not a JSON obj"),
        ("line 6", "id a is taken"), ("line 7", "column speaker"), ("line 8", "audio is not text"),
    ]  # fmt: skip
    for note, (line, why) in zip(corpus.notes, said, strict=False):
        assert f"manifest.jsonl, {line}: " in note and why in note
    assert "gone.flac: is missing" in corpus.notes[6] and len(corpus.notes) == 7


def test_esrt_list_merges_the_translations_of_one_recording(rows, write):
    write("1.wav")
    write("2.wav", seed=1)
    common = {"id": 1, "audio": "1.wav", "src": "eng", "asr": "Good day"}
    path = rows(
        {**common, "tgt": "deu", "s2tt": "Guten Tag"},
        {"id": 2, "audio": "2.wav", "src": "eng", "tgt": "deu", "asr": "Thanks", "s2tt": "Danke"},
        {**common, "tgt": "fra", "s2tt": "Bonjour"},
        {**common, "tgt": "fra", "s2tt": "Salut"},
        {**common, "asr": "Other", "tgt": "spa", "s2tt": "Otro"},
        name="test.jsonl",
    )
    corpus = load_corpus(path)
    first, second = corpus
    assert corpus.name == "test"
    assert (first.id, first.language, first.text) == ("1", "eng", "Good day")
    assert dict(first.translations) == {"deu": "Guten Tag", "fra": "Bonjour"}
    assert dict(second.translations) == {"deu": "Danke"}
    assert "line 4: no new tgt" in corpus.notes[0] and "line 5: src or asr" in corpus.notes[1]


def test_esrt_ids_that_number_sentences_keep_every_recording(rows, write):
    row = {"id": 7, "src": "eng", "tgt": "deu", "asr": "Hi", "s2tt": "Hallo"}
    path = rows({**row, "audio": write("x.wav").name}, {**row, "audio": write("y.wav").name})
    corpus = load_corpus(path)
    assert [u.id for u in corpus] == ["7", "7@y"] and corpus.notes == ()


def test_byte_order_mark_and_wrong_encoding(tmp_path, write):
    write("a.flac")
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"audio": "a.flac"}\n{"audio": "\xff.flac"}\n')
    corpus = load_corpus(path)
    assert len(corpus) == 1 and "line 2: not valid JSON" in corpus.notes[0]


def test_an_endless_line_is_left_out_without_being_held(tmp_path, write, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 100)
    write("a.flac")
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"audio": "b" * 1_000}) + '\n{"audio": "a.flac"}\n')
    corpus = load_corpus(path)
    assert [u.id for u in corpus] == ["a"] and "line 1: longer than" in corpus.notes[0]


def test_nothing_left_is_an_error_that_says_the_first_reason(rows):
    with pytest.raises(CorpusError, match=r"no usable recording.*no column audio"):
        load_corpus(rows({"id": "x"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
columns = st.sampled_from(
    ["audio", "id", "speaker", "session", "text", "translations", "src", "tgt", "asr", "s2tt"]
)
any_row = st.dictionaries(
    columns, json_values | st.sampled_from(["a.flac", "b.flac", "a", "eng", "\ud800", "a\0b"])
)
any_line = st.binary(max_size=30) | any_row.map(lambda row: json.dumps(row).encode())


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(any_line, max_size=8))
def test_no_manifest_crashes_and_no_row_is_lost_unsaid(tmp_path, write, lines):
    if not (tmp_path / "b.flac").exists():
        write("a.flac", 0.1)
        write("b.flac", 0.1, seed=1)
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        corpus = load_corpus(path)
    except CorpusError as error:
        assert "\n" not in str(error)
        return
    assert len({u.id for u in corpus}) == len(corpus) > 0
    assert all("\n" not in note and note.encode() for note in corpus.notes)
    rows = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    merged = sum(max(0, len(u.translations) - 1) for u in corpus)
    assert len(corpus) + len(corpus.notes) + merged >= len(rows)
    assert len(corpus.fingerprint) == 64
