"""Language tags: `<|eng|>`, `<|cmn|>` … in the places of tokens that an LLM's vocabulary does not use.

ESRT names the spoken and the wanted language by one token each, for the 102 languages of FLEURS. No row is added to
the embedding: `<unused…>` tokens are renamed, and every other token keeps its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from esrt_privacy.corpora.iso639 import iso639_3
from esrt_privacy.corpora.languages import PAPER_LANGUAGES, by_name
from esrt_privacy.errors import LanguageError, SystemUnavailable, shown

# FLEURS' own names of its configurations, without their regions (Conneau et al. 2022, arXiv:2205.12446).
_FLEURS = """
    af am ar as ast az be bg bn bs ca ceb ckb cmn cs cy da de el en es et fa ff fi fil fr ga gl gu ha he hi hr hu hy
    id ig is it ja jv ka kam kea kk km kn ko ky lb lg ln lo lt luo lv mi mk ml mn mr ms mt my nb ne nl nso ny oc om or
    pa pl ps pt ro ru sd sk sl sn so sr sv sw ta te tg th tr uk umb ur uz vi wo xh yo yue zu
"""
FLEURS_LANGUAGES: tuple[str, ...] = tuple(
    sorted(code for name in _FLEURS.split() if (code := iso639_3(name)))
)
_KNOWN = frozenset(FLEURS_LANGUAGES)
_TAG = re.compile(r"<\|([a-z]{3})\|>")
_UNUSED = re.compile(r"<unused(\d+)>")


def tag(code: str) -> str:
    """`eng` -> `<|eng|>`."""
    return f"<|{code}|>"


def language_of(text: str) -> str | None:
    """The language that a tag names, None for any other text."""
    found = _TAG.fullmatch(text)
    return found[1] if found and found[1] in _KNOWN else None


def require_language(text: str) -> str:
    """The ISO 639-3 code of a language given as code, BCP 47 tag (`de`, `zh-CN`) or English name.

    Raises LanguageError with the nearest names for one that FLEURS, and so the model, does not have.
    """
    wanted = text.strip()
    named = by_name(wanted)
    code = named.code if named else iso639_3(wanted)
    if code in _KNOWN:
        return str(code)
    names = {language.name.lower(): language.code for language in PAPER_LANGUAGES}
    near = get_close_matches(wanted.lower(), [*names, *FLEURS_LANGUAGES], n=3, cutoff=0.5)
    codes = list(dict.fromkeys(names.get(name, name) for name in near))
    hint = f"; near it: {', '.join(codes)}" if codes else ""
    raise LanguageError(
        f"unknown language '{shown(text, 40)}': give an ISO 639-3 code of FLEURS, such as eng or deu{hint}"
    )


@dataclass(frozen=True)
class Tags:
    """Where the tags stand in an LLM's vocabulary."""

    ids: Mapping[str, int]  # by language

    def id(self, language: str) -> int:
        """The token id of a language's tag. Raises LanguageError for an unknown language."""
        return self.ids[require_language(language)]

    @property
    def all_ids(self) -> tuple[int, ...]:
        """Every tag's id, in ascending order."""
        return tuple(sorted(self.ids.values()))


def take_over(tokenizer: Any) -> Tags:
    """Rename 102 unused tokens of a fast tokenizer, in place, to the languages' tags.

    The first 102 `<unusedN>` by N, for the languages in alphabetical order; tags that the vocabulary has already are
    kept. Raises SystemUnavailable for a tokenizer that has some tags only, too few unused tokens, or no fast form.
    """
    vocabulary = tokenizer.get_vocab()
    present = {code: vocabulary[tag(code)] for code in FLEURS_LANGUAGES if tag(code) in vocabulary}
    if len(present) < len(FLEURS_LANGUAGES):
        if present:
            missing = [code for code in FLEURS_LANGUAGES if code not in present]
            raise SystemUnavailable(
                f"the LLM's tokenizer has {len(present)} of {len(FLEURS_LANGUAGES)} language tags"
                f" ({tag(missing[0])} is missing): use the tokenizer that belongs to the checkpoint"
            )
        _rename(tokenizer, _unused(vocabulary))
        vocabulary = tokenizer.get_vocab()
        present = {code: vocabulary[tag(code)] for code in FLEURS_LANGUAGES}
    for code, place in present.items():
        if tokenizer.encode(tag(code), add_special_tokens=False) != [place]:
            raise SystemUnavailable(
                f"the LLM's tokenizer does not read {tag(code)} as one token: use another LLM"
            )
    return Tags(present)


def _unused(vocabulary: Mapping[str, int]) -> dict[str, str]:
    """The tokens to be renamed, each with its tag."""
    found = [(int(match[1]), token) for token in vocabulary if (match := _UNUSED.fullmatch(token))]
    tokens = [token for _, token in sorted(found)[: len(FLEURS_LANGUAGES)]]
    if len(tokens) < len(FLEURS_LANGUAGES):
        raise SystemUnavailable(
            f"the LLM's tokenizer has {len(tokens)} unused tokens, {len(FLEURS_LANGUAGES)} language tags"
            " need one each: use an LLM of the Gemma family, or one whose tokenizer has the tags"
        )
    return {token: tag(code) for token, code in zip(tokens, FLEURS_LANGUAGES, strict=True)}


def _rename(tokenizer: Any, names: Mapping[str, str]) -> None:
    """Rename tokens in the vocabulary and among the added tokens, which are those found whole in a text."""
    from tokenizers import AddedToken, Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SystemUnavailable(
            f"{type(tokenizer).__name__} is no fast tokenizer (tokenizers library): use another LLM"
        )
    body = json.loads(backend.to_str())
    words = body["model"]["vocab"]
    if isinstance(words, dict):
        body["model"]["vocab"] = {names.get(word, word): place for word, place in words.items()}
    else:  # Unigram: [word, score] in the order of the ids
        body["model"]["vocab"] = [[names.get(word, word), score] for word, score in words]
    body["added_tokens"] = [
        row | {"content": names.get(row["content"], row["content"])} for row in body["added_tokens"]
    ]
    renamed = Tokenizer.from_str(json.dumps(body))
    renamed.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in names.values()]
    )
    tokenizer._tokenizer = renamed
