"""One split for everything: each speaker and each sentence has a role, kept in one hashed file.

A role's utterances share no speaker and no sentence with another role's: where the speaker's and
the sentence's role differ, the utterance is used by nobody.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esrt_privacy.corpora.corpus import Corpus
from esrt_privacy.corpora.utterance import Utterance
from esrt_privacy.errors import CorpusError

ROLES = ("adapter-train", "attack-train", "development", "test")
PROPORTIONS: Mapping[str, float] = {
    "adapter-train": 0.4,
    "attack-train": 0.3,
    "development": 0.1,
    "test": 0.2,
}
FORMAT = "esrt-privacy split 1"


@dataclass(frozen=True)
class Split:
    """Roles by key: `speaker_key` and `sentence_key` say what a key is; no names, no text."""

    seed: int
    speakers: Mapping[str, str] = field(hash=False)
    sentences: Mapping[str, str] = field(hash=False)

    def role(self, utterance: Utterance) -> str | None:
        """The role that may use the utterance.

        None where speaker and sentence disagree, and for a speaker or sentence that the split was
        not made with: nothing is known of where else they occur.
        """
        by_speaker = self.speakers.get(speaker_key(utterance))
        sentence = sentence_key(utterance.text)
        if sentence is None or by_speaker is None:
            return by_speaker
        return by_speaker if self.sentences.get(sentence) == by_speaker else None

    def select(self, corpus: Corpus, *roles: str) -> Corpus:
        """The utterances that one of ``roles`` may use. Raises CorpusError for an unknown role."""
        _require_roles(roles)
        return corpus.filter(lambda utterance: self.role(utterance) in roles)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the split; the file carries it and is checked against it."""
        text = json.dumps(self._body(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the split as JSON with its own SHA-256."""
        body = {**self._body(), "sha256": self.fingerprint}
        Path(path).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read a split file. Raises CorpusError when it is missing, malformed, or was changed."""
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}: not a split file; make the split again") from error
        split = cls._parsed(body)
        if split is None:
            raise CorpusError(f"{path}: not a split file; make the split again")
        if body.get("sha256") != split.fingerprint:
            raise CorpusError(f"{path}: was changed after it was made; make the split again")
        return split

    @classmethod
    def _parsed(cls, body: Any) -> Split | None:
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            return None
        seed, speakers, sentences = (body.get(k) for k in ("seed", "speakers", "sentences"))
        if not isinstance(seed, int):
            return None
        if not isinstance(speakers, dict) or not isinstance(sentences, dict):
            return None
        if not all(role in ROLES for role in [*speakers.values(), *sentences.values()]):
            return None
        return cls(seed, speakers, sentences)

    def _body(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "seed": self.seed,
            "speakers": dict(self.speakers),
            "sentences": dict(self.sentences),
        }


def make_split(
    corpora: Corpus | Iterable[Corpus], seed: int, proportions: Mapping[str, float] = PROPORTIONS
) -> Split:
    """Give every speaker a role, then every sentence one of the roles in which it is spoken.

    ``proportions`` (role -> weight) are met for the speakers of each corpus as nearly as whole
    speakers allow. A sentence spoken in several roles goes to one of them, drawn by its hash with
    the odds of how often each speaks it. The same corpora and seed give the same split, in
    whatever order they come. Raises CorpusError for unknown roles and impossible weights.
    """
    weights = _weights(proportions)
    utterances = [u for c in ([corpora] if isinstance(corpora, Corpus) else corpora) for u in c]
    groups: dict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
        groups[utterance.corpus or ""].add(speaker_key(utterance))
    speakers: dict[str, str] = {}
    for name in sorted(groups):
        speakers.update(_shared_out(groups[name], seed, weights))
    spoken: dict[str, Counter[str]] = defaultdict(Counter)
    for utterance in utterances:
        key = sentence_key(utterance.text)
        if key is not None:
            spoken[key][speakers[speaker_key(utterance)]] += 1
    sentences = {key: _drawn_role(key, seed, counts) for key, counts in sorted(spoken.items())}
    return Split(seed, speakers, sentences)


def speaker_key(utterance: Utterance) -> str:
    """16 hex digits of SHA-256 over corpus and speaker.

    Where the speaker is unknown the session stands for one, else the recording: a split cannot keep
    apart voices that nobody has labelled.
    """
    corpus = utterance.corpus or ""
    if utterance.speaker is not None:
        name = f"{corpus}|{utterance.speaker}"
    elif utterance.session is not None:
        name = f"{corpus}|\x1fsession|{utterance.session}"
    else:
        name = f"{corpus}|\x1frecording|{utterance.recording}"
    return _sha256(name)[:16]


def sentence_key(text: str | None) -> str | None:
    """SHA-256 (hex) of the text reduced to lower-case letters and digits; None where none are left.

    Combining marks count as letters, without which several scripts would lose their vowels.
    """
    plain = normalised_sentence(text or "")
    return _sha256(plain) if plain else None


def normalised_sentence(text: str) -> str:
    """Letters, marks and digits of ``text``, case-folded, in one compatibility form (NFKC)."""
    import unicodedata

    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def _shared_out(keys: set[str], seed: int, weights: Mapping[str, float]) -> dict[str, str]:
    """Whole speakers to roles by the method of largest remainders, in the order of their hashes."""
    exact = {role: weight * len(keys) for role, weight in weights.items()}
    quota = {role: math.floor(value) for role, value in exact.items()}
    by_remainder = sorted(weights, key=lambda role: (quota[role] - exact[role], ROLES.index(role)))
    for role in by_remainder[: len(keys) - sum(quota.values())]:
        quota[role] += 1
    order = sorted(keys, key=lambda key: _sha256(f"{seed}|speaker|{key}"))
    roles = [role for role in weights for _ in range(quota[role])]
    return dict(zip(order, roles, strict=True))


def _drawn_role(key: str, seed: int, counts: Counter[str]) -> str:
    point = int(_sha256(f"{seed}|sentence|{key}")[:12], 16) % sum(counts.values())
    for role in ROLES:
        point -= counts[role]
        if point < 0:
            return role
    raise AssertionError("the point lies below the sum of the counts")


def _weights(proportions: Mapping[str, float]) -> dict[str, float]:
    _require_roles(proportions)
    total = sum(proportions.values())
    if any(not math.isfinite(w) or w < 0 for w in proportions.values()) or not total > 0:
        raise CorpusError("split: proportions must be positive numbers, e.g. test=0.2")
    return {role: proportions[role] / total for role in ROLES if proportions.get(role, 0) > 0}


def _require_roles(roles: Iterable[str]) -> None:
    for role in roles:
        if role not in ROLES:
            raise CorpusError(f"split: no role {role!r}; the roles are {', '.join(ROLES)}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
