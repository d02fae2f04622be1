"""The tables of docs/validity.md, from the folders of real runs; parts that were measured apart may lie apart.

python tools/readme_validity.py runs/validate [runs/validate-power ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from esrt_privacy.findings import Interval
from esrt_privacy.reports.wording import NOT_MEASURED, figure, with_bounds
from esrt_privacy.validity.record import (
    FILE_NAME,
    Coverage,
    Detection,
    FalseAlarms,
    Validity,
    read_record,
)
from esrt_privacy.validity.tallies import WHOLE_AUDIT

SHOWN = 10  # figures with the most false alarms; the others share a row
FIGURES = {
    "eer": "EER",
    "accuracy": "balanced accuracy",
    "mae": "MAE; truth by the spread of speakers",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    records = [read_record(folder / FILE_NAME) for folder in options.runs]
    print("\n\n".join(tables(records)))


def tables(records: Sequence[Validity]) -> list[str]:
    """False alarms by source, coverage by figure, detections by label; what no record holds is left out."""
    found = []
    for source in ("simulated", "reruns"):
        rows = [a for r in records for a in r.false_alarms if a.source == source]
        if rows:
            found.append(alarms(rows))
    for name, words in FIGURES.items():
        cells = [c for r in records for c in r.coverage if c.figure == name]
        if cells:
            found.append(coverage(words, cells))
    planted = [d for r in records for d in r.power]
    if planted:
        found.append(power(planted))
    return found


def alarms(rows: Sequence[FalseAlarms]) -> str:
    """Figures by numbers of speakers, the most alarms first; those of the whole audit last."""
    people = sorted({row.speakers for row in rows})
    lines = [
        f"| {rows[0].source}: said to leak | " + " | ".join(f"{n} speakers" for n in people) + " |",
        "|---|" + "---|" * len(people),
    ]
    named: dict[str, dict[int, FalseAlarms]] = {}
    for row in rows:
        named.setdefault(row.statistic, {})[row.speakers] = row
    whole = named.pop(WHOLE_AUDIT, None)
    ranked = sorted(
        named.items(), key=lambda pair: -max(r.share.value or 0.0 for r in pair[1].values())
    )
    lines += [_alarm_row(name, held, people) for name, held in ranked[:SHOWN]]
    if rest := [held for _, held in ranked[SHOWN:]]:
        most = [max(held[n].alarms for held in rest if n in held) for n in people]
        lines.append(
            f"| {len(rest)} others | " + " | ".join(f"at most {count}" for count in most) + " |"
        )
    if whole is not None:
        lines.append(_alarm_row(WHOLE_AUDIT, whole, people))
    return "\n".join(lines)


def _alarm_row(name: str, held: Mapping[int, FalseAlarms], people: Sequence[int]) -> str:
    cells = [
        f"{held[n].alarms} of {held[n].sets}: {_share(held[n].share)}{_mark(held[n].standing)}"
        if n in held
        else ""
        for n in people
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def coverage(words: str, cells: Sequence[Coverage]) -> str:
    """Share of intervals with the truth in them, and their median width, by truth and speakers."""
    people = sorted({cell.speakers for cell in cells})
    lines = [
        f"| {words} | " + " | ".join(f"{n} speakers" for n in people) + " |",
        "|---|" + "---|" * len(people),
    ]
    for level in sorted({cell.level for cell in cells}):
        row = {cell.speakers: cell for cell in cells if cell.level == level}
        shown = [
            f"{figure(_percent(row[n].share.value), '%')}, width {_digits(row[n].median_width)}{_mark(row[n].standing)}"
            for n in people
        ]
        lines.append(f"| {level:g} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def power(rows: Sequence[Detection]) -> str:
    """Share of planted leaks found, by label and strength."""
    strengths = sorted({row.strength for row in rows}, reverse=True)
    lines = [
        "| planted, found at strength | " + " | ".join(f"{s:g}" for s in strengths) + " |",
        "|---|" + "---|" * len(strengths),
    ]
    for label in dict.fromkeys(row.label for row in rows):
        own = {row.strength: row for row in rows if row.label == label}
        cells = [
            f"{held.detected} of {held.reruns} ({_digits(held.bits)} bit)"
            if (held := own.get(s)) is not None
            else ""
            for s in strengths
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(share: Interval) -> str:
    ends = {name: _percent(getattr(share, name)) for name in ("value", "low", "high")}
    return with_bounds(share.model_copy(update=ends), "%")


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _digits(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.3g}"


def _mark(standing: str) -> str:
    return "" if standing == "holds" else f" **{standing}**"


if __name__ == "__main__":
    main()
