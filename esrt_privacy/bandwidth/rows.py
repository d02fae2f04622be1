"""From sizes to the rows of a record: bytes of every format, break-even, transfer times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from esrt_privacy.bandwidth.break_even import DURATIONS, break_even_words, crossings
from esrt_privacy.bandwidth.codecs import AudioFormat
from esrt_privacy.bandwidth.payloads import Sizes, mean_bytes
from esrt_privacy.bandwidth.record import BreakEven, Curve, FormatRow, Transfer
from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.bandwidth.transfer import Costs, Link
from esrt_privacy.bandwidth.units import BITS
from esrt_privacy.findings import Interval

if TYPE_CHECKING:
    from esrt_privacy.bandwidth.options import BandwidthRequest
    from esrt_privacy.bandwidth.real_tensors import RealSizes

BASELINE = "wav-16-json"  # a cloud API as the paper describes it, with the usual 16 bits


def audio_rows(sizes: Sizes, formats: Sequence[AudioFormat], seed: int) -> list[FormatRow]:
    """A row for each audio format, over all draws."""
    draw = sizes.draw
    basis = f"{len(draw.utterances)} distinct recordings, each encoded once"
    rows = []
    for each in formats:
        values = sizes.by_format[each.name]
        total = sizes.total(each.name)
        estimate = mean_bytes(values, draw.counts, draw.utterances, seed)
        rows.append(
            _row(
                each.name,
                each.says,
                "audio",
                basis,
                total,
                Interval.of(estimate),
                sizes,
            )
        )
    return rows


def shape_rows(sizes: Sizes, formats: Sequence[TensorFormat]) -> list[FormatRow]:
    """A row for each tensor format whose size follows from the shape: no recording is needed."""
    rows = []
    for each in formats:
        if each.zstd:
            continue
        size = len(each.blank())
        exact = Interval(value=size, low=size, high=size, method="the same for every recording")
        rows.append(
            _row(
                each.name,
                each.says,
                "tensor",
                "shape and dtype",
                size * sizes.draw.samples,
                exact,
                sizes,
            )
        )
    return rows


def real_rows(sizes: Sizes, real: Sequence[RealSizes], seed: int) -> list[FormatRow]:
    """A row for each format that only real tensors tell: their mean, for every draw."""
    rows = []
    for each in real:
        ones = [1] * len(each.sizes)
        estimate = mean_bytes(each.sizes, ones, each.utterances, seed)
        basis = f"mean of {len(each.sizes)} tensors of {each.system}, taken for every draw"
        rows.append(
            _row(
                each.format.name,
                each.format.says,
                "tensor",
                basis,
                estimate.value * sizes.draw.samples,
                Interval.of(estimate),
                sizes,
            )
        )
    return rows


def curve_rows(curves: dict[str, tuple[float, ...]], rows: Sequence[FormatRow]) -> list[Curve]:
    """Audio as encoded by duration; a tensor has one size for all."""
    audio = [Curve(name=name, kind="audio", sizes=sizes) for name, sizes in curves.items()]
    tensors = [
        Curve(name=row.name, kind="tensor", sizes=(row.bytes_per_recording.value,) * len(DURATIONS))
        for row in rows
        if row.kind == "tensor" and row.bytes_per_recording.value is not None
    ]
    return audio + tensors


def break_even_rows(curves: Sequence[Curve]) -> list[BreakEven]:
    """Every audio format against every tensor format."""
    audio = {curve.name: curve.sizes for curve in curves if curve.kind == "audio"}
    tensors = {curve.name: curve.sizes[0] for curve in curves if curve.kind == "tensor"}
    return [
        BreakEven(audio=name, tensor=tensor, seconds=seconds, says=break_even_words(seconds))
        for (name, tensor), seconds in crossings(DURATIONS, audio, tensors).items()
    ]


def transfer_rows(
    rows: Sequence[FormatRow],
    measured: Mapping[str, Costs],
    request: BandwidthRequest,
    samples: int,
) -> list[Transfer]:
    """Every format over every link, for one and for all target languages, without and with a cache.

    `measured` holds what formats cost on a connection; a format that is not in it is its bodies alone.
    """
    found = []
    asked = [(1, False)]
    if request.languages > 1:
        asked += [(request.languages, False), (request.languages, True)]
    for row in rows:
        mean = row.bytes_per_recording.value
        if mean is None:
            continue
        costs = measured.get(row.name) or Costs(mean, float(request.identifier_bytes))
        for languages, cached in asked:
            for rate in request.rates:
                for round_trip in request.round_trips:
                    link = Link(rate, round_trip)
                    found.append(
                        Transfer(
                            name=row.name,
                            rate_mbit=rate,
                            round_trip_ms=round_trip,
                            languages=languages,
                            cached=cached,
                            bytes_per_recording=sum(costs.requests(languages, cached)),
                            seconds_per_recording=costs.seconds(link, languages, cached),
                            seconds_of_all=costs.seconds(link, languages, cached, samples),
                        )
                    )
    return found


def _row(
    name: str,
    says: str,
    kind: str,
    basis: str,
    total: float,
    each: Interval,
    sizes: Sizes,
) -> FormatRow:
    return FormatRow(
        name=name,
        says=says,
        kind="audio" if kind == "audio" else "tensor",
        basis=basis,
        total_bytes=total,
        bytes_per_recording=each,
        kbit_per_second=total * BITS / sizes.spoken / 1_000,
        times_smaller=sizes.total(BASELINE) / total,
    )
