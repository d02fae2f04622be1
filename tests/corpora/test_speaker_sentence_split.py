import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy.corpora import ROLES, Corpus, Split, Utterance, make_split
from esrt_privacy.corpora.split import normalised_sentence, sentence_key, speaker_key
from esrt_privacy.errors import CorpusError


def corpus_of(pairs, name="c") -> Corpus:
    return Corpus(
        name,
        tuple(
            Utterance(str(i), Path("x"), speaker=speaker, text=text, corpus=name)
            for i, (speaker, text) in enumerate(pairs)
        ),
    )


speakers = st.none() | st.sampled_from([f"s{i}" for i in range(12)])
texts = st.none() | st.sampled_from(["Yes", "yes!", "No", "GO", "", "?!", "Straße", "STRASSE"])


@settings(max_examples=150, deadline=None)
@given(pairs=st.lists(st.tuples(speakers, texts), max_size=40), seed=st.integers(0, 1_000))
def test_no_two_roles_share_a_speaker_or_a_sentence(pairs, seed):
    corpus = corpus_of(pairs)
    split = make_split([corpus], seed)
    voices, sentences = {}, {}
    for role in ROLES:
        for u in split.select(corpus, role):
            if u.speaker is not None:
                assert voices.setdefault(u.speaker, role) == role
            if u.text and normalised_sentence(u.text):
                assert sentences.setdefault(normalised_sentence(u.text), role) == role


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(speakers, texts), max_size=30), seed=st.integers(0, 1_000))
def test_a_split_depends_on_the_seed_and_not_on_the_order(pairs, seed):
    corpus = Corpus("c", tuple(u for u in corpus_of(pairs) if u.speaker is not None))
    backwards = Corpus("c", corpus.utterances[::-1])
    assert make_split(corpus, seed) == make_split([backwards], seed)


def test_proportions_are_met_by_whole_speakers():
    corpus = corpus_of([(f"s{i}", None) for i in range(50)])
    counts = [len(make_split(corpus, 3).select(corpus, role)) for role in ROLES]
    assert counts == [20, 15, 5, 10]
    two_roles = make_split(corpus, 3, {"attack-train": 3, "test": 1})
    assert [len(two_roles.select(corpus, role)) for role in ROLES] == [0, 38, 0, 12] or [
        len(two_roles.select(corpus, role)) for role in ROLES
    ] == [0, 37, 0, 13]


def test_a_sentence_spoken_within_one_role_costs_nothing():
    corpus = corpus_of([(f"s{i}", f"sentence number {i}") for i in range(40)])
    split = make_split(corpus, 0)
    assert len(split.select(corpus, *ROLES)) == 40


def test_a_shared_sentence_goes_to_one_role_that_speaks_it():
    corpus = corpus_of([(f"s{i}", "Yes.") for i in range(40)])
    split = make_split(corpus, 0)
    (role,) = split.sentences.values()
    assert {split.role(u) for u in corpus} == {role, None}
    assert len({make_split(corpus, seed).role(corpus.utterances[0]) for seed in range(40)}) > 2


def test_seeds_and_corpora_give_other_roles():
    corpus = corpus_of([(f"s{i}", None) for i in range(30)])
    assert make_split(corpus, 0).speakers != make_split(corpus, 1).speakers
    other = corpus_of([("s1", None)], name="d")
    assert speaker_key(corpus.utterances[1]) != speaker_key(other.utterances[0])


def test_unknown_speakers_go_by_session_then_recording():
    def key(**labels):
        return speaker_key(Utterance(**{"id": "a", "audio": Path("x"), **labels}))

    assert key(session="1", id="a") == key(session="1", id="b") != key(session="2")
    assert key(id="a#1", end=15.0) == key(id="a#2", end=30.0, start=15.0) == key(id="a")
    assert key(speaker="1") != key(session="1") != key(id="1")


def test_strangers_have_no_role():
    split = make_split(corpus_of([("a", "Yes"), ("b", "No")]), 0)
    stranger, new_sentence = corpus_of([("z", "Yes"), ("a", "Maybe")])
    assert split.role(stranger) is None and split.role(new_sentence) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hello, World 2!", "hello world2", True),
        ("Straße", "STRASSE", True),
        ("ﬁne", "FINE", True),
        ("Cafe\u0301", "CAFÉ", True),
        ("你好。", "你 好", True),
        ("कि", "की", False),
        ("Yes", "No", False),
    ],
)
def test_sentences_are_compared_by_letters_and_digits(one, other, same):
    assert (sentence_key(one) == sentence_key(other)) is same


def test_text_without_letters_is_no_sentence():
    assert sentence_key("?! …") is None and sentence_key(None) is None


def test_file_comes_back_equal_and_holds_no_names(tmp_path):
    split = make_split(corpus_of([("Anna", "A secret"), ("Bert", "Yes")]), 5)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    text = (tmp_path / "split.json").read_text()
    assert "Anna" not in text and "secret" not in text
    split.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == text


def test_a_changed_split_file_is_refused(tmp_path):
    path = tmp_path / "split.json"
    make_split(corpus_of([("a", "x"), ("b", "y")]), 5, {"test": 1}).save(path)
    body = json.loads(path.read_text())
    body["speakers"][next(iter(body["speakers"]))] = "attack-train"
    path.write_text(json.dumps(body))
    with pytest.raises(CorpusError, match=r"split\.json: was changed"):
        Split.load(path)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": "esrt-privacy split 1", "seed": 1, "speakers": []}',
     '{"format": "esrt-privacy split 1", "seed": 1, "speakers": {"a": []}, "sentences": {}}',
     "\ud800".encode("utf-8", "surrogatepass"), "[" * 100_000],
)  # fmt: skip
def test_what_is_no_split_file_is_one_clear_line(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CorpusError, match=r"split\.json: not a split file"):
        Split.load(path)
    with pytest.raises(CorpusError, match="cannot be read"):
        Split.load(tmp_path / "gone.json")


@pytest.mark.parametrize("weights", [{}, {"test": 0}, {"test": -1}, {"test": float("nan")},
                                     {"nobody": 1}])  # fmt: skip
def test_impossible_proportions_are_refused(weights):
    with pytest.raises(CorpusError):
        make_split(corpus_of([("a", None)]), 0, weights)
