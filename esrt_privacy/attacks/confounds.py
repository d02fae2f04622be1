"""What a corpus lets one confuse: voice with recording, people with synthesis. A line each, empty where it does not."""

from __future__ import annotations

from collections import defaultdict

from esrt_privacy.corpora import Corpus

# Begins of the names of the corpora that this project speaks by machine: all of `tools/` that are synthesised.
SYNTHETIC_CORPORA = ("demo", "synth-", "phrasebook-")
NO_POPULATION = "synthetic voices are no population, so no verdict rests on them"


def synthetic_voices(corpus: Corpus) -> str:
    """Why no verdict on people can rest on the corpus's voices."""
    spoken_by_machine = any((u.corpus or "").startswith(SYNTHETIC_CORPORA) for u in corpus)
    return NO_POPULATION if spoken_by_machine else ""


def one_session_a_speaker(corpus: Corpus) -> str:
    """Why a group of one speaker's utterances may be a group of one microphone's.

    Nothing where most speakers have two known sessions, or where each utterance went through a channel of its own.
    """
    if has_channels(corpus):
        return ""
    sessions: dict[str, set[str]] = defaultdict(set)
    for u in corpus:
        if u.speaker is not None:
            sessions[u.speaker] |= {u.session} if u.session is not None else set()
    several = sum(len(known) > 1 for known in sessions.values())
    if sessions and 2 * several <= len(sessions):
        return (
            "one recording session a speaker, as far as is known: a voice and its microphone cannot be told apart"
            " without --channel"
        )
    return ""


def recorded_apart(corpus: Corpus, label: str) -> str:
    """Why an answer on `label` may be one on recordings: its values share no speaker and no session.

    Nothing where each utterance went through a channel of its own.
    """
    if has_channels(corpus):
        return ""
    values: dict[str, set[str]] = defaultdict(set)
    for u in corpus:
        value = getattr(u, label)
        if value is None:
            continue
        for name in (u.speaker and f"speaker {u.speaker}", u.session and f"session {u.session}"):
            if name:
                values[name].add(value)
    if any(len(met) > 1 for met in values.values()):
        return ""
    return (
        f"no speaker and no session occurs with two values of {label}: microphones, rooms and codecs may differ between"
        " the values too; --channel takes part of that away"
    )


def has_channels(corpus: Corpus) -> bool:
    """Whether every utterance went through a channel of its own."""
    channels = [u.channel for u in corpus]
    return bool(channels) and None not in channels and len(set(channels)) == len(channels)
