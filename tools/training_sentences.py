"""Sentences for the speech that the reference adapter is trained on.

The text is the project's own: word lists and templates of `training_words/<language>.toml`, filled
at random from a seed. Words are dealt like cards, each category until it is used up, so that a few
thousand sentences contain every word of the lists about equally often.

A template is plain text with `{category}` or `{category.form}`. Forms: `past`, `ing`, `third`, `s`
(English verbs, plural of nouns), `past`, `plural` (Spanish verbs, he and they), `cap` (first letter
capitalised). `{number}` and `{ordinal}` are English numbers in words. Japanese text is kana only,
phrases separated by spaces, and written as it is spoken: it avoids the particles that are read
otherwise than written.

    python tools/training_sentences.py            # counts of sentences and words per language
    python tools/training_sentences.py eng 20     # twenty sentences
"""

from __future__ import annotations

import random
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

WORDS = Path(__file__).with_name("training_words")
LENGTHS = {"eng": (25, 110), "spa": (25, 110), "jpn": (10, 60)}
"""Shortest and longest sentence of a language, in characters."""
ATTEMPTS_PER_SENTENCE = 200


def training_sentences(language: str, count: int, seed: int) -> list[str]:
    """Return `count` distinct sentences of a language, the same for the same seed.

    A longer list with the same seed begins with the shorter one.

    Args:
        language: "eng", "spa" or "jpn" (kana with spaces).
        count: How many sentences.
        seed: Seed of the draw.

    Raises:
        ValueError: If the language has no word list or `count` distinct sentences do not exist.
    """
    if language not in LENGTHS:
        raise ValueError(f"no word list for {language!r}; there are: {', '.join(LENGTHS)}")
    grammar = tomllib.loads((WORDS / f"{language}.toml").read_text(encoding="utf-8"))
    rng = random.Random(f"{language}/{seed}")
    decks = {name: _Deck(words.split(), rng) for name, words in grammar["words"].items()}
    if language == "eng":
        decks["number"] = _Deck(_english_numbers(grammar["numbers"]), rng)
        decks["ordinal"] = _Deck(grammar["numbers"]["ordinals"].split(), rng)
    templates = _Deck(grammar["templates"]["lines"].strip().splitlines(), rng)
    forms = _english_forms(grammar) if language == "eng" else _SPANISH_FORMS
    shortest, longest = LENGTHS[language]
    seen: dict[str, None] = {}
    for _ in range(count * ATTEMPTS_PER_SENTENCE):
        if len(seen) == count:
            break
        sentence = _fill(templates.deal(), decks, forms)
        if language == "eng":
            sentence = _with_articles(sentence)
        if language == "spa":
            sentence = re.sub(r"\b(de|a) el\b", lambda m: {"de": "del", "a": "al"}[m[1]], sentence)
        if shortest <= len(sentence) <= longest:
            seen.setdefault(sentence)
    if len(seen) < count:
        raise ValueError(f"only {len(seen)} distinct sentences of {language} instead of {count}")
    return list(seen)


class _Deck:
    """Entries dealt in random order, shuffled again when all are dealt."""

    def __init__(self, entries: list[str], rng: random.Random) -> None:
        self._entries = sorted(set(entries))
        self._rng = rng
        self._left: list[str] = []

    def deal(self, avoid: frozenset[str] = frozenset()) -> str:
        """Return the next entry; one of `avoid` goes back under the others if that is possible."""
        for _ in range(4):
            if not self._left:
                self._left = self._rng.sample(self._entries, len(self._entries))
            entry = self._left.pop()
            if entry not in avoid:
                break
            self._left.insert(0, entry)
        return entry


def _fill(
    template: str, decks: Mapping[str, _Deck], forms: Mapping[str, Callable[[str], str]]
) -> str:
    used: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        word = decks[match["category"]].deal(frozenset(used))
        used.add(word)
        word = word.replace("_", " ")
        form = match["form"]
        if form == "cap":
            return word[:1].upper() + word[1:]
        return forms[form](word) if form else word

    sentence = re.sub(r"\{(?P<category>\w+)(?:\.(?P<form>\w+))?\}", fill, template)
    return re.sub(r"\w", lambda first: first[0].upper(), sentence, count=1)


def _with_articles(sentence: str) -> str:
    """Write `a` and `an` as the next word's first sound asks for."""

    def article(match: re.Match[str]) -> str:
        by_vowel = re.match(r"(?!uni|use|euro|one)[aeiou]|hour|honest", match["next"])
        return match["a"] + ("n " if by_vowel else " ")

    return re.sub(r"\b(?P<a>[Aa])n? (?=(?P<next>[a-z]+))", article, sentence)


def _english_numbers(words: Mapping[str, str]) -> list[str]:
    ones = words["ones"].split()
    numbers = ones[2:]
    for tens in words["tens"].split():
        numbers += [tens, *(f"{tens}-{one}" for one in ones[1:10])]
    numbers += [f"{one}_hundred" for one in ones[2:10]]
    numbers += [f"{one}_thousand" for one in ones[2:13]]
    return numbers


def _english_forms(grammar: Mapping[str, Mapping[str, str]]) -> dict[str, Callable[[str], str]]:
    irregular, plurals = grammar["irregular"], grammar["plural"]
    doubling = set(grammar["double"]["verbs"].split())

    def stem(verb: str) -> str:
        return verb + verb[-1] if verb in doubling else verb

    def past(verb: str) -> str:
        if verb in irregular:
            return irregular[verb]
        if verb.endswith("e"):
            return verb + "d"
        if re.search("[^aeiou]y$", verb):
            return verb[:-1] + "ied"
        return stem(verb) + "ed"

    def ing(verb: str) -> str:
        ends_in_silent_e = verb.endswith("e") and not verb.endswith("ee")
        return (verb[:-1] if ends_in_silent_e else stem(verb)) + "ing"

    def plural(noun: str) -> str:
        return plurals.get(noun) or re.sub("mans$", "men", third(noun))

    def third(word: str) -> str:
        if re.search("[^aeiou]y$", word):
            return word[:-1] + "ies"
        return word + ("es" if re.search("(s|x|z|ch|sh|go)$", word) else "s")

    return {"past": past, "ing": ing, "third": third, "s": plural}


_SPANISH_FORMS: dict[str, Callable[[str], str]] = {
    # only verbs that are regular in these two persons are in the list
    "past": lambda verb: verb[:-2] + ("ó" if verb.endswith("ar") else "ió"),
    "plural": lambda verb: verb[:-2] + ("aron" if verb.endswith("ar") else "ieron"),
}


def _words(sentences: list[str]) -> set[str]:
    return {word for text in sentences for word in re.findall(r"[^\W\d_]+", text.lower())}


def main() -> None:
    """Print counts for every language, or sentences of one."""
    if len(sys.argv) > 1:
        count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
        print("\n".join(training_sentences(sys.argv[1], count, seed=0)))
        return
    for language, count in (("eng", 4000), ("spa", 1000), ("jpn", 800)):
        sentences = training_sentences(language, count, seed=0)
        lengths = sorted(map(len, sentences))
        print(
            f"{language}: {len(set(sentences))} distinct sentences, "
            f"{len(_words(sentences))} distinct words, characters: least {lengths[0]}, "
            f"median {lengths[len(lengths) // 2]}, most {lengths[-1]}; "
            f"digits: {any(re.search(r'[0-9]', text) for text in sentences)}"
        )


if __name__ == "__main__":
    main()
