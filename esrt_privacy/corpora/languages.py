"""The 45 languages of the ESRT paper (arXiv 2605.28642, Table IV), as shipped in languages.csv."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from esrt_privacy.corpora.iso639 import iso639_3

RESOURCE_TIERS = ("high", "medium", "low")


@dataclass(frozen=True)
class Language:
    """``code`` is ISO 639-3, ``resource`` one of RESOURCE_TIERS, ``train_hours`` those of FLEURS'
    training set as the paper counts them."""

    code: str
    name: str
    family: str
    resource: str
    train_hours: float


def _table() -> tuple[Language, ...]:
    text = (resources.files("esrt_privacy.corpora") / "languages.csv").read_text(encoding="utf-8")
    return tuple(
        Language(
            row["code"], row["language"], row["family"], row["resource"], float(row["train_hours"])
        )
        for row in csv.DictReader(text.splitlines())
    )


PAPER_LANGUAGES = _table()  # in the paper's order, by family
_BY_CODE = {language.code: language for language in PAPER_LANGUAGES}
_BY_NAME = {language.name.lower(): language for language in PAPER_LANGUAGES}


def by_code(code: str) -> Language | None:
    """The paper's language of an ISO 639-3 code or of a corpus's tag (``en_us``, ``zh-CN``)."""
    return _BY_CODE.get(iso639_3(code) or "")


def by_name(name: str) -> Language | None:
    """The paper's language of an English name, in any case."""
    return _BY_NAME.get(name.strip().lower())
