"""Which of the recordings found can be used: headers are opened, long recordings are cut."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from esrt_privacy.corpora.audio import WINDOW_SECONDS, audio_seconds
from esrt_privacy.corpora.utterance import Found, Utterance, shown
from esrt_privacy.errors import AudioError


def admit(utterances: Iterable[Utterance]) -> Found:
    """Open each file's header; leave out what is no audio, cut what is longer than 30 s.

    Nothing is decoded, so thousands of files take seconds; damage that only decoding shows comes
    later, as an AudioError from `Utterance.waveform`. A window's id is ``<id>#1``, ``<id>#2`` …
    """
    admitted: list[Utterance] = []
    notes: list[str] = []
    for utterance in utterances:
        try:
            seconds = audio_seconds(utterance.audio)
        except AudioError as error:
            notes.append(f"left out {shown(error, 400)}")
            continue
        if seconds <= WINDOW_SECONDS:
            admitted.append(replace(utterance, duration=seconds))
        else:
            windows = cut(utterance, seconds)
            admitted += windows
            notes.append(_cut_note(utterance, seconds, len(windows)))
    return Found(admitted, notes)


def cut(utterance: Utterance, seconds: float) -> list[Utterance]:
    """Cut a recording of ``seconds`` into the fewest equal windows of at most 30 s.

    Equal windows leave no tail too short to use. Text and translations cannot be placed without an
    alignment, so the windows carry none.
    """
    count = math.ceil(seconds / WINDOW_SECONDS)
    edges = [seconds * index / count for index in range(count)] + [seconds]
    return [
        replace(
            utterance,
            id=f"{utterance.id}#{index + 1}",
            text=None,
            translations={},
            duration=edges[index + 1] - edges[index],
            start=edges[index],
            end=edges[index + 1],
        )
        for index in range(count)
    ]


def _cut_note(utterance: Utterance, seconds: float, count: int) -> str:
    lost = "; its text is not used, being unaligned" if utterance.text is not None else ""
    return (
        f"cut {shown(utterance.audio)} ({seconds:.1f} s) into {count} windows of "
        f"{seconds / count:.1f} s, ids {shown(utterance.id)}#1 to #{count}{lost}"
    )
