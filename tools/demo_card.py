"""What Whisper-base and GE2E make of the demo corpus, and the card that says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from esrt_privacy.assets import ge2e_weights, whisper_folder
from esrt_privacy.judges.recogniser import Recogniser, normalise
from esrt_privacy.judges.speakers import Ge2e
from esrt_privacy.measures.text import character_errors, word_errors
from esrt_privacy.measures.verification import eer

LANGUAGE_NAMES = {"eng": "English", "spa": "Spanish", "jpn": "Japanese"}
WITHOUT_WORD_SPACES = {"jpn"}
BATCH = 8


@dataclass(frozen=True)
class Transcription:
    """Error rates of Whisper-base on a language's synthesis; `wer` is None without word spaces."""

    utterances: int
    seconds: float
    cer: float
    wer: float | None


class Transcriber:
    """Whisper-base with a file of what it has already transcribed, so that a killed run goes on."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
        self._recogniser: Recogniser | None = None

    def transcribe(
        self,
        keys: Sequence[str],
        waves: Callable[[str], np.ndarray],
        language: str,
        advance: Callable[[int], None],
    ) -> list[str]:
        """Text of every key's waveform (samples,) at 16 kHz; `advance` hears how many are done."""
        missing = [key for key in keys if key not in self._known]
        advance(len(keys) - len(missing))
        for first, last in pairwise([*range(0, len(missing), BATCH), len(missing)]):
            if self._recogniser is None:
                self._recogniser = Recogniser(whisper_folder("whisper-base"))
            batch = missing[first:last]
            texts = self._recogniser.transcribe([waves(key) for key in batch], language)
            self._known |= dict(zip(batch, texts, strict=True))
            self._cache.write_text(json.dumps(self._known, ensure_ascii=False, indent=0))
            advance(len(batch))
        return [self._known[key] for key in keys]


def measure_transcription(
    references: Sequence[str], hypotheses: Sequence[str], language: str, seconds: float
) -> Transcription:
    """Error rates over a whole language (sum of errors by sum of lengths), texts normalised."""
    counts = {"words": [0, 0], "characters": [0, 0]}
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        said, heard = normalise(reference, language), normalise(hypothesis, language)
        if language in WITHOUT_WORD_SPACES:
            said, heard = said.replace(" ", ""), heard.replace(" ", "")
        for unit, count in (("words", word_errors), ("characters", character_errors)):
            errors, length = count(said, heard)
            counts[unit][0] += errors
            counts[unit][1] += length
    cer, wer = (counts[u][0] / max(counts[u][1], 1) for u in ("characters", "words"))
    return Transcription(
        len(references), seconds, cer, None if language in WITHOUT_WORD_SPACES else wer
    )


def measure_voices(
    waves: Sequence[np.ndarray],
    voices: Sequence[str],
    sexes: Sequence[str],
    advance: Callable[[int], None],
) -> dict[str, float]:
    """EER of GE2E over all pairs of utterances, and over the pairs of one sex.

    Returns:
        "all": EER; "same sex": EER where target and non-target pairs are of one sex.
    """
    ge2e = Ge2e(ge2e_weights())
    embeddings = []
    for wave in waves:
        embeddings.append(ge2e.embed(wave))
        advance(1)
    scores = np.stack(embeddings) @ np.stack(embeddings).T
    rows, columns = np.triu_indices(len(waves), k=1)
    pair_scores = scores[rows, columns]
    voice, sex = np.asarray(voices), np.asarray(sexes)
    target = voice[rows] == voice[columns]
    same_sex = sex[rows] == sex[columns]
    return {
        "all": eer(pair_scores[target], pair_scores[~target]),
        "same sex": eer(pair_scores[target], pair_scores[~target & same_sex]),
    }


def write_card(
    path: Path,
    rows: Sequence[Mapping[str, object]],
    transcriptions: Mapping[str, Transcription],
    voice_eer: Mapping[str, float],
    facts: Mapping[str, float | int | str],
) -> None:
    """Write CARD.md from the manifest rows and what was measured.

    `facts`: seed, bytes, worst_cer (the limit), command.
    """
    shipped = {str(row["language"]) for row in rows}
    voices = {str(row["speaker"]): str(row["sex"]) for row in rows}
    sentences = {(row["language"], row["text"]) for row in rows}
    durations = [float(str(row["duration"])) for row in rows]
    table = [
        "| Language | Shipped | Utterances judged | Seconds | WER | CER |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for language, result in transcriptions.items():
        name, is_shipped = LANGUAGE_NAMES[language], "yes" if language in shipped else "no"
        wer = "-" if result.wer is None else f"{result.wer:.1%}"
        table.append(
            f"| {name} (`{language}`) | {is_shipped} | {result.utterances} "
            f"| {result.seconds:.0f} | {wer} | {result.cer:.1%} |"
        )
    of_sex = [f"{list(voices.values()).count(sex)} {sex}" for sex in sorted(set(voices.values()))]
    text = f"""# Card of the demo corpus

Speech synthesised by the project itself: {len(rows)} utterances of {len(sentences)} sentences in
{len(voices)} voices, {sum(durations):.0f} s in all ({min(durations):.1f} to {max(durations):.1f} s
each), 16 kHz 16-bit mono FLAC, {float(facts["bytes"]) / 1e6:.1f} MB with the manifest. No person
was recorded for it, and no voice in it is meant to be somebody's.

**It is for trying the tools; no verdict about speakers rests on it.** The voices are blends of
five styles of one synthesiser with small changes of pitch and formants ({", ".join(of_sex)}, by the
style that weighs most). Blends are no population: how well a judge or an attack tells them apart
says nothing about people. Use recorded speech (`--corpus PATH`) for that.

## How it was made
- Synthesiser: Kokoro-82M (weights: Apache-2.0), phonemes by espeak-ng. Code: `tools/kokoro.py`,
  `tools/voices.py`, `tools/make_demo_corpus.py`.
- Text: `tools/demo_sentences.tsv`, written for the project; none of it is among the sentences that
  the reference adapter was trained on. Every sentence is spoken by at least two voices; voices are
  dealt to sentences at random.
- An utterance under 2 s or over 10 s was replaced by the same sentence in another voice. None was
  left out for what a judge made of it.
- Rerun: `{facts["command"]}` (seed {facts["seed"]}).

## What Whisper-base hears
Greedy decoding with the language given; texts normalised as openai-whisper does. A language is
shipped if its CER is at most {float(facts["worst_cer"]):.0%}. Japanese is judged by characters
without spaces against normal spelling, so a word written in kana instead of kanji, or a number in
digits, counts as an error although it was heard rightly.

{chr(10).join(table)}

## How well GE2E tells the voices apart
Equal error rate over all pairs of utterances: {voice_eer["all"]:.1%}; over pairs of one sex:
{voice_eer["same sex"]:.1%}. This describes the material and no system.

## Licence
Apache-2.0, synthesised by the project.
"""
    path.write_text(text, encoding="utf-8")
