"""What the pictures of an audit's report need, gathered over its systems, taps and attacks, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esrt_privacy.attacks.drafts import Draft
    from esrt_privacy.findings import Confusion, DetCurve, Lengths


@dataclass(frozen=True)
class Pictured:
    """Curves, tables and pairs of a run, and what was left out of them."""

    det_curves: tuple[DetCurve, ...]
    confusions: tuple[Confusion, ...]
    lengths: tuple[Lengths, ...]
    comments: tuple[str, ...]


def pictured(drafts: Sequence[Draft], lengths: Sequence[Lengths]) -> Pictured:
    """Of the drafts that a run reports, in its order, as many as a run may hold.

    Lengths of a finding that is not among the drafts are left out: its attacker was not asked for.
    """
    from esrt_privacy.attacks.pictures import pictures
    from esrt_privacy.findings.run import MOST_CURVES, MOST_TABLES

    drawn = pictures(drafts)
    places = {draft.finding.id: place for place, draft in enumerate(drafts)}
    known = sorted((e for e in lengths if e.finding in places), key=lambda e: places[e.finding])
    counts = (
        ("DET curves", len(drawn.det_curves), MOST_CURVES),
        ("confusion matrices", len(drawn.confusions), MOST_TABLES),
        ("pictures of lengths", len(known), MOST_TABLES),
    )
    return Pictured(
        drawn.det_curves[:MOST_CURVES],
        drawn.confusions[:MOST_TABLES],
        tuple(known[:MOST_TABLES]),
        tuple(
            f"of {count:,} {name} the first {most:,} are kept"
            for name, count, most in counts
            if count > most
        ),
    )
