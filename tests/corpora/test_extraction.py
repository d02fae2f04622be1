"""What lies in archives and tables: taken out once, whole, and never where it should not go."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esrt_privacy.corpora import archive, extraction
from esrt_privacy.corpora.archive import unpack
from esrt_privacy.corpora.extraction import Extraction
from esrt_privacy.errors import CorpusError
from tests.corpora.layouts import pack, put, sound


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.TGZ", "w:gz"), ("a.tar", "w")]
)
def test_members_lie_in_the_cache_under_the_hash_of_their_bytes(tmp_path, cache, name, mode):
    members = {"x/clips/1.mp3": b"one", "./x/clips/2.wav": b"2" * 512, "x/t.tsv": b"a\tb\n",
               "x/README.txt": b"not taken", "x/clips/._1.mp3": b"a Mac's"}  # fmt: skip
    found = unpack(pack(tmp_path / name, members, mode))
    assert found.notes == []
    assert {key: path.read_bytes() for key, path in found.files.items()} == {
        "x/clips/1.mp3": b"one", "x/clips/2.wav": b"2" * 512, "x/t.tsv": b"a\tb\n"
    }  # fmt: skip
    for path in found.files.values():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name.startswith(digest) and path.is_relative_to(cache)


def test_nothing_is_written_outside_the_cache(tmp_path, cache):
    members = {
        "../up.wav": b"1",
        "a/../../up.wav": b"2",
        str(tmp_path / "absolute.wav"): b"3",
        "link.wav": special(tarfile.SYMTYPE, "/etc/passwd"),
        "hard.wav": special(tarfile.LNKTYPE, "good.wav"),
        "device.wav": special(tarfile.CHRTYPE),
        "empty.wav": b"",
        "good.wav": b"good",
    }
    source = pack(tmp_path / "in" / "bad.tar.gz", members)
    found = unpack(source)
    assert set(found.files) == {"good.wav"}
    assert files_below(tmp_path) == {source}
    assert len(found.notes) == 7 and all("bad.tar.gz, " in note for note in found.notes)
    assert sum("leads out of the archive" in note for note in found.notes) == 3
    assert sum("a link or a device" in note for note in found.notes) == 3
    assert unpack(source) == found  # the journal says it again


def test_a_finished_archive_is_not_opened_again(tmp_path, cache, monkeypatch):
    source = pack(tmp_path / "a.tar.gz", {"1.wav": b"one"})
    found = unpack(source)
    monkeypatch.setattr(archive, "_members", lambda stream: pytest.fail("opened"))
    assert unpack(source) == found


def test_a_replaced_archive_is_another_one(tmp_path, cache):
    source = pack(tmp_path / "a.tar.gz", {"1.wav": b"one"})
    unpack(source)
    pack(source, {"1.wav": b"another", "2.wav": b"two"})
    assert {k: p.read_bytes() for k, p in unpack(source).files.items()} == {
        "1.wav": b"another",
        "2.wav": b"two",
    }


def test_what_two_archives_share_is_there_once(tmp_path, cache):
    first = unpack(pack(tmp_path / "a.tar.gz", {"a/1.wav": b"same"}))
    second = unpack(pack(tmp_path / "b.tar.gz", {"b/1.wav": b"same"}))
    assert list(first.files.values()) == list(second.files.values())


def test_a_killed_run_goes_on_where_it_was(tmp_path, cache, monkeypatch):
    members = {f"{n}.wav": sound(n) for n in range(4)}
    source = pack(tmp_path / "a.tar.gz", members)
    keep, kept = Extraction.keep, []

    def dying(self, key, name, content):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(key)
        return keep(self, key, name, content)

    monkeypatch.setattr(Extraction, "keep", dying)
    with pytest.raises(KeyboardInterrupt):
        unpack(source)
    monkeypatch.setattr(
        Extraction, "keep", lambda self, key, *rest: (kept.append(key), keep(self, key, *rest))[1]
    )
    (journal,) = (cache / "recordings" / "sources").iterdir()
    journal.write_bytes(journal.read_bytes() + b'{"key": "torn')
    found = unpack(source)
    assert kept == list(members) == list(found.files)
    assert {key: path.read_bytes() for key, path in found.files.items()} == members
    assert not list(cache.rglob(".incoming-*"))


def test_what_was_cleared_from_the_cache_is_taken_out_again(tmp_path, cache):
    source = pack(tmp_path / "a.tar.gz", {"1.wav": b"one", "2.wav": b"two"})
    found = unpack(source)
    found.files["1.wav"].unlink()
    found.files["2.wav"].write_bytes(b"")
    again = unpack(source)
    assert again == found and again.files["1.wav"].read_bytes() == b"one"
    assert again.files["2.wav"].read_bytes() == b"two"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_archive_gives_what_lies_before_the_damage(tmp_path, cache, zipped):
    members = {f"{n}.wav": sound(n) for n in range(6)}
    source = pack(tmp_path / f"a.tar{'.gz' * zipped}", members, "w:gz" if zipped else "w")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    found = unpack(source)
    assert 1 <= len(found.files) < 6
    assert all(path.read_bytes() == members[key] for key, path in found.files.items())
    assert len(found.notes) == 1 and "a.tar" in found.notes[0]
    assert "damaged or truncated" in found.notes[0] and unpack(source) == found


def test_a_spoilt_header_is_not_taken_for_the_end(tmp_path, cache):
    source = pack(tmp_path / "a.tar", {"1.wav": b"1", "2.wav": b"2", "3.wav": b"3"}, "w")
    content = bytearray(source.read_bytes())
    content[1024:1030] = b"\xff" * 6
    source.write_bytes(content)
    found = unpack(source)
    assert set(found.files) == {"1.wav"} and "damaged" in found.notes[0]


def test_an_archive_made_to_burst_is_not_read_to_its_end(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archive, "_SLACK_BYTES", 1_000_000)
    source = pack(tmp_path / "a.tar.gz", {"1.wav": b"one", "2.wav": bytes(50_000_000)})
    found = unpack(source)
    assert set(found.files) == {"1.wav"}
    assert "more than 200 times its size" in found.notes[0]
    assert sum(path.stat().st_size for path in files_below(cache)) < 1_000_000


def test_a_member_larger_than_a_recording_can_be_is_passed_by(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archive, "MAX_CLIP_BYTES", 10)
    found = unpack(pack(tmp_path / "a.tar.gz", {"1.wav": b"x" * 11, "2.wav": b"x" * 10}))
    assert set(found.files) == {"2.wav"}
    assert "1.wav: 11 bytes, where 1 to 10 are read" in found.notes[0]


def test_a_long_name_cannot_fill_the_memory(tmp_path, cache):
    header = special(tarfile.GNUTYPE_LONGNAME)
    header.name, header.size = "././@LongLink", 8 * 1024**3
    source = put(tmp_path / "a.tar", header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    found = unpack(source)
    assert not found.files and "a header of 8589934592 bytes" in found.notes[0]


def test_a_negative_size_cannot_make_it_run_in_circles(tmp_path, cache):
    header = special(tarfile.REGTYPE)
    header.name = "1.wav"
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + (-1024).to_bytes(2, "big", signed=True)
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]
    found = unpack(put(tmp_path / "a.tar", bytes(block) + bytes(1024)))
    assert not found.files and found.notes


def test_notes_of_a_hostile_archive_come_to_an_end(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(extraction, "MAX_NOTES", 3)
    found = unpack(pack(tmp_path / "a.tar.gz", {f"../{n}.wav": b"x" for n in range(9)}))
    assert len(found.notes) == 3


@given(st.binary(max_size=600), st.integers(0, 4000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_an_archive_or_damage(tmp_path, cache, junk, place):
    source = pack(tmp_path / "a.tar", {f"{n}.wav": b"x" * 700 for n in range(3)}, "w")
    content = bytearray(source.read_bytes())
    content[place : place + len(junk)] = junk
    source.write_bytes(content)
    found = unpack(source)
    assert all(path.is_relative_to(cache.resolve()) for path in found.files.values())


def test_a_journal_that_was_tampered_with_names_no_file_elsewhere(tmp_path, cache):
    source = put(tmp_path / "a.tar.gz", b"x")
    with Extraction(source) as taken:
        taken.keep("k", "../../../etc/passwd", io.BytesIO(b"content"))
    assert taken.files["k"].is_relative_to(cache.resolve())
    (journal,) = (cache / "recordings" / "sources").iterdir()
    rows = [
        {"key": "a", "name": "x", "sha256": "../../../../etc", "bytes": 1},
        {"key": "b", "name": "/etc/passwd", "sha256": "a" * 64, "bytes": 1},
        {"key": "c"},
        [1],
        {"complete": "yes"},
    ]
    journal.write_text(journal.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    again = Extraction(source)
    assert set(again.files) == {"k"} and not again.complete


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path, cache):
    source = pack(tmp_path / "a.tar.gz", {"1.wav": b"one"})
    (cache / "recordings").touch()
    with pytest.raises(CorpusError, match="ESRT_PRIVACY_CACHE") as caught:
        unpack(source)
    assert "\n" not in str(caught.value)


def test_progress_reaches_its_end(tmp_path, cache):
    seen = []
    source = pack(tmp_path / "a.tar.gz", {f"{n}.wav": sound(n) for n in range(3)})
    unpack(source, lambda label, done, total: seen.append((label, done, total)))
    size = source.stat().st_size
    assert {label for label, _, _ in seen} == {"unpacking a.tar.gz"}
    assert seen[-1][1:] == (size, size) and all(done <= total for _, done, total in seen)
