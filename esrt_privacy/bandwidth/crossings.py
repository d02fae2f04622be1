"""Requests that crossed as rows of a record: what one takes, what all draws take, what a link carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from esrt_privacy.bandwidth.carried import Carried
from esrt_privacy.bandwidth.codecs import AudioFormat
from esrt_privacy.bandwidth.connection import goes_to_api, protocol
from esrt_privacy.bandwidth.passages import Passage
from esrt_privacy.bandwidth.payloads import mean_bytes
from esrt_privacy.bandwidth.record import Crossing, OnConnection, Traffic
from esrt_privacy.bandwidth.speech_api import TRANSCRIPT, TRANSLATION
from esrt_privacy.bandwidth.tcp_ip import OPENING_AND_END, header_bytes
from esrt_privacy.bandwidth.transfer import GRPC_HANDSHAKES, HANDSHAKES, Costs
from esrt_privacy.findings import Interval

if TYPE_CHECKING:
    from esrt_privacy.bandwidth.options import BandwidthRequest


def on_connection(passages: Sequence[Passage], request: BandwidthRequest) -> OnConnection:
    """The record's part, with what crossed and what was multiplied, in words."""
    traffic = [row for each in passages for row in traffic_rows(each, request.languages)]
    return OnConnection(
        notes=tuple(_said_of(passages, request.languages)),
        crossings=tuple(crossing_row(each, request.seed) for each in passages),
        traffic=tuple(traffic),
    )


def crossing_row(passage: Passage, seed: int) -> Crossing:
    """What one request of a format takes, whole and by identifier."""
    each = passage.format
    ups = [c.up for c in passage.carried]
    if passage.utterances:
        estimate = mean_bytes(ups, passage.weights, passage.utterances, seed)
        up = Interval.of(estimate)
    else:
        up = Interval(value=float(np.mean(ups)), n=len(ups), method=f"mean of {len(ups)} requests")
    identifiers = [c.up for c in passage.identifiers]
    least, most = passage.beside
    return Crossing(
        name=each.name,
        protocol=protocol(each),
        up=up,
        down=_mean(passage.carried, passage.weights).down,
        beside_least=least,
        beside_most=most,
        opening_up=passage.opening.up,
        opening_down=passage.opening.down,
        identifier_up=_mean(passage.identifiers).up if identifiers else None,
        identifier_up_most=max(identifiers) if identifiers else None,
        identifier_down=_mean(passage.identifiers).down if identifiers else None,
        recordings_crossed=len(passage.carried) + len(passage.further),
        identifiers_crossed=len(passage.identifiers),
    )


def traffic_rows(passage: Passage, languages: int) -> list[Traffic]:
    """All draws on one connection: into one language, and into all without and with the feature cache."""
    whole, identifiers = len(passage.carried), len(passage.identifiers)
    rows = [_traffic(passage, 1, False, whole)]
    if languages > 1:
        rows.append(_traffic(passage, languages, False, whole + len(passage.further)))
        rows.append(_traffic(passage, languages, True, whole + identifiers))
    return rows


def costs(passage: Passage) -> Costs:
    """Mean bytes on a link: TCP payload with the estimated headers of TCP and IP."""
    whole = _with_headers(passage.carried, passage.weights)
    named = _with_headers(passage.identifiers) if passage.identifiers else whole
    opening = passage.opening.plus(header_bytes(passage.opening)).plus(OPENING_AND_END)
    return Costs(
        whole=whole.up,
        identifier=named.up,
        answer=whole.down,
        identifier_answer=named.down,
        opening=float(opening.up + opening.down),
        handshakes=HANDSHAKES if goes_to_api(passage.format) else GRPC_HANDSHAKES,
    )


def _said_of(passages: Sequence[Passage], languages: int) -> list[str]:
    audio = [each for each in passages if isinstance(each.format, AudioFormat)]
    full = next(
        each for each in passages if not isinstance(each.format, AudioFormat) and each.all_draws
    )
    further = languages - 1
    requests = sum(len(e.carried) + len(e.further) + len(e.identifiers) for e in passages)
    said = [
        f"{requests:,} requests crossed one loopback connection for each server, through a proxy that counts, and were"
        " answered at once by a stub: bytes are those of a connection, times are not",
        f"audio: {len(audio[0].carried):,} distinct recordings crossed in each of {len(audio)} formats and count as"
        " often as they were drawn",
        f"{full.format.name}: {len(full.carried):,} tensors and {len(full.identifiers):,} identifiers crossed for"
        f" {round(full.draws):,} draws in {languages} languages; the rest, if any, is multiplied",
        "other tensors: one crossed for each distinct recording, those with zstd for each that was listened to; draws"
        " are multiplied",
        "tensors hold drawn values where their length is the same for all, real ones with zstd",
        "answers are two sentences of"
        f" {len(TRANSCRIPT)} and {len(TRANSLATION)} characters; real ones differ, and more bytes come down with them",
    ]
    if further:
        said.append(
            f"{further} further languages: in every other format one recording crossed for each, by its identifier and,"
            " as audio, whole too; the other recordings are multiplied. Without the cache a tensor is taken to cost"
            " each time what it cost the first time"
        )
    return said


class _Bytes(NamedTuple):
    """Means of bytes each way."""

    up: float
    down: float


def _traffic(passage: Passage, languages: int, cached: bool, crossed: int) -> Traffic:
    draws = passage.draws
    total = np.zeros(4)  # payload up, down, headers up, down
    for carried, weight in zip(passage.carried, passage.weights, strict=True):
        repeats = 1 if cached else languages
        total += weight * repeats * np.array([*carried, *header_bytes(carried)])
    if cached:
        each = [np.array([*c, *header_bytes(c)]) for c in passage.identifiers]
        total += draws * (languages - 1) * np.mean(each, axis=0)
    opening = header_bytes(passage.opening).plus(OPENING_AND_END)
    total += np.array([*passage.opening, *opening])
    return Traffic(
        name=passage.format.name,
        languages=languages,
        cached=cached,
        requests=round(draws * languages),
        crossed=crossed,
        up=total[0],
        down=total[1],
        headers_up=total[2],
        headers_down=total[3],
    )


def _mean(carried: Sequence[Carried], weights: Sequence[float] | None = None) -> _Bytes:
    up, down = np.average(np.array(carried, dtype=np.float64), axis=0, weights=weights)
    return _Bytes(float(up), float(down))


def _with_headers(carried: Sequence[Carried], weights: Sequence[float] | None = None) -> _Bytes:
    return _mean([each.plus(header_bytes(each)) for each in carried], weights)
