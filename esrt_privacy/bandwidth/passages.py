"""What crosses the connection: which requests are made for each format.

Every distinct recording crosses once in each audio format. Tensors of one shape have one length, so tensors of drawn
values stand for a recording's, except with zstd, where they are real. Of one format, the plain tensor, everything
crosses: a tensor for each draw and an identifier for each further language. Elsewhere one recording goes through all
languages, and `crossings.py` multiplies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.codecs import AudioFormat, encode_all
from esrt_privacy.bandwidth.connection import Connection, Format
from esrt_privacy.bandwidth.payloads import Sizes
from esrt_privacy.bandwidth.tensors import TensorFormat, tensor_formats
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.bandwidth.options import BandwidthRequest
    from esrt_privacy.captures import Capture
    from esrt_privacy.corpora import Utterance

MOST_TENSORS = 1_000  # of one format; more draws are multiplied
MOST_IDENTIFIERS = 50_000  # of one format


@dataclass(frozen=True)
class Passage:
    """The requests of one format that crossed."""

    format: Format
    bodies: tuple[int, ...]  # bytes of each recording's body
    carried: tuple[Carried, ...]  # what each took
    weights: tuple[float, ...]  # draws that each stands for
    further: tuple[Carried, ...]  # one recording again, whole, for each further language
    identifiers: tuple[Carried, ...]  # recordings again, by identifier
    opening: Carried
    utterances: tuple[Utterance, ...] = ()  # whose they are, where they are recordings
    all_draws: bool = False  # everything crossed that the draws ask for, within the bounds

    @property
    def draws(self) -> float:
        """All that the weights stand for."""
        return sum(self.weights)

    @property
    def beside(self) -> tuple[int, int]:
        """Least and most bytes upstream beside the body, of all requests that carried one whole."""
        found = [c.up - size for c, size in zip(self.carried, self.bodies, strict=True)]
        found += [c.up - self.bodies[0] for c in self.further]
        return min(found), max(found)


def all_passages(
    connection: Connection,
    sizes: Sizes,
    formats: Sequence[AudioFormat],
    shapes: Sequence[tuple[int, int]],
    captures: Sequence[Capture],
    request: BandwidthRequest,
    report: Reporter = silent,
) -> list[Passage]:
    """Everything that crosses once `audio_sizes` has carried the audio. Of the first shape all draws cross."""
    rng = np.random.default_rng(request.seed)
    languages, draws, distinct = request.languages, sizes.draw.samples, len(sizes.draw.utterances)
    found = audio_passages(connection, sizes, formats, languages)
    for shape in shapes:
        for each in tensor_formats(*shape):
            if each == TensorFormat(*shapes[0], "bf16"):
                passage = all_draws_passage(connection, each, draws, languages, rng, report)
            elif not each.zstd:
                passage = shape_passage(connection, each, distinct, draws, languages, rng)
            else:
                real = [capture for capture in captures if capture.shape == shape]
                found += [real_passage(connection, each, c, draws, languages) for c in real]
                continue
            found.append(passage)
        report("tensors of every shape over the connection", shapes.index(shape) + 1, len(shapes))
    return found


def audio_passages(
    connection: Connection, sizes: Sizes, formats: Sequence[AudioFormat], languages: int
) -> list[Passage]:
    """Passages of what `audio_sizes` has carried; the first recording crosses again for each further language."""
    first = encode_all(sizes.draw.utterances[0].waveform(), tuple(formats))
    counts = tuple(map(float, sizes.draw.counts))
    return [
        Passage(
            each,
            sizes.by_format[each.name],
            sizes.carried[each.name],
            counts,
            tuple(connection.carry(each, first[each.name]) for _ in range(languages - 1)),
            tuple(connection.refer(each, first[each.name]) for _ in range(languages - 1)),
            connection.opening(each),
            sizes.draw.utterances,
        )
        for each in formats
    ]


def all_draws_passage(
    connection: Connection,
    each: TensorFormat,
    draws: int,
    languages: int,
    rng: np.random.Generator,
    report: Reporter = silent,
) -> Passage:
    """A tensor for each draw, each with an identifier for each further language; no more than the bounds allow."""
    tensors = min(draws, MOST_TENSORS)
    bodies: list[int] = []
    carried: list[Carried] = []
    identifiers: list[Carried] = []
    for done, body in enumerate(_drawn_bodies(each, tensors, rng), start=1):
        bodies.append(len(body))
        carried.append(connection.carry(each, body))
        for _ in range(min(languages - 1, MOST_IDENTIFIERS - len(identifiers))):
            identifiers.append(connection.refer(each, body))
        report("tensors and identifiers over the connection", done, tensors)
    return Passage(
        each,
        tuple(bodies),
        tuple(carried),
        (draws / tensors,) * tensors,
        (),
        tuple(identifiers),
        connection.opening(each),
        all_draws=True,
    )


def shape_passage(
    connection: Connection,
    each: TensorFormat,
    distinct: int,
    draws: int,
    languages: int,
    rng: np.random.Generator,
) -> Passage:
    """A tensor for each distinct recording; the first goes through all further languages by its identifier."""
    bodies = list(_drawn_bodies(each, min(distinct, MOST_TENSORS), rng))
    weights = (draws / len(bodies),) * len(bodies)
    return _passage(connection, each, bodies, weights, languages, ())


def real_passage(
    connection: Connection, each: TensorFormat, capture: Capture, draws: int, languages: int
) -> Passage:
    """The tensors of a capture, whose mean stands for every draw."""
    counts: Counter[bytes] = Counter()
    first: dict[bytes, Utterance] = {}
    for utterance in capture.corpus.utterances:
        body = each.pack(capture.tensor(utterance))
        counts[body] += 1
        first.setdefault(body, utterance)  # a recording that is there twice gives one tensor
    share = draws / counts.total()
    weights = tuple(share * counts[body] for body in first)
    return _passage(connection, each, list(first), weights, languages, tuple(first.values()))


def first_body(passage: Passage, sizes: Sizes, seed: int) -> bytes:
    """A body of the length of the passage's first: of the first recording, or a tensor of drawn values."""
    if isinstance(passage.format, AudioFormat):
        return passage.format.encode(sizes.draw.utterances[0].waveform())
    return next(_drawn_bodies(passage.format, 1, np.random.default_rng(seed)))


def _passage(
    connection: Connection,
    each: TensorFormat,
    bodies: Sequence[bytes],
    weights: tuple[float, ...],
    languages: int,
    utterances: tuple[Utterance, ...],
) -> Passage:
    return Passage(
        each,
        tuple(map(len, bodies)),
        tuple(connection.carry(each, body) for body in bodies),
        weights,
        (),
        tuple(connection.refer(each, bodies[0]) for _ in range(languages - 1)),
        connection.opening(each),
        utterances,
    )


def _drawn_bodies(each: TensorFormat, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    import torch

    for _ in range(count):
        values = rng.standard_normal((each.vectors, each.width), dtype=np.float32)
        yield each.pack(torch.from_numpy(values))
