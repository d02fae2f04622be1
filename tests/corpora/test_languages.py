from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.corpora.fleurs import CONFIGURATIONS
from esrt_privacy.corpora.iso639 import iso639_3
from esrt_privacy.corpora.languages import PAPER_LANGUAGES, RESOURCE_TIERS, by_code, by_name


def test_the_paper_has_45_languages_each_with_its_row():
    assert len(PAPER_LANGUAGES) == 45
    assert Counter(language.resource for language in PAPER_LANGUAGES) == {
        "high": 15,
        "medium": 18,
        "low": 12,
    }
    assert {language.resource for language in PAPER_LANGUAGES} == set(RESOURCE_TIERS)
    assert sum(language.train_hours for language in PAPER_LANGUAGES) == pytest.approx(398.5)
    english = by_code("eng")
    assert english is not None
    assert (english.name, english.family, english.resource) == ("English", "Indo-European", "high")
    assert english.train_hours == 7.5


def test_a_language_is_found_by_code_tag_or_name():
    for language in PAPER_LANGUAGES:
        assert by_code(language.code) is language and by_name(language.name.upper()) is language
    assert by_code("cmn_hans_cn") == by_code("zh-CN") == by_name(" chinese ")
    assert by_code("fil_ph") == by_name("Tagalog")
    assert by_code("isl") is None and by_code("") is None and by_name("Icelandic") is None


def test_the_paper_translates_languages_of_fleurs_only():
    fleurs = {iso639_3(name) for name in CONFIGURATIONS}
    assert len(CONFIGURATIONS) == len(fleurs) == 102 and None not in fleurs
    assert {language.code for language in PAPER_LANGUAGES} <= fleurs


def test_fleurs_configurations_are_numbered_as_the_hub_does():
    # from the card of google/fleurs
    named = {0: "af_za", 4: "ast_es", 13: "cmn_hans_cn", 19: "en_us", 36: "id_id"}
    assert {number: CONFIGURATIONS[number] for number in named} == named


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "eng"), ("en_us", "eng"), ("es_419", "spa"), ("sv-SE", "swe"), ("zh-CN", "cmn"),
        ("zh-TW", "cmn"), ("zh-HK", "yue"), ("yue_hant_hk", "yue"), ("az_az", "azj"),
        ("nn-NO", "nno"), ("nb_no", "nob"), ("sw", "swh"), ("or_in", "ory"), ("ne_np", "npi"),
        ("rm-vallader", "roh"), ("ga-IE", "gle"), ("hsb", "hsb"), ("fa", "fas"), ("ms_my", "msa"),
        ("EN", "eng"), ("", None), ("xx", None), ("clips", None), ("12", None), ("1a2", None),
    ],
)  # fmt: skip
def test_tags_become_iso_639_3(tag, code):
    assert iso639_3(tag) == code


@given(st.text(max_size=12))
def test_any_text_has_a_code_of_three_letters_or_none(text):
    code = iso639_3(text)
    assert code is None or (len(code) == 3 and code.isascii() and code.islower())
