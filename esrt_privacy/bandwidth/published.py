"""The paper's bandwidth figures computed again from its inputs, and where they do not fit together.

Source of inputs and published figures: arXiv 2605.28642, Table XIII, equations 7 and 8, section III.
"""

from __future__ import annotations

from collections.abc import Callable

from esrt_privacy.bandwidth import sizes
from esrt_privacy.bandwidth.options import PaperInputs
from esrt_privacy.bandwidth.record import Statement
from esrt_privacy.bandwidth.units import MB, MIB

# What the paper prints. It stands beside computed values and enters none.
PRINTED = {
    "window": 960_000.0,
    "tensor": 122_880.0,
    "ratio": 7.8125,
    "api mb": 521.0,
    "tensor mb": 102.0,
    "lite mb": 51.0,
    "api s": 41.7,
    "tensor s": 8.2,
    "lite s": 4.1,
    "fewer tokens": 62.5,
}
HALF = 0.5  # what rounding to whole megabytes may hide


def statements(given: PaperInputs, languages: int = 44) -> tuple[Statement, ...]:
    """Every figure of the arithmetic, in groups. Raises BandwidthError for inputs that are no sizes."""
    given.check()
    own = given != PaperInputs()

    def printed(key: str) -> float | None:
        return None if own else PRINTED[key]

    return (
        *_equations(given, printed),
        *_table(given, printed),
        *_further_languages(given, languages, printed),
        *_units(given),
        *_implied(given),
        *_contradictions(given, printed),
    )


_Printed = Callable[[str], float | None]


def _equations(g: PaperInputs, printed: _Printed) -> list[Statement]:
    group = "Equations 7 and 8"
    window = sizes.audio_bytes(g.window_seconds, g.sample_rate, g.sample_bytes)
    tensor = sizes.tensor_bytes(g.queries, g.width, g.value_bytes)
    lite = sizes.tensor_bytes(g.lite_queries, g.width, g.value_bytes)
    pcm = f"{g.window_seconds:g} s · {g.sample_rate:,} Hz · {g.sample_bytes} B"
    full = f"A full window of {g.window_seconds:g} s only; shorter recordings are smaller as audio."
    return [
        _row(group, "PCM of a window", pcm, window, "B", printed("window")),
        _row(group, "tensor", _shape(g, g.queries), tensor, "B", printed("tensor")),
        _row(group, "tensor, Lite", _shape(g, g.lite_queries), lite, "B"),
        _row(group, "ratio", f"{window:,.0f} / {tensor:,}", window / tensor, "×",
             printed("ratio"), full),
        _row(group, "ratio, Lite", f"{window:,.0f} / {lite:,}", window / lite, "×", None, full),
    ]  # fmt: skip


def _table(g: PaperInputs, printed: _Printed) -> list[Statement]:
    group, factor = "Table XIII from its inputs", g.base64_factor
    exact = sizes.base64_bytes(3) / 3
    api = g.audio_mb * factor
    rows: list[Statement] = []
    for name, key, given in (
        ("Cloud API", "api", g.audio_mb),
        ("ESRT", "tensor", g.tensor_mb),
        ("ESRT-Lite", "lite", g.lite_mb),
    ):
        sent = given * factor
        seconds = sizes.link_seconds(sent * MB, g.link_mbit)
        from_rounded = sizes.link_seconds(round(sent) * MB, g.link_mbit)
        rows += [
            _row(group, f"{name}: bytes sent", f"{given:g} MB · {factor:g}", sent, "MB",
                 printed(f"{key} mb"), f"With base64's own factor 4/3: {given * exact:.1f} MB."),
            _row(group, f"{name}: time", f"{sent:.2f} MB at {g.link_mbit:g} Mbit/s", seconds, "s",
                 printed(f"{key} s"), f"From the rounded {round(sent)} MB: {from_rounded:.2f} s."),
        ]  # fmt: skip
        if name != "Cloud API":
            rounded = round(api) / max(round(sent), 1)
            rows.append(
                _row(group, f"{name}: ratio to the Cloud API", f"{api:.1f} / {sent:.1f}",
                     api / sent, "×", None,
                     f"From the rounded megabytes: {rounded:.1f}×.")
            )  # fmt: skip
    return rows


def _further_languages(g: PaperInputs, languages: int, printed: _Printed) -> list[Statement]:
    group = f"{languages} target languages"
    api, tensor, lite = (mb * g.base64_factor for mb in (g.audio_mb, g.tensor_mb, g.lite_mb))
    cached = "Identifiers of the feature cache left out. A cloud API that kept its uploads would save as much."
    return [
        _row(group, "Cloud API: sent again for each", f"{languages} · {api:.1f} MB",
             languages * api, "MB"),
        _row(group, "ESRT: sent once", f"{tensor:.1f} MB", tensor, "MB",
             printed("tensor mb"), cached),
        _row(group, "ESRT-Lite: sent once", f"{lite:.1f} MB", lite, "MB",
             printed("lite mb"), cached),
        _row(group, "ESRT without the cache", f"{languages} · {tensor:.1f} MB",
             languages * tensor, "MB"),
    ]  # fmt: skip


def _units(g: PaperInputs) -> list[Statement]:
    group = "Which megabyte it is"
    rows: list[Statement] = []
    for name, queries, files_mb in (
        ("ESRT", g.queries, g.tensor_mb),
        ("ESRT-Lite", g.lite_queries, g.lite_mb),
    ):
        bare = sizes.tensor_bytes(queries, g.width, g.value_bytes)
        total = g.files * bare
        for unit, size in (("MB", MB), ("MiB", MIB)):
            rows.append(
                _row(group, f"{name}: all bare tensors in {unit}",
                     f"{g.files} · {bare:,} B", total / size, unit)
            )  # fmt: skip
        for unit, size in (("MB", MB), ("MiB", MIB)):
            left = sizes.container_bytes(files_mb * size, g.files, bare)
            low = sizes.container_bytes((files_mb - HALF) * size, g.files, bare)
            high = sizes.container_bytes((files_mb + HALF) * size, g.files, bare)
            fits = "fits" if high > 0 else "impossible: less than the bare tensors"
            rows.append(
                _row(group, f"{name}: container a file if {files_mb:g} are {unit}",
                     f"{files_mb:g} {unit} / {g.files} - {bare:,} B", left, "B", None,
                     f"{low:,.0f} to {high:,.0f} B given the rounding: {fits}.")
            )  # fmt: skip
    for unit, size in (("MB", MB), ("MiB", MIB)):
        sent = round(g.audio_mb * g.base64_factor)
        seconds = sizes.link_seconds(sent * size, g.link_mbit)
        rows.append(
            _row(group, f"Cloud API: time if its megabytes are {unit}",
                 f"{sent} {unit} at {g.link_mbit:g} Mbit/s", seconds, "s")
        )  # fmt: skip
    return rows


def _implied(g: PaperInputs) -> list[Statement]:
    group = f"What {g.audio_mb:g} MB imply"
    rows: list[Statement] = []
    for unit, size in (("MB", MB), ("MiB", MIB)):
        each = g.audio_mb * size / g.files
        for bits in (16, 32):
            seconds = sizes.audio_seconds(each, g.sample_rate, bits // 8)
            rows.append(
                _row(group, f"duration of a recording at {bits} bits, if {unit}",
                     f"{each:,.0f} B / ({g.sample_rate:,} Hz · {bits // 8} B)", seconds, "s")
            )  # fmt: skip
    usual = sizes.audio_seconds(g.audio_mb * MB / g.files, g.sample_rate, 4)
    fair = sizes.audio_bytes(usual, g.sample_rate, 2)
    why = (
        "FLEURS' recordings usually last about 10 s, so the WAV files behind the table are probably"
        " float32: 16-bit files of the same speech are half as large."
    )
    group = "The same encoding on both sides"
    for name, queries in (("ESRT", g.queries), ("ESRT-Lite", g.lite_queries)):
        bare = sizes.tensor_bytes(queries, g.width, g.value_bytes)
        even = sizes.audio_seconds(bare, g.sample_rate, 2)
        rows += [
            _row(group, f"{name}: ratio at {usual:.1f} s and 16 bits",
                 f"{fair:,.0f} B / {bare:,} B", fair / bare, "×", None, why),
            _row(group, f"{name}: smaller than 16-bit PCM from", f"{bare:,} B / ({g.sample_rate:,} Hz · 2 B)",
                 even, "s"),
        ]  # fmt: skip
    return rows


def _contradictions(g: PaperInputs, printed: _Printed) -> list[Statement]:
    group = "What does not fit together"
    encoder = f"{g.encoder_frames:,} · {g.encoder_width:,}"
    lite = sizes.values_ratio(g.encoder_frames, g.encoder_width, g.lite_queries, g.width)
    full = sizes.values_ratio(g.encoder_frames, g.encoder_width, g.queries, g.width)
    window = sizes.audio_bytes(g.window_seconds, g.sample_rate, g.sample_bytes)
    tensor = sizes.tensor_bytes(g.queries, g.width, g.value_bytes)
    ratio = g.audio_mb / g.tensor_mb
    needed = sizes.audio_seconds(ratio * tensor, g.sample_rate, g.sample_bytes)
    bare_lite = sizes.tensor_bytes(g.lite_queries, g.width, g.value_bytes)
    least = sizes.container_bytes((g.tensor_mb - HALF) * MIB, g.files, tensor)
    most = sizes.container_bytes((g.lite_mb + HALF) * MIB, g.files, bare_lite)
    shared = (
        "Below 0: no container of one size fits both once both are rounded; Lite's was perhaps cut off."
        if most < least
        else "Not below 0: a container of one size fits both."
    )
    return [
        _row(group, f"fewer tokens from {g.queries} to {g.lite_queries} queries",
             f"1 - {g.lite_queries} / {g.queries}",
             100 * sizes.fewer(g.queries, g.lite_queries), "%", printed("fewer tokens"),
             f"{lite:g} is a factor, not a share: the encoder's values over Lite's, see below."),
        _row(group, "encoder's values over Lite's", f"{encoder} / ({g.lite_queries} · {g.width})",
             lite, "×"),
        _row(group, "encoder's values over ESRT's", f"{encoder} / ({g.queries} · {g.width})",
             full, "×"),
        _row(group, "ratio of the equations over that of the table",
             f"{window / tensor:.4f} / {ratio:.2f}", window / tensor / ratio, "×", None,
             f"Equations take {g.window_seconds:g} s of speech; at {8 * g.sample_bytes} bits the table's ratio would"
             f" need {needed:.1f} s."),
        _row(group, "room for one container size in both tensor columns, MiB",
             f"{most:,.0f} B at most (Lite) - {least:,.0f} B at least", most - least, "B", None,
             shared),
    ]  # fmt: skip


def _shape(g: PaperInputs, queries: int) -> str:
    return f"{queries} · {g.width} · {g.value_bytes} B"


def _row(
    group: str,
    quantity: str,
    formula: str,
    value: float,
    unit: str,
    published: float | None = None,
    remark: str = "",
) -> Statement:
    return Statement(
        group=group,
        quantity=quantity,
        formula=formula,
        value=value,
        unit=unit,
        published=published,
        remark=remark,
    )
