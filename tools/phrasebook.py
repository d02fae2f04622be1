"""A parallel phrasebook: the same sentences in six languages, for the adapter's translation training.

Templates and values are the project's own and lie in `phrasebook/*.toml`. A template is one sentence in every
language with slots: `{city}`, or `{place.dat}` for a form of the value, or `{city2}` for a second, different
value of the slot. The values of a slot are rows of a table with a column for each language and form; several
tables of a slot are joined by their `id`. A noun's cell says its class before a colon (`m:Zug`) and takes its
forms from the articles in `grammar.toml`; the prepositions before them melt as listed there. Numbers are
words. `jpn_reading` is Japanese in kana with spaces between phrases, for the synthesiser: as it is spoken,
with the topic particle written わ and the particle of direction え.

    python tools/phrasebook.py              # counts, and two phrases of each part
    python tools/phrasebook.py train 20     # twenty phrases of a part in every language
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("phrasebook")
LANGUAGES: tuple[str, ...] = ("eng", "spa", "deu", "fra", "ita", "jpn")
READING = "jpn_reading"
PARTS = ("train", "test-sentences", "test-values", "test-templates")
RESERVED_ONE_IN = 12
"""Of the sentences of training templates and values, one in this many is kept out of training."""
DEALS_PER_PHRASE = 200
_PLACEHOLDER = re.compile(r"\{(?P<key>(?P<slot>[a-z_]+)2?)(?:\.(?P<form>[a-z_]+))?\}")


@dataclass(frozen=True)
class Phrase:
    """One sentence in every language.

    Part: "train"; "test-sentences", training templates and values in combinations kept out of training;
    "test-values", a training template with at least one held-out value; "test-templates", a held-out
    template with training values.
    """

    template: str
    domain: str
    values: tuple[tuple[str, str], ...]  # (slot, value), in the order of the English text
    texts: Mapping[str, str]  # by language
    reading: str  # Japanese in kana, as it is spoken
    part: str


def draw(part: str, count: int, seed: int) -> list[Phrase]:
    """Return `count` phrases of a part with distinct English texts, the same for the same seed.

    Templates take turns as long as they have sentences left; values are dealt like cards, each slot until it
    is used up. A longer list with the same seed begins with the shorter one.

    Raises:
        ValueError: If the part is unknown or `count` distinct sentences do not exist.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r}; there are: {', '.join(PARTS)}")
    book = load()
    rng = random.Random(f"{part}/{seed}")
    decks = {
        name: _Deck(
            [v for v in slot.values if part == "test-values" or v not in slot.held_out], rng
        )
        for name, slot in book.slots.items()
    }
    supplies = [
        _Supply(book, template, decks, part)
        for template in book.templates.values()
        if template.is_test == (part == "test-templates")
    ]
    phrases: dict[str, Phrase] = {}
    while len(phrases) < count and supplies:
        for supply in rng.sample(supplies, len(supplies)):
            values = supply.deal()
            if values is None:
                supplies.remove(supply)
            elif len(phrases) < count:
                phrase = book.phrase(supply.template, values, part)
                phrases.setdefault(phrase.texts["eng"], phrase)
    if len(phrases) < count:
        raise ValueError(f"only {len(phrases)} distinct sentences of {part!r} instead of {count}")
    return list(phrases.values())


@dataclass(frozen=True)
class Template:
    """One sentence with slots in every language."""

    id: str
    domain: str
    texts: Mapping[str, str]  # by language, and the reading
    keys: tuple[str, ...]  # as in the English text: "city", "city2"
    is_test: bool

    @property
    def slots(self) -> tuple[str, ...]:
        """The slot of each key."""
        return tuple(key.removesuffix("2") for key in self.keys)


@dataclass(frozen=True)
class Slot:
    """Values that can stand for one another, and those of them held out for testing."""

    values: Mapping[str, Mapping[str, str]]  # value to column ("deu", "deu.dat") to cell
    held_out: frozenset[str]


@dataclass(frozen=True)
class Phrasebook:
    """All templates and slots, and what nouns take before them."""

    templates: Mapping[str, Template]
    slots: Mapping[str, Slot]
    articles: Mapping[str, Mapping[str, Mapping[str, str]]]  # language, class, form
    contractions: Mapping[str, Mapping[str, str]]  # language, "de el", "del"

    def phrase(self, template: Template, values: tuple[str, ...], part: str) -> Phrase:
        """Fill a template with values in the order of its keys."""
        chosen = dict(zip(template.keys, values, strict=True))
        texts = {}
        for column, text in template.texts.items():
            for match in _PLACEHOLDER.finditer(text):
                form = self.form(match["slot"], chosen[match["key"]], column, match["form"])
                text = text.replace(match[0], form)
            for words, short in self.contractions.get(column, {}).items():
                text = _contract(text, words, short)
            texts[column] = re.sub(r"[^\W\d_]", lambda first: first[0].upper(), text, count=1)
        reading = texts.pop(READING)
        named = tuple(chosen.items())
        return Phrase(template.id, template.domain, named, texts, reading, part)

    def form(self, slot: str, value: str, column: str, form: str | None) -> str:
        """One form of a value in a language. Raises ValueError when it is missing."""
        cells = self.slots[slot].values[value]
        wanted = f"{column}.{form}" if form else column
        if form and wanted in cells:
            return cells[wanted]
        noun_class, _, noun = cells.get(column, "").rpartition(":")
        articles = {"": "", **self.articles.get(column, {}).get(noun_class, {})}
        if not noun or (form or "") not in articles:
            raise ValueError(f"slot {slot!r}, value {value!r}: {wanted} is missing")
        return articles[form or ""] + noun

    def part_of(self, template: Template, values: tuple[str, ...]) -> str | None:
        """The part that a combination belongs to; None for held-out values in a held-out template."""
        pairs = zip(template.slots, values, strict=True)
        held_out = any(value in self.slots[slot].held_out for slot, value in pairs)
        if template.is_test:
            return None if held_out else "test-templates"
        if held_out:
            return "test-values"
        digest = hashlib.sha256("|".join((template.id, *values)).encode()).digest()
        reserved = int.from_bytes(digest[:8], "big") % RESERVED_ONE_IN == 0
        return "test-sentences" if reserved else "train"


class _Deck:
    """Values dealt in random order, shuffled again when all are dealt."""

    def __init__(self, values: list[str], rng: random.Random) -> None:
        self.values = values
        self._rng = rng
        self._left: list[str] = []

    def deal(self, avoid: str | None) -> str:
        """Return the next value that is not `avoid`, which stays for the next deal."""
        if not set(self._left) - {avoid}:
            self._left += self._rng.sample(self.values, len(self.values))
        i = next(i for i, value in enumerate(self._left) if value != avoid)
        return self._left.pop(i)


class _Supply:
    """The combinations of one template that belong to a part, each once."""

    def __init__(
        self, book: Phrasebook, template: Template, decks: Mapping[str, _Deck], part: str
    ) -> None:
        self.template = template
        self._book, self._decks, self._part = book, decks, part
        self._dealt: set[tuple[str, ...]] = set()
        self._all = itertools.product(*(decks[slot].values for slot in template.slots))

    def deal(self) -> tuple[str, ...] | None:
        """Return a combination not dealt before, or None when there is none."""
        for _ in range(DEALS_PER_PHRASE):
            values: dict[str, str] = {}
            for key, slot in zip(self.template.keys, self.template.slots, strict=True):
                # "city2" must differ from "city", which stands before it
                values[key] = self._decks[slot].deal(avoid=values.get(slot))
            if self._take(tuple(values.values())):
                return tuple(values.values())
        return next((values for values in self._all if self._take(values)), None)

    def _take(self, values: tuple[str, ...]) -> bool:
        repeated = len(set(zip(self.template.slots, values, strict=True))) < len(values)
        if repeated or values in self._dealt:
            return False
        if self._book.part_of(self.template, values) != self._part:
            return False
        self._dealt.add(values)
        return True


def load(folder: Path = FOLDER) -> Phrasebook:
    """Read and check the TOML files of a folder.

    Raises:
        ValueError: Naming the file, template, slot or value, and what is missing or wrong with it.
    """
    templates: dict[str, Template] = {}
    slots: dict[str, Slot] = {}
    articles: dict[str, Any] = {}
    contractions: dict[str, Any] = {}
    for path in sorted(folder.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        _refuse(content, {"domain", "templates", "slots", "articles", "contractions"}, path.name)
        for entry in content.get("templates", []):
            template = _template(entry, content.get("domain"), path.name)
            if template.id in templates:
                raise ValueError(f"template {template.id!r} stands twice")
            templates[template.id] = template
        for name, entry in content.get("slots", {}).items():
            if name in slots:
                raise ValueError(f"slot {name!r} stands twice")
            slots[name] = _slot(name, entry)
        articles |= content.get("articles", {})
        contractions |= content.get("contractions", {})
    book = Phrasebook(templates, slots, articles, contractions)
    for template in templates.values():
        _check_forms(book, template)
    return book


def _refuse(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := entry.keys() - known:
        raise ValueError(f"{where}: unknown key {min(unknown)!r}")


def _template(entry: Mapping[str, Any], domain: str | None, file: str) -> Template:
    if domain is None or "id" not in entry:
        raise ValueError(f"{file}: {'domain' if domain is None else 'id of a template'} is missing")
    where = f"template {entry['id']!r}"
    columns = (*LANGUAGES, READING)
    _refuse(entry, {*columns, "id", "test"}, where)
    for column in columns:
        if not entry.get(column):
            raise ValueError(f"{where}: {column} is missing")
    keys = tuple(dict.fromkeys(m["key"] for m in _PLACEHOLDER.finditer(entry["eng"])))
    for column in columns:
        if odd := {m["key"] for m in _PLACEHOLDER.finditer(entry[column])} ^ set(keys):
            raise ValueError(f"{where}: {{{min(odd)}}} stands in only one of eng and {column}")
        if re.search("[{}]", _PLACEHOLDER.sub("", entry[column])):
            raise ValueError(f"{where}: {column} has a brace that belongs to no slot")
    texts = {column: entry[column] for column in columns}
    return Template(entry["id"], domain, texts, keys, entry.get("test", False))


def _slot(name: str, entry: Mapping[str, Any]) -> Slot:
    _refuse(entry, {"test", "tables"}, f"slot {name!r}")
    values: dict[str, dict[str, str]] = {}
    for table in entry["tables"]:
        header, *rows = [
            [c.strip() for c in line.split("|")] for line in table.strip().splitlines()
        ]
        for row in rows:
            where = f"slot {name!r}, value {row[0]!r}"
            if len(row) != len(header):
                raise ValueError(f"{where}: {len(row)} cells instead of {len(header)}")
            cells = values.setdefault(row[0], {})
            for column, cell in zip(header[1:], row[1:], strict=True):
                if not cell or column in cells:
                    raise ValueError(
                        f"{where}: {column} {'stands twice' if cell else 'is missing'}"
                    )
                cells[column] = cell
    held_out = frozenset(entry.get("test", "").split())
    if absent := held_out - values.keys():
        raise ValueError(f"slot {name!r}: {min(absent)!r} is held out, but no value")
    return Slot(values, held_out)


def _check_forms(book: Phrasebook, template: Template) -> None:
    for column, text in template.texts.items():
        for match in _PLACEHOLDER.finditer(text):
            if match["slot"] not in book.slots:
                raise ValueError(f"template {template.id!r}: no slot {match['slot']!r}")
            for value in book.slots[match["slot"]].values:
                try:
                    book.form(match["slot"], value, column, match["form"])
                except ValueError as error:
                    raise ValueError(f"template {template.id!r}: {error}") from None


def _contract(text: str, words: str, short: str) -> str:
    def replace(match: re.Match[str]) -> str:
        return short.capitalize() if match[0][0].isupper() else short

    preposition, article = words.split()
    end = "" if article.endswith("'") else r"\b"
    return re.sub(rf"\b(?i:{preposition}) {article}{end}", replace, text)


def main() -> None:
    """Print counts, or phrases of one part."""
    if len(sys.argv) > 1:
        _show(draw(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20, seed=0))
        return
    slots = load().slots.values()
    values = sum(len(slot.values) for slot in slots)
    held_out = sum(len(slot.held_out) for slot in slots)
    print(f"{len(slots)} slots with {values} values, {held_out} of them held out")
    for part in PARTS:
        phrases = draw(part, 8000 if part == "train" else 1000, seed=0)
        templates = {phrase.template for phrase in phrases}
        by_domain = Counter(phrase.domain for phrase in phrases)
        by_language = {c: len({phrase.texts[c] for phrase in phrases}) for c in LANGUAGES}
        print(f"\n{part}: {len(phrases)} phrases drawn from {len(templates)} templates")
        print(f"phrases of a domain: {dict(sorted(by_domain.items()))}")
        print(f"distinct sentences of a language: {by_language}")
        _show(phrases[:2])


def _show(phrases: list[Phrase]) -> None:
    for phrase in phrases:
        print(f"{phrase.template} {dict(phrase.values)}")
        for language in LANGUAGES:
            print(f"  {language}: {phrase.texts[language]}")
        print(f"       {phrase.reading}")


if __name__ == "__main__":
    main()
