"""A record of validity as `esrt-privacy validate` writes one, its rows made here."""

from esrt_privacy.findings import BudgetPoint
from esrt_privacy.measures.coverage import Cell
from esrt_privacy.validity.options import PARTS
from esrt_privacy.validity.record import Validity
from esrt_privacy.validity.tallies import (
    budget_curves,
    cell_coverage,
    detection,
    rerun_alarms,
    simulated_alarms,
    smallest,
)


def fake_validity() -> Validity:
    """A record with every part in it: an alarm in three of ten sets, one cell, one planted label, one curve."""

    def reading(leaks: bool) -> dict:
        return {
            "statistic": "attributes.sex-balanced-accuracy",
            "leaks": leaks,
            "beats_chance": leaks,
            "value": 60.0,
            "undefined": False,
        }

    verdicts = ["leaks"] * 30 + ["inconclusive"] * 70
    sets = [{"alone": {"speaker.eer": v}, "together": {"speaker.eer": v}} for v in verdicts]
    planted = [{"readings": [reading(True)], "bits": 0.4} for _ in range(20)]
    points = [
        BudgetPoint(tap="qformer", amount=a, amount_unit="steps", metric="EER", unit="%", value=v)
        for a, v in ((100, 40.0), (200, 20.0), (400, 10.0))
    ]
    found = detection("sex", 1.0, planted)
    estimates = [[0.2, 0.1, 0.3]] * 19 + [[0.2, 0.25, 0.3]]
    rows = [{"truth": 0.2, "estimate": e, "method": "m"} for e in estimates]
    return Validity(
        tool_version="0",
        created="2026-01-01T00:00:00Z",
        command="esrt-privacy validate",
        quick=False,
        sizes={"null_sets": 100.0},
        seed=0,
        system="reference",
        corpus="demo",
        tap="qformer",
        false_alarms=(*simulated_alarms(sets, 10), *rerun_alarms(planted, 26)),
        coverage=(cell_coverage(Cell("eer", 10, 0.2), rows),),
        power=(found,),
        smallest=(smallest("sex", [found]),),
        budget=tuple(budget_curves(points)),
        parts=PARTS,
    )
