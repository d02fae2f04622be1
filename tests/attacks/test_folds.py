"""Cross-fitting: nobody is answered for by an attacker that met them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.attacks.folds import make_folds
from esrt_privacy.corpora import Corpus
from esrt_privacy.corpora.split import sentence_key, speaker_key
from esrt_privacy.errors import AttackError
from tests.attacks.planted import people


@given(
    speakers=st.integers(2, 12),
    each=st.integers(1, 4),
    count=st.integers(1, 6),
    seed=st.integers(0, 5),
)
def test_every_utterance_is_tested_once_by_a_stranger(speakers, each, count, seed):
    corpus = people(speakers, each)
    others = people(5, 2, seed=1, name="others")
    folds = make_folds(corpus, others, count, seed)
    assert len(folds) == min(count, speakers)
    assert sorted(u.id for fold in folds for u in fold.test) == sorted(u.id for u in corpus)
    for fold in folds:
        roles = [
            {speaker_key(u) for u in part} for part in (fold.training, fold.development, fold.test)
        ]
        assert sum(map(len, roles)) == len(set.union(*roles))
        assert roles[0]
        said = {sentence_key(u.text) for u in fold.test}
        assert not said & {sentence_key(u.text) for u in (*fold.training, *fold.development)}


def test_the_order_of_the_utterances_does_not_matter():
    corpus = people(9, 3)
    turned = Corpus(corpus.name, corpus.utterances[::-1])

    def parts(of):
        return [
            {u.id for u in part}
            for fold in make_folds(of, None, 3, 7)
            for part in (fold.training, fold.development, fold.test)
        ]

    assert parts(corpus) == parts(turned)
    assert parts(corpus) != [
        {u.id for u in part}
        for fold in make_folds(corpus, None, 3, 8)
        for part in (fold.training, fold.development, fold.test)
    ]


def test_each_fold_holds_both_sexes():
    for fold in make_folds(people(16, 2), None, 4, 0):
        assert {u.sex for u in fold.test} == {"F", "M"}


def test_sentences_that_everybody_says_stay_in_with_a_note():
    corpus = people(6, 2)
    corpus = replace(corpus, utterances=tuple(replace(u, text="the same") for u in corpus))
    for fold in make_folds(corpus, None, 2, 0):
        assert fold.training
        assert "say a sentence of the test part" in fold.notes[0]


def test_the_test_speaker_is_left_out_of_a_training_corpus_that_holds_them():
    corpus = people(6, 2)
    (fold,) = make_folds(corpus.select(speaker="planted0"), corpus, 5, 0)
    assert "planted0" not in {u.speaker for u in (*fold.training, *fold.development)}


def test_one_speaker_alone_is_an_error_of_one_line():
    with pytest.raises(AttackError, match="one speaker and no training corpus") as error:
        make_folds(people(1, 4), None, 5, 0)
    assert "\n" not in str(error.value)


def test_another_unit_can_be_kept_apart():
    corpus = people(4, 4)
    for fold in make_folds(corpus, None, 3, 0, unit=lambda u: str(u.language)):
        assert not {u.language for u in fold.test} & {u.language for u in fold.training}
