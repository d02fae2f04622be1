"""An ordered set of utterances with a fingerprint, and the way to get one from a path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from esrt_privacy.corpora import (
    archive,
    common_voice,
    covost2,
    demo,
    fleurs,
    folder,
    librispeech,
    manifest,
    parquet,
)
from esrt_privacy.corpora.admission import admit
from esrt_privacy.corpora.audio import SAMPLE_RATE, SUFFIXES
from esrt_privacy.corpora.channel import Channel
from esrt_privacy.corpora.utterance import Found, Utterance, shown
from esrt_privacy.errors import AudioError, CorpusError
from esrt_privacy.progress import Reporter, silent

__all__ = ["Corpus", "Utterance", "check", "load_corpus"]


@dataclass(frozen=True)
class Corpus:
    """Utterances in order. ``notes`` are lines for the user: what was cut or left out, and why."""

    name: str
    utterances: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The known speakers, sorted."""
        return tuple(sorted({u.speaker for u in self.utterances if u.speaker is not None}))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids, audio fingerprints and labels in order; paths do not enter it."""
        digest = hashlib.sha256()
        for u in self.utterances:
            labels = [u.speaker, u.session, u.language, u.sex, u.text, u.corpus]
            row = [u.id, u.fingerprint, labels, sorted(u.translations.items())]
            rare = [u.age, u.accent, u.emotion]
            if any(label is not None for label in rare):
                # Only where there are any: a corpus without them keeps the fingerprint it had before.
                row.append(rare)
            digest.update(json.dumps(row).encode() + b"\n")
        return digest.hexdigest()

    def filter(self, predicate: Callable[[Utterance], bool]) -> Corpus:
        """The utterances for which ``predicate`` holds, in the same order."""
        return replace(self, utterances=tuple(u for u in self.utterances if predicate(u)))

    def select(
        self,
        *,
        ids: set[str] | None = None,
        language: str | None = None,
        speaker: str | None = None,
        session: str | None = None,
        sex: str | None = None,
        corpus: str | None = None,
    ) -> Corpus:
        """The utterances whose labels equal every one that is given."""
        wanted = {
            "language": language,
            "speaker": speaker,
            "session": session,
            "sex": sex,
            "corpus": corpus,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return self.filter(
            lambda u: (
                (ids is None or u.id in ids)
                and all(getattr(u, name) == value for name, value in given.items())
            )
        )

    def with_channel(self, seed: int) -> Corpus:
        """Give each utterance a random channel of its own, drawn from ``seed`` and its id.

        An utterance that has a channel already gets the new one in its place.
        """
        return replace(
            self,
            utterances=tuple(
                replace(u, channel=Channel.drawn(seed, u.id)) for u in self.utterances
            ),
        )


def load_corpus(spec: str | Path, report: Reporter = silent) -> Corpus:
    """Load ``demo``, a ``.jsonl`` manifest, a folder with ``manifest.jsonl``, LibriSpeech's tree,
    CoVoST-2, FLEURS, Common Voice (of these also one table, or the archive as downloaded), a single
    recording, or a folder of audio, looked for in this order.

    Every header is opened; bad rows and files are left out with a note, recordings over 30 s are
    cut. Recordings that lie in archives or tables are taken out into the cache, of which ``report``
    is told. Raises CorpusError when the path is missing or nothing is left.
    """
    if str(spec) == "demo":
        return _corpus("demo", "the demo corpus", demo.load())
    path = Path(spec).expanduser()
    try:
        if not (path.is_file() or path.is_dir()):
            raise CorpusError(
                f"{shown(path)}: no such corpus; give a folder, a .jsonl manifest or the word demo"
            )
        if (path / manifest.FILE_NAME).is_file():
            return _corpus(*_named_manifest(path / manifest.FILE_NAME))
        name = path.resolve().name
        if path.is_dir() and librispeech.is_tree(path):
            return _corpus(name, shown(path), librispeech.load(path))
        for layout in (covost2, fleurs, common_voice):
            if layout.recognises(path):
                return _corpus(_stem(name), shown(path), layout.load(path, report))
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            return _corpus(path.stem, shown(path), folder.one(path))
        if path.is_file():
            return _corpus(*_named_manifest(path))
        return _corpus(name, shown(path), folder.load(path))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{shown(path)}: cannot be read ({shown(error)})") from error


def check(corpus: Corpus, progress: Callable[[int, int], None] | None = None) -> Corpus:
    """Decode every utterance; return those that can be, with their decoded durations.

    ``progress`` is called with (done, total) after each. Channels are not applied: they cannot make
    a file unreadable. Raises CorpusError when nothing is left.
    """
    good: list[Utterance] = []
    notes = list(corpus.notes)
    for done, utterance in enumerate(corpus, start=1):
        try:
            samples = replace(utterance, channel=None).waveform().size
            good.append(replace(utterance, duration=samples / SAMPLE_RATE))
        except AudioError as error:
            notes.append(f"left out {shown(error, 400)}")
        if progress is not None:
            progress(done, len(corpus))
    if not good:
        raise _nothing_left(corpus.name, notes)
    return Corpus(corpus.name, tuple(good), tuple(notes))


def _named_manifest(path: Path) -> tuple[str, str, Found]:
    standard = path.name == manifest.FILE_NAME
    name = path.resolve().parent.name if standard else path.stem
    return name, shown(path), manifest.load(path)


def _stem(name: str) -> str:
    endings = (*archive.ENDINGS, archive.TABLE, parquet.SUFFIX)
    return next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), name)


def _corpus(name: str, where: str, found: Found) -> Corpus:
    admitted = admit(found.utterances)
    utterances, notes = _unique(admitted.utterances)
    notes = [*found.notes, *admitted.notes, *notes]
    if not utterances:
        raise _nothing_left(where, notes)
    return Corpus(name, tuple(utterances), tuple(notes))


def _unique(utterances: list[Utterance]) -> Found:
    """Cutting can make an id that another recording has already ("a#1"): the later one goes."""
    kept: dict[str, Utterance] = {}
    notes = []
    for utterance in utterances:
        if utterance.id in kept:
            where = shown(utterance.audio)
            notes.append(f"left out {where}: the id {shown(utterance.id)} is taken already")
        else:
            kept[utterance.id] = utterance
    return Found(list(kept.values()), notes)


def _nothing_left(where: str, notes: list[str]) -> CorpusError:
    first = f" (first of {len(notes)}: {notes[0]})" if notes else ""
    return CorpusError(f"{where}: no usable recording{first}; give readable audio")


def speakers_of(utterances: Iterable[Utterance]) -> list[str]:
    """Who speaks each; a recording of nobody known is a speaker of its own."""
    return [u.speaker or f"\0{u.id}" for u in utterances]
