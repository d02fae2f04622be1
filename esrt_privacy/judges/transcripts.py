"""What a transcript gets wrong, counted as a language is written: in words, or in characters."""

from collections.abc import Sequence

from esrt_privacy.judges.recogniser import normalise
from esrt_privacy.measures.text import ErrorCount, character_errors, word_errors

# ISO 639-3 codes of languages that set no blanks between words.
BY_CHARACTER = frozenset({"cmn", "yue", "jpn", "tha", "lao", "khm", "mya"})


def recognition_errors(
    texts: Sequence[str], heard: Sequence[str], language: str
) -> list[ErrorCount]:
    """Of each recording the errors in what was heard, after normalisation: in words, or in characters where
    words are not told apart."""
    pairs = [
        (normalise(text, language), normalise(said, language))
        for text, said in zip(texts, heard, strict=True)
    ]
    if language not in BY_CHARACTER:
        return [word_errors(text, said) for text, said in pairs]
    # Blanks between characters are the normaliser's, not the writer's.
    return [character_errors("".join(a.split()), "".join(b.split())) for a, b in pairs]
