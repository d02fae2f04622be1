"""Trial lists as VoicePrivacy makes them: who is enrolled with what, and which utterances are tested against whom.

Each speaker is enrolled with several utterances and tested with the others, against every enrolled speaker. The
headline list keeps to pairs of one sex, where the pitch alone decides nothing.

Source: Tomashenko et al., "The VoicePrivacy 2024 Challenge Evaluation Plan" (2024), arXiv:2404.02677.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.corpora.tables import read_lines
from esrt_privacy.corpora.utterance import shown
from esrt_privacy.errors import AttackError

ENROLMENT_UTTERANCES = 5  # most; never more than half of what a speaker has
MAX_TRIALS = 20_000_000
TARGET, NONTARGET = "target", "nontarget"
Pairs = Literal["same sex", "mixed"]


@dataclass(frozen=True)
class Trial:
    """Whether `utterance` is spoken by the enrolled `speaker`."""

    speaker: str
    utterance: str
    target: bool


@dataclass(frozen=True)
class TrialList:
    """Enrolment (speaker -> utterance ids) and trials, both in a stable order."""

    enrolment: Mapping[str, tuple[str, ...]] = field(hash=False)
    trials: tuple[Trial, ...]
    pairs: Pairs = "mixed"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the two files that `save` writes."""
        return _sha256(_enrolment_text(self) + "\n" + _trials_text(self))

    def save(self, folder: Path) -> None:
        """Write `enrolment` (lines `speaker utterance`) and `trials` (`speaker utterance target|nontarget`).

        White space and % within a name are written as %XX, so that a line splits at its blanks.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "enrolment").write_text(_enrolment_text(self), encoding="utf-8")
        (folder / "trials").write_text(_trials_text(self), encoding="utf-8")


def draw_trials(utterances: Iterable[Utterance], seed: int, pairs: Pairs) -> TrialList:
    """Enrolment and trials of the known speakers, drawn by the hash of seed and id.

    A speaker needs two recordings; where there are two sessions, enrolment and test share none, else they share no
    recording: two windows of one recording are recording linkage, not speaker verification. "same sex" keeps the pairs
    whose sexes are known and alike. The same utterances and seed give the same list in whatever order they come.
    """
    spoken: dict[str, list[Utterance]] = defaultdict(list)
    unknown = 0
    for u in utterances:
        if u.speaker is None:
            unknown += 1
        else:
            spoken[u.speaker].append(u)
    enrolment: dict[str, tuple[str, ...]] = {}
    tested: list[Utterance] = []
    alone = 0
    for speaker in sorted(spoken):
        parts = _divided(spoken[speaker], seed)
        if parts is None:
            alone += 1
            continue
        enrolment[speaker] = tuple(u.id for u in parts[0])
        tested += parts[1]
    sex = {speaker: spoken[speaker][0].sex for speaker in enrolment}
    trials = tuple(
        Trial(speaker, u.id, speaker == u.speaker)
        for speaker in enrolment
        for u in sorted(tested, key=lambda u: u.id)
        if pairs == "mixed" or (sex[speaker] is not None and sex[speaker] == u.sex)
    )
    notes = []
    if unknown:
        notes.append(f"left out {unknown} utterances whose speaker is unknown")
    if alone:
        notes.append(
            f"left out {alone} speakers with one recording only: nothing to compare it with"
        )
    return TrialList(enrolment, trials, pairs, tuple(notes))


def read_trials(path: Path, corpus: Corpus, enrolment: Path | None = None) -> TrialList:
    """The user's own list over `corpus`: lines `speaker utterance target|nontarget`.

    `enrolment` has lines `speaker utterance`; without it a speaker is enrolled with those of its utterances in the
    corpus that are in no trial. Raises AttackError, one line with its place, for a line of another form, an id or a
    speaker that the corpus does not have, a word that contradicts the corpus, a trial that occurs twice, a speaker
    without enrolment, an utterance that is enrolled and tested for one speaker, and a list without trials.
    """
    known = _Known(corpus.name, {u.id: u for u in corpus}, frozenset(corpus.speakers))
    by_id = known.utterances
    trials: dict[tuple[str, str], Trial] = {}
    for place, (speaker, utterance, word) in _rows(path, 3):
        known.require(place, speaker, utterance)
        if word not in (TARGET, NONTARGET):
            raise AttackError(f"{place}: '{shown(word, 40)}': write target or nontarget")
        said_by = by_id[utterance].speaker
        if (word == TARGET) != (said_by == speaker):
            raise AttackError(
                f"{place}: {word}, but the corpus says that {shown(utterance)} is spoken by {shown(said_by)}"
            )
        if (speaker, utterance) in trials:
            raise AttackError(f"{place}: this trial stands in the list already")
        if len(trials) >= MAX_TRIALS:
            raise AttackError(f"{place}: more than {MAX_TRIALS} trials; divide the list")
        trials[speaker, utterance] = Trial(speaker, utterance, word == TARGET)
    if not trials:
        raise AttackError(f"{shown(path)}: no trials in it; write lines 'speaker utterance target'")
    models = _enrolled(enrolment, known, trials)
    for trial in trials.values():
        if trial.speaker not in models:
            raise AttackError(
                f"{shown(enrolment or path)}: nothing to enrol speaker {shown(trial.speaker)} with"
            )
        if trial.utterance in models[trial.speaker]:
            raise AttackError(
                f"{shown(enrolment or path)}: {shown(trial.utterance)} is enrolled and tested for"
                f" {shown(trial.speaker)}"
            )
    listed = tuple(trials.values())
    sex = {u.speaker: u.sex for u in corpus}
    alike = all(sex[t.speaker] and sex[t.speaker] == by_id[t.utterance].sex for t in listed)
    return TrialList(models, listed, "same sex" if alike else "mixed")


def _enrolled(
    path: Path | None, known: _Known, trials: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, ...]]:
    models: dict[str, list[str]] = defaultdict(list)
    if path is None:
        wanted, tested = {s for s, _ in trials}, {u for _, u in trials}
        for u in known.utterances.values():
            if u.speaker in wanted and u.id not in tested:
                models[str(u.speaker)].append(u.id)
    else:
        for place, (speaker, utterance) in _rows(path, 2):
            known.require(place, speaker, utterance)
            if known.utterances[utterance].speaker != speaker:
                raise AttackError(f"{place}: the corpus says another speaker of {shown(utterance)}")
            models[speaker].append(utterance)
    return {speaker: tuple(dict.fromkeys(ids)) for speaker, ids in models.items()}


def _divided(
    utterances: list[Utterance], seed: int
) -> tuple[list[Utterance], list[Utterance]] | None:
    """Enrolment and test utterances of one speaker; None where there is only one recording."""
    sessions = {u.session for u in utterances}

    def part(u: Utterance) -> str:
        # A session that is unknown cannot be told from the others.
        return u.recording if None in sessions or len(sessions) < 2 else str(u.session)

    groups: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        groups[part(u)].append(u)
    if len(groups) < 2:
        return None
    most = min(ENROLMENT_UTTERANCES, len(utterances) // 2)
    order = sorted(groups, key=lambda key: _sha256(f"{seed}|part|{key}"))
    enrolled: list[Utterance] = []
    used = 0
    for key in order[:-1]:
        enrolled += sorted(groups[key], key=lambda u: _sha256(f"{seed}|enrolment|{u.id}"))
        used += 1
        if len(enrolled) >= most:
            break
    tested = [u for key in order[used:] for u in groups[key]]
    return enrolled[: max(1, most)], tested


@dataclass(frozen=True)
class _Known:
    """The names that a list may use."""

    corpus: str
    utterances: Mapping[str, Utterance]
    speakers: frozenset[str]

    def require(self, place: str, speaker: str, utterance: str) -> None:
        """Raise AttackError for a name that the corpus does not have."""
        if utterance not in self.utterances:
            raise AttackError(
                f"{place}: no utterance {shown(utterance)} in corpus {shown(self.corpus)}"
            )
        if speaker not in self.speakers:
            raise AttackError(
                f"{place}: no speaker {shown(speaker)} in corpus {shown(self.corpus)}"
            )


def _rows(path: Path, columns: int) -> Iterable[tuple[str, list[str]]]:
    notes: list[str] = []
    for place, raw in read_lines(path, notes):
        try:
            fields = [unquote(f, errors="surrogatepass") for f in raw.decode("utf-8").split()]
        except UnicodeDecodeError as error:
            raise AttackError(f"{place}: not UTF-8") from error
        if len(fields) != columns:
            form = "speaker utterance" + (" target|nontarget" if columns == 3 else "")
            raise AttackError(f"{place}: {len(fields)} columns; write '{form}'")
        yield place, fields
    if notes:
        raise AttackError(notes[0])


def _enrolment_text(trials: TrialList) -> str:
    rows = ((s, u) for s, ids in trials.enrolment.items() for u in ids)
    return "".join(f"{_written(s)} {_written(u)}\n" for s, u in rows)


def _trials_text(trials: TrialList) -> str:
    return "".join(
        f"{_written(t.speaker)} {_written(t.utterance)} {TARGET if t.target else NONTARGET}\n"
        for t in trials.trials
    )


def _written(name: str) -> str:
    # Lone surrogates stand for bytes of a file's name that are no UTF-8.
    return re.sub(
        "[\\s%\ufeff\ud800-\udfff]",
        lambda sign: quote(sign[0], safe="", errors="surrogatepass"),
        name,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
