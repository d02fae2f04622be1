"""What is measured on a reconstructed recording, kept on disk so that a killed run does not measure twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AudioError
from esrt_privacy.judges.recogniser import Recogniser, normalise
from esrt_privacy.judges.speakers import Ge2e
from esrt_privacy.measures import speech
from esrt_privacy.measures.text import word_errors

VERSION = 1  # raised when what is measured changes, so that old judgements are not used


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
        name = hashlib.sha256(f"{VERSION}|{key}".encode()).hexdigest()[:24]
        path = store / f"{name}.jsonl"
        known = _read(path)
        for start in range(0, len(utterances), self._recogniser.batch_size):
            batch = utterances[start : start + self._recogniser.batch_size]
            todo = [u for u in batch if u.fingerprint not in known]
            if todo:
                rows = self._batch(todo, [sound(u) for u in todo])
                known |= rows
                store.mkdir(parents=True, exist_ok=True)
                with open(path, "a", encoding="utf-8") as file:
                    for fingerprint, row in rows.items():
                        line = {"audio": fingerprint, **asdict(row)}
                        file.write(json.dumps(_null_for_nan(line)) + "\n")
            if progress is not None:
                progress(start + len(batch))
        return {u.id: known[u.fingerprint] for u in utterances}

    def embedding(self, wave: np.ndarray) -> tuple[float, ...] | None:
        """The voice of a recording, 256 values of unit norm; None for silence."""
        try:
            return tuple(float(v) for v in self._speakers.embed(wave))
        except AudioError:
            return None

    def _batch(self, utterances: list[Utterance], waves: list[np.ndarray]) -> dict[str, Judgement]:
        heard = [i for i, u in enumerate(utterances) if self.hears(u)]
        texts = dict(
            zip(heard, self._recogniser.transcribe([waves[i] for i in heard], "eng"), strict=True)
        )
        rows = {}
        for i, (utterance, wave) in enumerate(zip(utterances, waves, strict=True)):
            real = utterance.waveform()
            count = None
            if i in texts:
                reference = normalise(utterance.text or "", "eng")
                count = word_errors(reference, normalise(texts[i], "eng"))
            rows[utterance.fingerprint] = Judgement(
                stoi=speech.stoi(real, wave),
                estoi=speech.estoi(real, wave),
                mcd=speech.mcd_dtw(real, wave),
                f0=speech.f0_correlation(real, wave),
                envelope=speech.envelope_correlation(real, wave),
                seconds=len(wave) / 16_000,
                transcript=texts.get(i),
                word_errors=count.errors if count else None,
                words=count.length if count else None,
                embedding=self.embedding(wave),
            )
        return rows


def _null_for_nan(row: dict[str, object]) -> dict[str, object]:
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _read(path: Path) -> dict[str, Judgement]:
    """Judgements of an earlier run; a last line that was cut by a kill is measured again."""
    rows: dict[str, Judgement] = {}
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8").splitlines():
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
