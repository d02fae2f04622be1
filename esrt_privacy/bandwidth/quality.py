"""What is left of a recording beside what it costs: STOI and WER of coded audio, WER of transcripts
made from tensors.

The audio is written down by a recogniser, the tensor by its own system's cloud half: two listeners,
so their WER tell formats of one kind apart better than the two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esrt_privacy.bandwidth.codecs import AudioFormat, Wave
from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.corpora.corpus import speakers_of
from esrt_privacy.findings import Interval
from esrt_privacy.measures.intervals import speaker_bootstrap_ratio
from esrt_privacy.measures.speech import stoi
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from torch import Tensor

    from esrt_privacy.corpora import Corpus, Utterance
    from esrt_privacy.systems.whole import CloudHalf, Translator

ENGLISH = "eng"
MOST_TOKENS = 160  # of a transcript


class Recogniser(Protocol):
    """As `judges.recogniser.Recogniser`."""

    def transcribe(self, waves: Sequence[np.ndarray], language: str | None = None) -> list[str]:
        """The text of each waveform."""
        ...


@dataclass(frozen=True)
class Heard:
    """STOI and WER of one format; None where it was not measured."""

    name: str
    stoi: Interval | None
    wer: Interval | None


def audio_quality(
    utterances: Sequence[Utterance],
    formats: Sequence[AudioFormat],
    recogniser: Recogniser | None,
    seed: int,
    report: Reporter = silent,
) -> list[Heard]:
    """Encode, decode and judge: STOI against the recording, over all; WER over English with a text.

    Formats that give the same samples back are listened to once. Raises AudioError where a
    recording cannot be read.
    """
    waves = [u.waveform() for u in utterances]
    texts = [place for place, u in enumerate(utterances) if scored(u)]
    speakers = speakers_of(utterances)
    known: dict[tuple[bytes, ...], tuple[Interval, Interval | None]] = {}
    found = []
    for done, each in enumerate(formats, start=1):
        decoded = [each.decode(each.encode(wave)) for wave in waves]
        key = tuple(_digest(wave) for wave in decoded)
        if key not in known:
            pairs = zip(waves, decoded, strict=True)
            scores = [stoi(sent, arrived) for sent, arrived in pairs]
            ones = np.ones(len(scores))
            rng = np.random.default_rng(seed)
            similar = speaker_bootstrap_ratio(scores, ones, speakers, rng)
            wer = None
            if recogniser is not None and texts:
                said = recogniser.transcribe([decoded[place] for place in texts], ENGLISH)
                wer = word_error_rate([utterances[place] for place in texts], said, seed)
            known[key] = Interval.of(similar), wer
        found.append(Heard(each.name, *known[key]))
        report("listening to coded audio", done, len(formats))
    return found


def tensor_quality(
    model: Translator,
    corpus: Corpus,
    formats: Sequence[TensorFormat],
    seed: int,
    report: Reporter = silent,
    most_tokens: int = MOST_TOKENS,
) -> list[Heard]:
    """WER of what the cloud half writes down from tensors that went through each format.

    Each recording is encoded once, for all formats.
    `corpus` must hold recordings that `scored` accepts. Raises ModelError, AssetError or CorpusError
    as the model does.
    """
    from esrt_privacy.evaluation.translation import TranslationOptions, translate

    options = TranslationOptions(to=(), most_tokens=most_tokens)
    once = _EncodedOnce(model)
    found = []
    for done, each in enumerate(formats, start=1):
        rows, _ = translate(_Packed(once, each), corpus, options)
        said = [row.transcript.transcript if row.transcript else "" for row in rows]
        wer = word_error_rate([row.utterance for row in rows], said, seed)
        found.append(Heard(each.name, None, wer))
        report("transcribing tensors", done, len(formats))
    return found


def scored(utterance: Utterance) -> bool:
    """Whether its words can be compared: English, with a text."""
    return utterance.language == ENGLISH and bool(utterance.text)


def word_error_rate(utterances: Sequence[Utterance], said: Sequence[str], seed: int) -> Interval:
    """WER after Whisper's normalisation, as a fraction, with a 95% interval over speakers."""
    from esrt_privacy.judges.transcripts import recognition_errors

    counts = recognition_errors([u.text or "" for u in utterances], said, ENGLISH)
    estimate = speaker_bootstrap_ratio(
        [count.errors for count in counts],
        [count.length for count in counts],
        speakers_of(utterances),
        np.random.default_rng(seed),
        clip=(0, np.inf),
    )
    return Interval.of(estimate)


class _EncodedOnce:
    """A system whose edge half sees each recording once; its tensors are kept for the next format."""

    def __init__(self, model: Translator) -> None:
        self._model = model
        self._kept: dict[bytes, Tensor] = {}

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Wire tensors (batch, vectors, width)."""
        import torch

        names = [_digest(wave) for wave in waves]
        new = {
            name: wave for name, wave in zip(names, waves, strict=True) if name not in self._kept
        }
        if new:
            self._kept.update(zip(new, self._model.encode(list(new.values())), strict=True))
        return torch.stack([self._kept[name] for name in names])

    def cloud(self) -> CloudHalf:
        """The model's own."""
        return self._model.cloud()


class _Packed:
    """A system whose wire tensors pass through a format on their way."""

    def __init__(self, model: Translator, through: TensorFormat) -> None:
        self._model = model
        self._through = through

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Wire tensors as they arrive, (batch, vectors, width)."""
        import torch

        wire = self._model.encode(waves)
        arrived = [self._through.unpack(self._through.pack(tensor)) for tensor in wire]
        return torch.stack(arrived).to(wire.dtype)

    def cloud(self) -> CloudHalf:
        """The model's own."""
        return self._model.cloud()


def _digest(wave: Wave) -> bytes:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(wave).tobytes()).digest()
