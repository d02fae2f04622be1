"""The rules of claims that records test: of bandwidth, of the feature cache, of memory."""

from __future__ import annotations

from esrt_privacy.bandwidth.record import Bandwidth
from esrt_privacy.bandwidth.units import shown_bytes
from esrt_privacy.evaluation.profile_record import Profile, ProfileFigure
from esrt_privacy.reports.claim_arithmetic import ClaimFigure
from esrt_privacy.reports.claim_findings import Judgement
from esrt_privacy.reports.claims import IdentifierTest, Limit, ProfileTest, SmallerTest

NO_BANDWIDTH = "No record of bandwidth was given: run esrt-privacy bandwidth."


def about_sizes(test: SmallerTest, record: Bandwidth | None) -> Judgement:
    """How many times smaller a tensor is than a recording of so many seconds, as both were encoded.

    Beside it stands the smallest audio format of the record: a ratio to uncompressed audio says nothing of that.
    """
    if record is None:
        return Judgement("untested", NO_BANDWIDTH)
    audio = _bytes_at(record, test.audio, test.seconds)
    tensor = _bytes_at(record, test.tensor, test.seconds)
    if audio is None or not tensor:
        return Judgement(
            "untested",
            f"The record has no {test.audio} and {test.tensor} of {test.seconds:g} s.",
        )
    ratio = audio / tensor
    figures = [_figure(f"{test.audio} over {test.tensor}", ratio, "×", f"{test.seconds:g} s")]
    told = f"{shown_bytes(audio)} of {test.audio} over {shown_bytes(tensor)} of {test.tensor}: {ratio:.2f}×"
    told += f" for a recording of {test.seconds:g} s"
    smallest = _smallest_audio(record, test.seconds)
    if smallest is not None:
        name, size = smallest
        figures.append(_figure(f"{name} over {test.tensor}", size / tensor, "×", "smallest audio"))
        told += f"; {name}, the smallest audio format of the record, takes {shown_bytes(size)}"
    if ratio < test.at_least:
        return Judgement("refuted", f"{told}.", figures=tuple(figures))
    bound = f"{ratio:.2f}× at {test.seconds:g} s; shorter recordings gain less"
    return Judgement("not refuted", f"{told}.", bound, figures=tuple(figures))


def about_identifiers(test: IdentifierTest, record: Bandwidth | None) -> Judgement:
    """What a request for a further language takes upstream, against the first one that carries the tensor."""
    if record is None:
        return Judgement("untested", NO_BANDWIDTH)
    crossings = (
        {} if record.connection is None else {c.name: c for c in record.connection.crossings}
    )
    crossing = crossings.get(test.tensor)
    if crossing is None or not crossing.up.value or crossing.identifier_up_most is None:
        return Judgement(
            "untested",
            f"The record has no requests of {test.tensor} by identifier over a real connection.",
        )
    most, first = crossing.identifier_up_most, crossing.up.value
    share = most / first
    figures = (
        _figure("request by identifier, at most", most, "B", test.tensor),
        _figure("request with the tensor", first, "B", test.tensor),
    )
    told = (
        f"A request by identifier took at most {shown_bytes(most)} upstream, headers included, one with the tensor"
        f" {shown_bytes(first)}: {100 * share:.2g}%"
    )
    if share > test.at_most_share:
        return Judgement("refuted", f"{told}.", figures=figures)
    return Judgement("not refuted", f"{told}.", f"{shown_bytes(most)} a request", figures=figures)


def about_profile(test: ProfileTest, record: Profile | None) -> Judgement:
    """Whether every limit is kept: one that is not refutes, one that was not measured leaves it untested."""
    if record is None:
        return Judgement("untested", "No profile was given: run esrt-privacy profile --out FILE.")
    if record.dtype != test.dtype:
        return Judgement(
            "untested",
            f"The sentence is about {test.dtype}; the profile was made in {record.dtype}.",
        )
    measured = [(limit, _measured(limit, record)) for limit in test.limits]
    missing = [limit for limit, figure in measured if figure is None]
    held = [(limit, figure) for limit, figure in measured if figure is not None]
    figures = tuple(
        ClaimFigure(
            name=_limit_words(limit),
            value=figure.value,
            unit=limit.unit,
            printed=limit.at_most,
            source=f"profile of {record.model}",
        )
        for limit, figure in held
    )
    told = "; ".join(
        f"{_limit_words(limit)}: {figure.value:.3g} {limit.unit}, at most {limit.at_most:g} {limit.unit} said"
        for limit, figure in held
    )
    weights = " with random weights of its sizes" if record.random else ""
    where = f"{record.model}{weights} in {record.dtype}"
    if any(figure.value > limit.at_most for limit, figure in held):
        return Judgement("refuted", f"Measured on {where}: {told}.", figures=figures)
    if missing:
        named = ", ".join(map(_limit_words, missing))
        return Judgement("untested", f"Not measured on {where}: {named}.", figures=figures)
    return Judgement("not refuted", f"Measured on {where}: {told}.", told, figures=figures)


def _bytes_at(record: Bandwidth, name: str, seconds: float) -> float | None:
    """Bytes of a format at one of the record's durations; None where it has neither."""
    for curve in record.curves:
        if curve.name == name and seconds in record.durations:
            at = record.durations.index(seconds)
            return curve.sizes[at] if at < len(curve.sizes) else None
    return None


def _smallest_audio(record: Bandwidth, seconds: float) -> tuple[str, float] | None:
    sizes = [
        (size, curve.name)
        for curve in record.curves
        if curve.kind == "audio" and (size := _bytes_at(record, curve.name, seconds)) is not None
    ]
    if not sizes:
        return None
    size, name = min(sizes)
    return name, size


def _measured(limit: Limit, record: Profile) -> ProfileFigure | None:
    for figure in record.figures:
        if (figure.part, figure.what, figure.batch, figure.unit) == (
            *(limit.part, limit.what, limit.batch, limit.unit),
        ):
            return figure
    return None


def _limit_words(limit: Limit) -> str:
    batch = f" at batch {limit.batch}" if limit.batch is not None else ""
    return f"{limit.part} {limit.what}{batch}"


def _figure(name: str, value: float, unit: str, source: str) -> ClaimFigure:
    return ClaimFigure(name=name, value=value, unit=unit, source=source)
