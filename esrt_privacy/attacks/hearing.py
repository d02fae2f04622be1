"""What is measured on a reconstructed recording, kept on disk so that a killed run does not measure twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AudioError
from esrt_privacy.judges.recogniser import Recogniser, normalise
from esrt_privacy.judges.speakers import Ge2e
from esrt_privacy.measures import speech
from esrt_privacy.measures.text import word_errors

VERSION = 2  # raised when what is measured changes, so that old judgements are not used


@dataclass(frozen=True)
class Judgement:
    """One recording against the real one. nan (null on disk) where a measure is not defined."""

    stoi: float
    estoi: float
    mcd: float
    f0: float
    envelope: float
    seconds: float
    transcript: str | None = None
    word_errors: int | None = None
    words: int | None = None
    embedding: tuple[float, ...] | None = None


class Judge:
    """Speech measures, a recogniser for English, and a speaker encoder."""

    def __init__(self, recogniser: Recogniser, speakers: Ge2e) -> None:
        self._recogniser = recogniser
        self._speakers = speakers
        self._pitch: dict[str, np.ndarray] = {}  # of real recordings, by fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of both networks' weights: another judge's judgements are not used."""
        parts = f"{VERSION}|{self._recogniser.fingerprint}|{self._speakers.fingerprint}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def hears(self, utterance: Utterance) -> bool:
        """Whether WER can be measured: English, with a text, and not AN4.

        The recogniser knows English only, and Whisper itself fails on AN4's spelled letters.
        """
        return utterance.language == "eng" and bool(utterance.text) and utterance.corpus != "an4"

    def judge(
        self,
        utterances: Sequence[Utterance],
        sound: Callable[[Utterance], np.ndarray],
        store: Path,
        key: str,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, Judgement]:
        """Judge `sound(utterance)` for each utterance; by id. `key` says what made the sounds."""
        name = hashlib.sha256(f"{self.fingerprint}|{key}".encode()).hexdigest()[:24]
        path = store / f"{name}.jsonl"
        known = _read(path)
        keys = {u.id: _row_key(u) for u in utterances}
        for start in range(0, len(utterances), self._recogniser.batch_size):
            batch = utterances[start : start + self._recogniser.batch_size]
            # The whole batch again where one is missing: the longest sets the recogniser's bound for all.
            if any(keys[u.id] not in known for u in batch):
                rows = self._batch(batch, [sound(u) for u in batch])
                known |= {keys[u.id]: row for u, row in zip(batch, rows, strict=True)}
                _append(path, {keys[u.id]: known[keys[u.id]] for u in batch})
            if progress is not None:
                progress(start + len(batch))
        return {u.id: known[keys[u.id]] for u in utterances}

    def embedding(self, wave: np.ndarray) -> tuple[float, ...] | None:
        """The voice of a recording, 256 values of unit norm; None for silence."""
        try:
            return tuple(float(v) for v in self._speakers.embed(wave))
        except AudioError:
            return None

    def _batch(self, utterances: Sequence[Utterance], waves: list[np.ndarray]) -> list[Judgement]:
        heard = [i for i, u in enumerate(utterances) if self.hears(u)]
        texts = dict(
            zip(heard, self._recogniser.transcribe([waves[i] for i in heard], "eng"), strict=True)
        )
        rows = []
        for i, (utterance, wave) in enumerate(zip(utterances, waves, strict=True)):
            real = utterance.waveform()
            count = None
            if i in texts:
                reference = normalise(utterance.text or "", "eng")
                count = word_errors(reference, normalise(texts[i], "eng"))
            pitch = self._pitch_of(utterance, real)
            rows.append(
                Judgement(
                    stoi=speech.stoi(real, wave),
                    estoi=speech.estoi(real, wave),
                    mcd=speech.mcd_dtw(real, wave),
                    f0=speech.f0_correlation(real, wave, reference_track=pitch),
                    envelope=speech.envelope_correlation(real, wave),
                    seconds=len(wave) / 16_000,
                    transcript=texts.get(i),
                    word_errors=count.errors if count else None,
                    words=count.length if count else None,
                    embedding=self.embedding(wave),
                )
            )
        return rows

    def _pitch_of(self, utterance: Utterance, real: np.ndarray) -> np.ndarray:
        key = utterance.fingerprint
        if key not in self._pitch:
            self._pitch[key] = speech.f0_track(real)
        return self._pitch[key]


def _row_key(utterance: Utterance) -> str:
    """Of the audio and of the labels that decide what is measured on it."""
    labels = [utterance.fingerprint, utterance.language, utterance.text, utterance.corpus]
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()


def _append(path: Path, rows: dict[str, Judgement]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with open(path, "a", encoding="utf-8") as file:
        if cut:  # a kill left half a line: nothing may be written behind it
            file.write("\n")
        for key, row in rows.items():
            file.write(json.dumps(_null_for_nan({"audio": key, **asdict(row)})) + "\n")


def _null_for_nan(row: dict[str, object]) -> dict[str, object]:
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _read(path: Path) -> dict[str, Judgement]:
    """Judgements of an earlier run; a last line that was cut by a kill is measured again."""
    rows: dict[str, Judgement] = {}
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            audio = row.pop("audio")
            for name in ("stoi", "estoi", "mcd", "f0", "envelope", "seconds"):
                row[name] = float("nan") if row[name] is None else float(row[name])
            if row["embedding"] is not None:
                row["embedding"] = tuple(row["embedding"])
            rows[audio] = Judgement(**row)
        except (ValueError, KeyError, TypeError):
            continue
    return rows
