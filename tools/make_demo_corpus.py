"""Synthesise the demo corpus that the package ships: FLAC files, manifest.jsonl and CARD.md.

    python tools/make_demo_corpus.py --weights FOLDER --work FOLDER [--out FOLDER] [--workers 2]

Needs espeak-ng and the fetched weights of the judges (`esrt-privacy assets fetch`). Recordings and
transcripts are kept in the work folder under a name made of text and voice, so a killed run goes on
and only what has changed is made again. The output folder is replaced at the very end.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from demo_card import Transcriber, Transcription, measure_transcription, measure_voices, write_card
from kokoro import Kokoro, fetch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from voices import Voice, make_voices

HERE = Path(__file__).parent
OUT = HERE.parent / "esrt_privacy" / "data" / "demo"
POOL = HERE / "demo_sentences.tsv"
SEED = 41027  # unlike the seeds of the training voices
VOICES = 26
VOICES_PER_SENTENCE = 2
SENTENCES = 204
SENTENCES_OF_FURTHER_LANGUAGE = 36
FURTHER_LANGUAGES = ("spa", "jpn")
SHORTEST, LONGEST = 2.0, 10.0  # s
WORST_CER = 0.15
MOST_BYTES = 19_000_000
RATE = 16_000
PEAK = 0.35  # of full scale: a usual level for speech, and a bit a sample less than at 0.7
LICENCE = "Apache-2.0, synthesised by the project"


@dataclass(frozen=True)
class Sentence:
    """One line of the pool; `reading` is what the synthesiser is given."""

    id: str
    language: str
    text: str
    reading: str


@dataclass(frozen=True)
class Recording:
    """A sentence in a voice, and the file that holds it in the work folder."""

    sentence: Sentence
    voice: Voice
    file: Path
    seconds: float


@dataclass(frozen=True)
class Task:
    """A sentence with all voices in the order in which they are tried."""

    sentence: Sentence
    voices: tuple[Voice, ...]
    wanted: int
    folder: Path


def read_pool(path: Path = POOL) -> dict[str, list[Sentence]]:
    """Sentences by language (ISO 639-3); the id is the line's place among its language."""
    pool: dict[str, list[Sentence]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            of_language = pool.setdefault(row["language"], [])
            name = f"demo-{row['language']}-{len(of_language):03d}"
            reading = row["reading"] or row["text"]
            of_language.append(Sentence(name, row["language"], row["text"], reading))
    return pool


def plan(
    pool: dict[str, list[Sentence]],
    counts: dict[str, int],
    voices: Sequence[Voice],
    per_sentence: int,
    folder: Path,
    seed: int,
) -> list[Task]:
    """Draw `counts` sentences of each language and deal voices to them, every voice equally often.

    A language's draw does not depend on the other languages, so leaving one out changes nothing
    in those that stay.
    """
    tasks = []
    for language, count in counts.items():
        rng = np.random.default_rng([seed, *language.encode()])
        order = rng.permutation(len(pool[language]))
        deck: list[int] = []
        for i in order[:count]:
            if len(deck) < per_sentence:
                again = [int(v) for v in rng.permutation(len(voices)) if v not in deck]
                deck = [*deck, *again]
            first, deck = deck[:per_sentence], deck[per_sentence:]
            rest = [int(v) for v in rng.permutation(len(voices)) if v not in first]
            chosen = tuple(voices[v] for v in (*first, *rest))
            tasks.append(Task(pool[language][i], chosen, per_sentence, folder))
    return tasks


_kokoro: Kokoro | None = None  # one synthesiser for each worker process


def _start_worker(weights: Path) -> None:
    global _kokoro
    _kokoro = Kokoro(weights, threads=1)


def _speak(task: Task) -> list[Recording]:
    """The sentence in the first voices that take 2 to 10 s over it; files that exist are kept."""
    assert _kokoro is not None
    fitting = []
    for voice in task.voices:
        sentence = task.sentence
        content = f"{voice!r}|{PEAK}|{sentence.language}|{sentence.reading}"
        path = task.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:20]}.flac"
        if not path.exists():
            wave = voice.render(_kokoro, sentence.reading, sentence.language)
            wave = (PEAK / max(float(np.abs(wave).max()), 1e-6) * wave).astype(np.float32)
            partial = path.with_suffix(".part")
            soundfile.write(
                partial, wave, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0
            )
            partial.replace(path)
        seconds = soundfile.info(path).duration
        if SHORTEST <= seconds <= LONGEST:
            fitting.append(Recording(sentence, voice, path, seconds))
        if len(fitting) == task.wanted:
            return fitting
    return []  # too short or too long for nearly every voice: not in the corpus


def synthesise(
    tasks: Sequence[Task], weights: Path, workers: int, advance: Callable[[int], None]
) -> list[Recording]:
    """Speak every task in `workers` processes; the result is in the order of the tasks."""
    recordings: list[Recording] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_start_worker, initargs=(weights,)) as processes:
        for of_sentence in processes.imap(_speak, tasks):
            recordings += of_sentence
            advance(1)
    return recordings


def judge(
    recordings: Sequence[Recording],
    transcriber: Transcriber,
    advance: Callable[[int], None],
) -> dict[str, Transcription]:
    """Error rates of Whisper-base by language."""
    results = {}
    for language in sorted({r.sentence.language for r in recordings}):
        of_language = [r for r in recordings if r.sentence.language == language]
        by_key = {r.file.stem: r.file for r in of_language}
        heard = transcriber.transcribe(
            list(by_key), lambda key, files=by_key: _read(files[key]), language, advance
        )
        results[language] = measure_transcription(
            [r.sentence.text for r in of_language],
            heard,
            language,
            sum(r.seconds for r in of_language),
        )
    return results


def _read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def counts_of(languages: Sequence[str], sentences: int, of_further: int) -> dict[str, int]:
    """How many sentences of each language make `sentences`; English fills up."""
    further = [language for language in languages if language != "eng"]
    return {"eng": sentences - of_further * len(further), **dict.fromkeys(further, of_further)}


def write_corpus(recordings: Sequence[Recording], folder: Path) -> list[dict[str, object]]:
    """Copy the recordings to <voice>/<id>.flac of `folder`, write the manifest, return its rows."""
    rows: list[dict[str, object]] = []
    for recording in sorted(recordings, key=lambda r: (r.voice.name, r.sentence.id)):
        name = f"{recording.sentence.id}-{recording.voice.name}"
        audio = Path(recording.voice.name) / f"{name}.flac"
        (folder / audio.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(recording.file, folder / audio)
        rows.append(
            {
                "audio": audio.as_posix(),
                "id": name,
                "corpus": "demo",
                "speaker": recording.voice.name,
                "language": recording.sentence.language,
                "sex": recording.voice.sex,
                "text": recording.sentence.text,
                "duration": round(recording.seconds, 3),
                "licence": LICENCE,
            }
        )
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return rows


def main() -> None:
    """Synthesise, judge, choose the languages, write the corpus and its card."""
    options = _options()
    console = Console()
    recorded = options.work / "recordings"
    recorded.mkdir(parents=True, exist_ok=True)
    fetch(options.weights)  # once, before the workers look for the files
    voices = make_voices(options.voices, SEED, Kokoro(options.weights).styles, prefix="d")
    pool = read_pool()
    transcriber = Transcriber(options.work / "transcripts.json")
    languages: tuple[str, ...] = ("eng", *FURTHER_LANGUAGES)
    judged: dict[str, Transcription] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:

        def step(description: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(description, total=total)
            return lambda done: progress.advance(task, done)

        # When a language is refused, English fills its place: a second, smaller round.
        while True:
            counts = counts_of(languages, options.sentences, options.further)
            tasks = plan(pool, counts, voices, VOICES_PER_SENTENCE, recorded, SEED)
            advance = step("sentences spoken", len(tasks))
            recordings = synthesise(tasks, options.weights, options.workers, advance)
            judged |= judge(recordings, transcriber, step("transcribed", len(recordings)))
            refused = [language for language in languages if judged[language].cer > WORST_CER]
            for language, result in judged.items():
                wer = "" if result.wer is None else f", WER {result.wer:.1%}"
                console.print(f"{language}: CER {result.cer:.1%}{wer}")
            if "eng" in refused:
                raise SystemExit(
                    "Whisper-base does not understand the English synthesis; no corpus"
                )
            if not refused:
                break
            languages = tuple(language for language in languages if language not in refused)

        part = options.out.with_name(options.out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        rows = write_corpus(recordings, part)
        voice_eer = measure_voices(
            [_read(part / str(row["audio"])) for row in rows],
            [str(row["speaker"]) for row in rows],
            [str(row["sex"]) for row in rows],
            step("GE2E", len(rows)),
        )
    size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    facts = {
        "seed": SEED,
        "bytes": size,
        "worst_cer": WORST_CER,
        "command": "python tools/make_demo_corpus.py --weights FOLDER --work FOLDER",
    }
    write_card(part / "CARD.md", rows, judged, voice_eer, facts)
    if size > MOST_BYTES:
        raise SystemExit(f"{part}: {size} bytes, more than {MOST_BYTES}; lower --sentences")
    shutil.rmtree(options.out, ignore_errors=True)
    part.replace(options.out)
    sentences = {r.sentence.id for r in recordings}
    console.print(
        f"{len(rows)} utterances, {len(sentences)} sentences, {size} bytes, GE2E EER "
        f"{voice_eer['all']:.1%} (same sex {voice_eer['same sex']:.1%})\n{options.out}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="folder for Kokoro's files")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for what is made on the way"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--voices", type=int, default=VOICES)
    parser.add_argument(
        "--sentences", type=int, default=SENTENCES, help="of all languages together"
    )
    parser.add_argument("--further", type=int, default=SENTENCES_OF_FURTHER_LANGUAGE)
    return parser.parse_args()


if __name__ == "__main__":
    main()
