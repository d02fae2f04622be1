"""LibriSpeech as it unpacks: SPEAKER/CHAPTER/SPEAKER-CHAPTER-N.flac beside a .trans.txt.

Panayotov, Chen, Povey and Khudanpur, "Librispeech: an ASR corpus based on public domain audio
books", ICASSP 2015, doi:10.1109/ICASSP.2015.7178964.
"""

from __future__ import annotations

from pathlib import Path

from esrt_privacy.corpora.utterance import Found, Utterance, shown

_TRANSCRIPTS = ("*/*/*.trans.txt", "*/*/*/*.trans.txt")  # a subset, or the folder of subsets


def is_tree(root: Path) -> bool:
    """Whether ``root`` is a LibriSpeech subset (train-clean-100) or the folder of subsets."""
    return any(_is_chapter(path) for pattern in _TRANSCRIPTS for path in root.glob(pattern))


def load(root: Path) -> Found:
    """Read a subset, or every subset below ``root``, sorted by path; the session is the chapter.

    The speaker's sex is taken from SPEAKERS.TXT in ``root`` or up to two folders above it.
    """
    notes: list[str] = []
    sexes = _sexes(root, notes)
    transcripts = (path for pattern in _TRANSCRIPTS for path in root.glob(pattern))
    chapters = sorted({path.parent for path in transcripts if _is_chapter(path)})
    utterances = [u for chapter in chapters for u in _chapter(chapter, sexes, notes)]
    return Found(utterances, notes)


def _is_chapter(transcript: Path) -> bool:
    chapter = transcript.parent
    return transcript.name == f"{chapter.parent.name}-{chapter.name}.trans.txt"


def _chapter(folder: Path, sexes: dict[str, str], notes: list[str]) -> list[Utterance]:
    speaker, chapter = folder.parent.name, folder.name
    texts = _transcripts(folder / f"{speaker}-{chapter}.trans.txt", notes)
    utterances = []
    for audio in sorted(folder.glob(f"{speaker}-{chapter}-*.flac")):
        if audio.stem not in texts:
            notes.append(f"{shown(audio)}: no transcript; used without its text")
        utterances.append(
            Utterance(
                id=audio.stem,
                audio=audio,
                speaker=speaker,
                session=chapter,
                language="eng",
                sex=sexes.get(speaker),
                text=texts.get(audio.stem),
                corpus="librispeech",
                licence="CC BY 4.0",
            )
        )
    return utterances


def _transcripts(path: Path, notes: list[str]) -> dict[str, str]:
    texts = {}
    for line in _lines(path, notes):
        name, _, text = line.strip().partition(" ")
        if text.strip():
            texts[name] = text.strip()
    return texts


def _sexes(root: Path, notes: list[str]) -> dict[str, str]:
    root = root.resolve()
    for folder in (root, *root.parents[:2]):
        path = folder / "SPEAKERS.TXT"
        if path.is_file():
            rows = [line.split("|") for line in _lines(path, notes) if not line.startswith(";")]
            sexes = {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
            return {speaker: sex for speaker, sex in sexes.items() if sex in {"F", "M"}}
    return {}


def _lines(path: Path, notes: list[str]) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        notes.append(f"{shown(path)}: cannot be read ({error.strerror}); used without it")
        return []
