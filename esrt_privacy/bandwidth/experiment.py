"""A bandwidth run from a request to its record: draw, encode, compare, time."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from esrt_privacy import __version__
from esrt_privacy.bandwidth import crossings, quality, rows, shaped
from esrt_privacy.bandwidth.break_even import DURATIONS, STREAMS, joined_speech, size_curves
from esrt_privacy.bandwidth.codecs import audio_formats
from esrt_privacy.bandwidth.connection import Connection, connected, require_parts
from esrt_privacy.bandwidth.options import BandwidthRequest, PaperInputs
from esrt_privacy.bandwidth.passages import all_passages
from esrt_privacy.bandwidth.payloads import (
    Draw,
    Sizes,
    audio_sizes,
    draw_recordings,
)
from esrt_privacy.bandwidth.published import statements
from esrt_privacy.bandwidth.real_tensors import build, captured, real_sizes, system_names
from esrt_privacy.bandwidth.record import Bandwidth, DrawnCorpus, FormatRow, QualityRow
from esrt_privacy.bandwidth.tensors import tensor_formats
from esrt_privacy.corpora.audio import SAMPLE_RATE
from esrt_privacy.errors import AssetError, ModelError, SystemUnavailable
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.systems.base import wire_tap
from esrt_privacy.wire.errors import WireError

if TYPE_CHECKING:
    from esrt_privacy.bandwidth.tensors import TensorFormat
    from esrt_privacy.captures import Capture
    from esrt_privacy.corpora import Corpus
    from esrt_privacy.systems.base import System
    from esrt_privacy.systems.whole import Translator

ENOUGH_SECONDS = 90.0  # of speech for the break-even's joined recordings: three streams' worth
LIBRARIES = ("av", "numpy", "safetensors", "torch", "zstandard")
COUNTED_BODIES = (
    "payload bytes: the body of each request alone, computed without a connection; HTTP, TLS, TCP and IP come on"
    " top"
)
COUNTED_CONNECTION = (
    "payload bytes: the body of each request; beside them what it took on a real connection, as TCP payload with the"
    " headers of HTTP/1.1 or gRPC and TLS, and an estimate of TCP's and IP's headers. Transfer times are of all of it"
)


@dataclass
class _Parts:
    """What a run has found out beside the sizes of audio, and what it could not."""

    captures: list[Capture] = field(default_factory=list)
    model: Translator | None = None  # asked for by name
    quality: list[quality.Heard] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def measure(
    request: BandwidthRequest,
    report: Reporter = silent,
    recogniser: quality.Recogniser | None = None,
) -> Bandwidth:
    """Carry out a request.

    `recogniser` listens to coded audio; by default Whisper-tiny.en. Where the reference's weights are
    not here, what needs them is left out with a note; a system or model asked for by name has to be
    there. So it is with the connection, where gRPC is not installed. Raises one of the package's
    errors, in one line.
    """
    from esrt_privacy.corpora import load_corpus

    request.check()
    arithmetic = statements(request.inputs, request.languages)
    parts = _Parts()
    corpus = load_corpus(request.corpus, report)
    # Before any work: an unknown system is said now.
    systems = _systems(request, parts)
    if request.model is not None and request.listened:
        parts.model = _model(request.model, request)

    formats = audio_formats()
    draw = draw_recordings(corpus, request.samples, request.seed)
    shapes = _shapes(request.inputs, systems)
    with _connection(request, shapes, parts) as connection:
        sizes = audio_sizes(draw, formats, connection, report)
        few = _few(corpus, sizes.draw, request)
        parts.captures = captured(systems, few, report) if systems and len(few) else []
        if connection is not None:
            crossed = all_passages(
                connection, sizes, formats, shapes, parts.captures, request, report
            )
    passages = crossed if connection is not None else []

    table = rows.audio_rows(sizes, formats, request.seed)
    for vectors, width in shapes:
        kinds = tensor_formats(vectors, width)
        table += rows.shape_rows(sizes, kinds)
        for capture in parts.captures:
            if capture.shape == (vectors, width):
                real = real_sizes(capture, [kind for kind in kinds if kind.zstd])
                table += rows.real_rows(sizes, real, request.seed)
    curves = rows.curve_rows(_curves(sizes.draw, request.seed, report), table)
    if len(few):
        _listen(request, few, parts, recogniser, report)
    costs = {each.format.name: crossings.costs(each) for each in passages}
    return Bandwidth(
        tool_version=__version__,
        created=datetime.now(UTC),
        command=request.command or shlex.join(sys.argv),
        counted=COUNTED_CONNECTION if passages else COUNTED_BODIES,
        corpus=_drawn_corpus(corpus, sizes),
        seed=request.seed,
        statements=arithmetic,
        formats=tuple(table),
        durations=DURATIONS,
        curves=tuple(curves),
        break_even=tuple(rows.break_even_rows(curves)),
        quality=tuple(_quality_rows(parts.quality, table)),
        quality_recordings=len(few),
        transfers=tuple(rows.transfer_rows(table, costs, request, sizes.draw.samples)),
        connection=crossings.on_connection(passages, request) if passages else None,
        shaped=shaped.check(request, sizes, passages, report) if request.shaped else None,
        identifier_bytes=request.identifier_bytes,
        fingerprints={
            "corpus": corpus.fingerprint,
            **{f"tensors of {c.system_name}": c.system_fingerprint for c in parts.captures},
        },
        versions=_versions(bool(passages)),
        notes=(*sizes.notes, *_said_of(corpus, few, parts), *parts.notes),
    )


@contextmanager
def _connection(
    request: BandwidthRequest, shapes: Sequence[tuple[int, int]], parts: _Parts
) -> Iterator[Connection | None]:
    """The connection of a run; None, with a note, where it was not asked for or its parts are not installed."""
    if not request.connection:
        parts.notes.append("no connection was made (--no-connection): bodies alone were counted")
        yield None
        return
    try:
        require_parts()
    except WireError as error:
        parts.notes.append(f"no connection was made: {error}")
        yield None
        return
    with connected(shapes, request.identifier_bytes) as connection:
        yield connection


def _systems(request: BandwidthRequest, parts: _Parts) -> list[System]:
    if not request.listened:
        parts.notes.append("no tensor was made (--listened 0): sizes with zstd are left out")
        return []
    try:
        names = system_names(request.system)
        return build(names, request.weights, request.allow_remote_code)
    except AssetError as error:
        if request.system != BandwidthRequest.system:
            raise
        parts.notes.append(f"no tensor was made, sizes with zstd are left out: {error}")
        return []


def _few(corpus: Corpus, draw: Draw, request: BandwidthRequest) -> Corpus:
    """The recordings that networks hear: few, drawn by the seed from the readable ones."""
    from esrt_privacy.evaluation.translation import drawn

    readable = replace(corpus, utterances=draw.utterances, notes=())
    if not request.listened:
        return replace(readable, utterances=())
    return drawn(readable, request.listened, request.seed)


def _shapes(inputs: PaperInputs, systems: Sequence[System]) -> list[tuple[int, int]]:
    """The paper's two shapes, and any other that a system under test has."""
    shapes = [(inputs.queries, inputs.width), (inputs.lite_queries, inputs.width)]
    return list(dict.fromkeys([*shapes, *(wire_tap(system).shape for system in systems)]))


def _curves(draw: Draw, seed: int, report: Reporter) -> dict[str, tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    waves, seconds = [], 0.0
    for place in rng.permutation(len(draw.utterances)):
        waves.append(draw.utterances[place].waveform())
        seconds += waves[-1].size / SAMPLE_RATE
        if seconds >= ENOUGH_SECONDS:
            break
    return size_curves(joined_speech(waves, rng, STREAMS), audio_formats(), report=report)


def _listen(
    request: BandwidthRequest,
    few: Corpus,
    parts: _Parts,
    recogniser: quality.Recogniser | None,
    report: Reporter,
) -> None:
    texts = few.filter(quality.scored)
    if len(texts) < len(few):
        parts.notes.append(
            f"WER over {len(texts)} of these {len(few)} recordings: the others are not English or have no text"
        )
    if recogniser is None and len(texts):
        from esrt_privacy.judges.recogniser import Recogniser

        try:
            recogniser = Recogniser.load("whisper-tiny.en", request.weights)
        except AssetError as error:
            parts.notes.append(f"no WER of coded audio: {error}")
    parts.quality += quality.audio_quality(
        few.utterances, audio_formats(), recogniser, request.seed, report
    )
    if not len(texts):
        return
    names = system_names(request.system) if parts.model is None else (request.model or "",)
    for name in names:
        try:
            model = parts.model or _model(name, request)
            vectors, width = model.encode([np.zeros(SAMPLE_RATE, dtype=np.float32)]).shape[1:]
            kinds = _lossy_apart(vectors, width)
            parts.quality += quality.tensor_quality(model, texts, kinds, request.seed, report)
        except (AssetError, SystemUnavailable, ModelError) as error:
            if parts.model is not None:
                raise
            parts.notes.append(f"no WER of transcripts from tensors: {error}")
            break  # the pair shares its weights: the other would say the same


def _model(name: str, request: BandwidthRequest) -> Translator:
    from esrt_privacy.systems.whole import load_translator

    return load_translator(name, request.weights, request.allow_remote_code)


def _lossy_apart(vectors: int, width: int) -> list[TensorFormat]:
    """One format for each way that values are rounded: zstd and base64 give the same values."""
    return [kind for kind in tensor_formats(vectors, width) if not (kind.zstd or kind.in_json)]


def _quality_rows(heard: Sequence[quality.Heard], table: Sequence[FormatRow]) -> list[QualityRow]:
    sizes = {row.name: row.bytes_per_recording.value for row in table}
    return [
        QualityRow(
            name=each.name,
            bytes_per_recording=sizes.get(each.name),
            stoi=each.stoi,
            wer=each.wer,
            transcriber="Whisper-tiny.en" if each.stoi is not None else "the system's cloud half",
        )
        for each in heard
    ]


def _drawn_corpus(corpus: Corpus, sizes: Sizes) -> DrawnCorpus:
    draw = sizes.draw
    return DrawnCorpus(
        name=corpus.name,
        fingerprint=corpus.fingerprint,
        available=len(corpus),
        samples=draw.samples,
        distinct=len(draw.utterances),
        with_replacement=draw.with_replacement,
        speakers=len({u.speaker for u in draw.utterances if u.speaker is not None}),
        seconds_mean=sizes.spoken / draw.samples,
        seconds_shortest=min(sizes.seconds),
        seconds_longest=max(sizes.seconds),
        notes=(draw.says(len(corpus)), *corpus.notes),
    )


def _versions(connection: bool) -> dict[str, str]:
    used = (*LIBRARIES, "grpcio") if connection else LIBRARIES
    return {name: importlib.metadata.version(name) for name in used}


def _said_of(corpus: Corpus, few: Corpus, parts: _Parts) -> list[str]:
    notes = [
        f"break-even: sizes by duration are means of {STREAMS} joined recordings of 30 s, cut to each length"
    ]
    if parts.captures:
        held = min(len(capture.corpus) for capture in parts.captures)
        notes.append(
            f"zstd sizes are means over {held} real tensors, not over all draws: the values decide them"
        )
    if any(u.corpus == "demo" for u in corpus):
        notes.append(
            "the demo corpus is synthetic and its recordings are short, taken as they are: a tensor costs the"
            " same for any duration, so longer speech is kinder to it (see the break-even)"
        )
    if len(few):
        notes.append(f"STOI over {len(few)} of the distinct recordings, drawn by the seed")
    return notes
