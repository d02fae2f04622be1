"""What the LLM answers, taken apart: `{text}<|src|><|tgt|>{translation}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from esrt_privacy.esrt.language_tags import language_of

_TAG = re.compile(r"<\|[^<|>]+\|>")


@dataclass(frozen=True)
class Answer:
    """One recording in one target language."""

    transcript: str
    translation: str  # empty for a transcription
    language_ok: bool  # the answer names the languages that were asked for, in their places
    complete: bool  # it has all its parts and came to its own end


def parse_answer(text: str, source: str, target: str | None, ended: bool = True) -> Answer:
    """Take apart a decoded answer, which may be anything; `target` None: a transcription, without tags.

    The transcript ends at the first language tag; the translation stands between the second (or the
    only one) and any further. `ended`: whether <eos> came, rather than the limit of tokens.
    """
    tags = [tag for tag in _TAG.finditer(text) if language_of(tag[0]) is not None]
    transcript = text[: tags[0].start()] if tags else text
    translation = ""
    if tags and target is not None:
        last = tags[min(1, len(tags) - 1)]
        translation = text[last.end() : tags[2].start() if len(tags) > 2 else None]
    asked = [] if target is None else [source, target]
    adjacent = len(tags) < 2 or not text[tags[0].end() : tags[1].start()].strip()
    language_ok = adjacent and [language_of(tag[0]) for tag in tags] == asked
    complete = ended and len(tags) >= len(asked)
    return Answer(transcript.strip(), translation.strip(), language_ok, complete)
