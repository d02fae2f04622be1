"""Trial lists: drawn from a seed, written, read back, and refused in one line where they do not fit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.attacks.trials import draw_trials, read_trials
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import AttackError
from tests.attacks.planted import people


def lines(trials):
    return [(t.speaker, t.utterance, t.target) for t in trials.trials]


def test_enrolment_and_test_share_no_session_and_no_utterance():
    corpus = people(6, 8)
    trials = draw_trials(corpus, 0, "mixed")
    session = {u.id: u.session for u in corpus}
    for speaker, ids in trials.enrolment.items():
        assert 1 <= len(ids) <= 4
        tested = {t.utterance for t in trials.trials if t.target and t.speaker == speaker}
        assert tested
        assert not {session[i] for i in ids} & {session[i] for i in tested}


def test_windows_of_one_recording_are_never_on_both_sides():
    rows = [
        replace(u, id=f"{u.speaker}-r{n % 3}#{n}", session=None, start=float(n), end=float(n + 1))
        for u, n in ((u, int(u.id.rpartition("-")[2])) for u in people(3, 6))
    ]
    trials = draw_trials(rows, 0, "mixed")
    recording = {u.id: u.recording for u in rows}
    for t in trials.trials:
        assert recording[t.utterance] not in {recording[i] for i in trials.enrolment[t.speaker]}


def test_same_sex_trials_keep_to_one_sex_and_mixed_ones_do_not():
    corpus = people(8, 4)
    sex = {u.speaker: u.sex for u in corpus}
    by_id = {u.id: u for u in corpus}
    same, mixed = (draw_trials(corpus, 0, pairs) for pairs in ("same sex", "mixed"))
    assert all(sex[t.speaker] == by_id[t.utterance].sex for t in same.trials)
    assert any(sex[t.speaker] != by_id[t.utterance].sex for t in mixed.trials)
    assert set(lines(same)) < set(lines(mixed))


def test_the_seed_decides_and_the_order_does_not():
    corpus = people(6, 6)
    turned = Corpus(corpus.name, corpus.utterances[::-1])
    one = draw_trials(corpus, 1, "mixed")
    assert one.fingerprint == draw_trials(turned, 1, "mixed").fingerprint
    assert one.fingerprint != draw_trials(corpus, 2, "mixed").fingerprint


def test_a_speaker_with_one_recording_is_left_out_with_a_note():
    corpus = people(3, 3)
    alone = replace(corpus.utterances[0], id="alone", speaker="alone")
    nobody = replace(corpus.utterances[0], id="nobody", speaker=None)
    trials = draw_trials((*corpus, alone, nobody), 0, "mixed")
    assert "alone" not in trials.enrolment
    assert any("one recording only" in note for note in trials.notes)
    assert any("unknown" in note for note in trials.notes)


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_any_name_survives_a_file(tmp_path_factory, speaker, other):
    if speaker == other:
        other += "x"
    rows = [
        replace(u, id=f"{name}/{n} {name}", speaker=name)
        for name in (speaker, other)
        for n, u in enumerate(people(1, 4))
    ]
    corpus = Corpus("named", tuple(rows))
    trials = draw_trials(corpus, 0, "mixed")
    folder = tmp_path_factory.mktemp("lists")
    trials.save(folder)
    read = read_trials(folder / "trials", corpus, folder / "enrolment")
    assert lines(read) == lines(trials)
    assert dict(read.enrolment) == dict(trials.enrolment)


def test_without_an_enrolment_file_the_other_utterances_enrol(tmp_path):
    corpus = people(2, 3)
    path = tmp_path / "trials"
    path.write_text("planted0 planted-0-0 target\nplanted0 planted-1-0 nontarget\n")
    read = read_trials(path, corpus)
    assert read.enrolment == {"planted0": ("planted-0-1", "planted-0-2")}
    assert read.pairs == "mixed"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("planted0 nothing-0 target", "no utterance nothing-0"),
        ("stranger planted-0-0 nontarget", "no speaker stranger"),
        ("planted0 planted-0-0", "2 columns"),
        ("planted0 planted-0-0 yes", "write target or nontarget"),
        ("planted0 planted-0-0 nontarget", "is spoken by planted0"),
        ("planted0 planted-1-0 target", "is spoken by planted1"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, line, said):
    path = tmp_path / "trials"
    path.write_text(f"planted0 planted-0-1 target\n{line}\n")
    with pytest.raises(AttackError, match=said) as error:
        read_trials(path, people(2, 3))
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value)


def test_lists_that_cannot_be_run_are_refused(tmp_path):
    corpus = people(2, 2)
    path, enrolment = tmp_path / "trials", tmp_path / "enrolment"
    path.write_text("")
    with pytest.raises(AttackError, match="no trials"):
        read_trials(path, corpus)
    path.write_text("planted0 planted-0-0 target\n" * 2)
    with pytest.raises(AttackError, match="stands in the list already"):
        read_trials(path, corpus)
    path.write_text("planted0 planted-0-0 target\nplanted0 planted-0-1 target\n")
    with pytest.raises(AttackError, match="nothing to enrol"):
        read_trials(path, corpus)
    enrolment.write_text("planted0 planted-0-0\n")
    with pytest.raises(AttackError, match="enrolled and tested"):
        read_trials(path, corpus, enrolment)
    enrolment.write_text("planted0 planted-1-0\n")
    with pytest.raises(AttackError, match="another speaker"):
        read_trials(path, corpus, enrolment)
