"""How much the findings of reconstruction owe to the CTC warm-up: the same attack on an adapter that had none.

    python tools/train_reference.py --speech SPEECH --work WORK --only stages --without-warm-up --name cold \\
        --phrases 0.6 --stage-steps 600,300,900 --stage-warm-up 40    # as the shipped reference went through them
    python tools/reference_scores.py --speech SPEECH --work WORK --model WORK/cold --corpora phrasebook-test-sentences
    python tools/without_warm_up.py --speech SPEECH --work WORK --name cold --steps 600

Trains the attacker of that adapter's tensor as `train_attackers.py` trained the shipped one, attacks the same
recordings of the demo corpus through both, and writes warm_up.json beside the reference's card, with what both models
recognise and translate.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import reference_data
from train_attackers import SHARES, Lesson
from train_reference import OUT

from esrt_privacy.assets import cache_folder, whisper_folder
from esrt_privacy.attacks.attackers import TrainedInverter, shipped_inverter
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.hearing import Judge
from esrt_privacy.attacks.reconstruction import CONTROL_TAP, attack, chosen_utterances
from esrt_privacy.attacks.reconstruction_findings import Findings
from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.findings import Finding
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.judges.speakers import Ge2e
from esrt_privacy.reports.wording import strongest_floor
from esrt_privacy.systems.base import ControlledSystem
from esrt_privacy.systems.registry import build_system

TAP = "qformer"
TESTED = 48  # utterances, as `reconstruct` takes them by default


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--name", default="cold", help="folder of the model without warm-up, in WORK"
    )
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    data = reference_data.load(options.speech, reference_data.SYNTHESISED, options.work, SHARES)
    trained = options.work / options.name
    edge = Edge.from_adapter(trained, whisper_folder("whisper-base"), name="without warm-up")
    lesson = Lesson.of(data, edge, options.steps)
    attacker = lesson.attacker(TAP)
    tests = chosen_utterances(load_corpus("demo"), TESTED, 0)
    judge = Judge(Recogniser.load("whisper-tiny.en", None), Ge2e.load(None))
    reference = build_system("reference")
    shipped = shipped_inverter(reference.taps[TAP])
    if shipped is None:
        raise SystemExit("train the reference's attacker first: train_attackers.py")
    out = options.work / f"{options.name}-attack"
    warm = findings(reference, shipped, tests, judge, out / "warm")
    cold = {f.metric: f for f in findings(lesson.system, attacker, tests, judge, out / "cold")}
    rows = [row(finding, cold[finding.metric]) for finding in warm if finding.metric in cold]
    record = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    body = {
        "stages": [{k: s[k] for k in ("stage", "steps", "seconds")} for s in record["stages"]],
        "attacker_steps": options.steps,
        "attacker_error": [shipped.curve[-1].loss, attacker.curve[-1].loss],
        "rows": rows,
        "scores": json.loads((trained / "scores.json").read_text(encoding="utf-8")),
    }
    (OUT / "warm_up.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(body, indent=1))


def findings(
    system: ControlledSystem, attacker: TrainedInverter, tests: Corpus, judge: Judge, out: Path
) -> list[Finding]:
    """What the attacker's network gets from the system's wire tensor, with the shipped control."""
    control = shipped_inverter(system.taps[CONTROL_TAP])
    if control is None:
        raise SystemExit("train the control's attacker first: train_attackers.py")
    attackers = {TAP: attacker, CONTROL_TAP: control}
    outcome = attack(system, TAP, attackers, tests, judge, cache_folder() / "captures", out)
    found = judged(Findings(outcome, None, 0).drafts())
    return [f for f in found if f.tap == TAP]


def row(warm: Finding, cold: Finding) -> dict[str, Any]:
    """One measure of both, beside the strongest floor of each."""
    return {
        "metric": warm.metric,
        "unit": warm.unit,
        **{
            name: {
                "estimate": finding.estimate.model_dump(),
                "floor": None if (floor := strongest_floor(finding)) is None else floor[1].value,
                "verdict": str(finding.verdict),
            }
            for name, finding in (("warm", warm), ("cold", cold))
        },
    }


if __name__ == "__main__":
    main()
