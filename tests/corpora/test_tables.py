import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.corpora import tables
from esrt_privacy.corpora.tables import is_bare_name, read_tsv, split_fields
from esrt_privacy.errors import CorpusError

FIELDS = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters='\\"\t'), max_size=9),
    min_size=2,
    max_size=5,
)


@given(FIELDS)
def test_fields_that_were_escaped_come_back(fields):
    # as get_covost_splits.py writes them; a quote at both ends would be another dialect's
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator=""
    )
    writer.writerow(fields)
    assert split_fields(out.getvalue()) == fields


@given(st.text(max_size=40))
def test_any_line_has_fields(line):
    assert all(isinstance(field, str) for field in split_fields(line))


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("a\tb", ["a", "b"]),
        ("a\t\t", ["a", "", ""]),
        ('"a" said\t"b"', ['"a" said', '"b"']),
        ('"He said ""no"""\tx', ['He said "no"', "x"]),
        ('""a" b""\tx', ['""a" b""', "x"]),
        ("a\\\tb\tc", ["a\tb", "c"]),
        ("a\\\\\tb", ["a\\", "b"]),
        ("C:\\new\tb", ["C:\\new", "b"]),
        ('\\"a\\"\tb\\', ['"a"', "b\\"]),
    ],
)
def test_the_ways_in_which_quotes_are_written(line, fields):
    assert split_fields(line) == fields


def test_bad_lines_are_left_out_with_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 30)
    path = tmp_path / "t.tsv"
    path.write_bytes(
        b"\xef\xbb\xbfid\ttext\r\n1\tone\r\n2\ttwo\tmore\n3\n\n4\t\xff\n5\t"
        + b"x" * 90
        + b"\n6\t \n"
    )
    notes: list[str] = []
    rows = [row.columns for row in read_tsv(path, notes)]
    assert rows == [{"id": "1", "text": "one"}, {"id": "3", "text": ""}, {"id": "6", "text": " "}]
    said = ["line 3: 3 columns where there are 2", "line 6: not UTF-8", "line 7: longer than 30"]
    assert len(notes) == 3
    assert all(what in note for what, note in zip(said, notes, strict=True))


def test_a_table_that_is_missing_is_one_clear_line(tmp_path):
    with pytest.raises(CorpusError, match=r"gone\.tsv: cannot be read"):
        list(read_tsv(tmp_path / "gone.tsv", []))


@pytest.mark.parametrize("name", ["", ".", "..", "../a.mp3", "/a.mp3", "a/b.mp3", "a\\b", "a\0b"])
def test_a_path_is_no_bare_name(name):
    assert not is_bare_name(name)
    assert is_bare_name("a..b.mp3")
