"""When is there speech and when a pause? A mask at 20 ms read off the tensor, against one of the true audio.

The floors know the right length, which the attacker has to find out: the mask of another utterance brought to that
length, and speech from the usual onset to the usual offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.folds import make_folds
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.attacks.pause_reader import Masks, train_pause_reader
from esrt_privacy.attacks.sequences import readable
from esrt_privacy.attacks.speech_pauses import FRAMES, speech_pauses
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.errors import AudioError
from esrt_privacy.progress import Reporter, silent

ANOTHER = "another utterance at the right length"
USUAL = "usual onset and offset"
FLOORS = (ANOTHER, USUAL)
LEAST_SPEAKERS = 2


def measure_pauses(inputs: Inputs, tap: str, seed: int, report: Reporter = silent) -> Answers:
    """Read the mask of every test utterance at one tap.

    Answers hold `pauses.truth`, `pauses.attack` and one `pauses.<floor>` for each of FLOORS, (utterances, 1500) of 0
    and 1 in frames of 20 ms, `pauses.frames` (utterances,) of each utterance; and the rows `pauses.ids`,
    `pauses.speakers`, `pauses.readers` (one a fold). Where audio or people are missing they hold a note.
    """
    capture = inputs.captures[tap]
    masks, notes = _true_masks(inputs, capture)
    test = inputs.test.filter(lambda u: u.id in masks)
    training = None if inputs.training is None else inputs.training.filter(lambda u: u.id in masks)
    if len({*speakers_of(test), *speakers_of(training or ())}) < LEAST_SPEAKERS or not len(test):
        return Answers(
            notes=(*notes, "pauses: not asked, no two speakers with audio that holds speech")
        )
    folds = make_folds(test, training, inputs.folds, seed)
    place = {u.id: i for i, u in enumerate(test)}
    tables = {
        name: np.zeros((len(test), FRAMES), dtype=np.uint8) for name in ("truth", "attack", *FLOORS)
    }
    readers = []
    for number, fold in enumerate(folds):
        report(f"pauses at {tap}", number, len(folds))
        reader = train_pause_reader(capture, fold.training, fold.development, masks, seed)
        readers.append(reader.name)
        heard = reader.read(fold.test)
        learnt = (*fold.training, *fold.development)
        margins = _usual_margins([masks[u.id] for u in learnt])
        for u, row in zip(fold.test, heard, strict=True):
            i, true = place[u.id], masks[u.id]
            tables["attack"][i] = row
            tables["truth"][i, : len(true)] = true
            tables[ANOTHER][i, : len(true)] = _stretched(_nearest(u, learnt, masks), len(true))
            tables[USUAL][i, : len(true)] = _between(*margins, len(true))
    report(f"pauses at {tap}", len(folds), len(folds))
    frames = np.array([len(masks[u.id]) for u in test])
    return Answers(
        {
            **{f"pauses.{name}": table for name, table in tables.items()},
            "pauses.frames": frames,
        },
        {
            "pauses.ids": tuple(u.id for u in test),
            "pauses.speakers": tuple(speakers_of(test)),
            "pauses.readers": tuple(readers),
        },
        notes,
    )


def _true_masks(inputs: Inputs, capture: Capture) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Masks of all utterances that can be read and hold speech. A channel delays nothing, so the clean audio tells."""
    everyone, notes = readable(capture, (*inputs.test, *(inputs.training or ())))
    masks, silent_ones, deaf = {}, 0, []
    for u in everyone:
        try:
            mask = speech_pauses(replace(u, channel=None).waveform())
        except AudioError as error:
            deaf.append(str(error))
            continue
        if mask.any():
            masks[u.id] = mask
        else:
            silent_ones += 1
    if deaf:
        notes = (*notes, f"pauses: {len(deaf)} utterances without their audio (first: {deaf[0]})")
    if silent_ones:
        notes = (*notes, f"pauses: {silent_ones} utterances hold no speech")
    return masks, notes


def _nearest(u: Utterance, others: Sequence[Utterance], masks: Masks) -> np.ndarray:
    """The mask of the other speakers' utterance that is nearest in length; of two the first by id."""
    length = len(masks[u.id])
    return masks[min(others, key=lambda v: (abs(len(masks[v.id]) - length), v.id)).id]


def _stretched(mask: np.ndarray, length: int) -> np.ndarray:
    """The mask brought to another length, by the nearest frame."""
    place = ((np.arange(length) + 0.5) * len(mask) / length).astype(int)
    return mask[place]


def _usual_margins(masks: Sequence[np.ndarray]) -> tuple[int, int]:
    """Median number of frames before the first and behind the last speech."""
    spoken = [np.flatnonzero(mask) for mask in masks]
    before = np.median([frames[0] for frames in spoken])
    behind = np.median([len(m) - 1 - f[-1] for m, f in zip(masks, spoken, strict=True)])
    return round(float(before)), round(float(behind))


def _between(before: int, behind: int, length: int) -> np.ndarray:
    mask = np.zeros(length, dtype=bool)
    mask[min(before, length - 1) : max(before + 1, length - behind)] = True
    return mask
