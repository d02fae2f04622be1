"""Errors of a transcript against a reference, as counts, so that a corpus adds up before dividing.

Both sides are compared as given: normalise first (`judges.recogniser.normalise`), or capitals and
commas count as errors.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class ErrorCount(NamedTuple):
    """Edits (substitutions + deletions + insertions) and the reference's length, in one unit."""

    errors: int
    length: int


def word_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Word edits between two texts, words split at white space.

    An empty reference has length 0 and every word of the hypothesis is an insertion, so a
    recogniser that invents speech in silence is charged for it in a corpus's sum.

    Source: Levenshtein distance over words; Morris, Maier & Green, "From WER and RIL to MER and
    WIL", Interspeech 2004, doi:10.21437/Interspeech.2004-668 (their WER, kept as two counts).
    """
    return _word_edits(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Character edits between two texts; runs of white space count as one space, ends are trimmed.

    The measure for languages that put no space between words. An empty reference has length 0 and
    every character of the hypothesis is an insertion.

    Source: as `word_errors`, over characters (Unicode code points).
    """
    import jiwer

    reference = " ".join(reference.split())
    hypothesis = " ".join(hypothesis.split())
    if not reference or not hypothesis:
        return ErrorCount(max(len(reference), len(hypothesis)), len(reference))
    found = jiwer.process_characters(reference, hypothesis)
    return ErrorCount(found.substitutions + found.deletions + found.insertions, len(reference))


def error_rate(counts: Iterable[tuple[int, int]]) -> float:
    """Error rate of a corpus: the sum of errors over the sum of lengths (may exceed 1).

    A mean of the utterances' own rates would let a one-word utterance weigh as much as a long one.
    Returns nan when no utterance has a reference.
    """
    errors = length = 0
    for utterance_errors, utterance_length in counts:
        errors += utterance_errors
        length += utterance_length
    return errors / length if length else float("nan")


def _word_edits(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCount:
    import jiwer

    # jiwer refuses an empty reference; with one side empty the distance is the other's length.
    if not reference or not hypothesis:
        return ErrorCount(max(len(reference), len(hypothesis)), len(reference))
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    return ErrorCount(found.substitutions + found.deletions + found.insertions, len(reference))
