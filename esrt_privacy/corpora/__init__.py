"""Utterances and corpora: what is read, from where, through which channel, and who may use it."""

from esrt_privacy.corpora.audio import SAMPLE_RATE, WINDOW_SECONDS, audio_seconds, read_audio
from esrt_privacy.corpora.channel import Channel
from esrt_privacy.corpora.corpus import Corpus, check, load_corpus
from esrt_privacy.corpora.split import ROLES, Split, make_split
from esrt_privacy.corpora.utterance import Utterance

__all__ = [
    "ROLES",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
    "Channel",
    "Corpus",
    "Split",
    "Utterance",
    "audio_seconds",
    "check",
    "load_corpus",
    "make_split",
    "read_audio",
]
