"""The README's table of what audits found, from the folders of real runs, one column each.

python tools/readme_audits.py demo=runs/audit AN4=runs/an4 "12 languages=runs/voxlingua"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from esrt_privacy.findings import Run, read_run
from esrt_privacy.reports.wording import figure, strongest_floor, with_bounds

# What is asked in a few words, and the end of the finding's id.
ROWS = (
    ("same speaker? EER, semi-informed, one sex", "speaker", "semi-informed-eer"),
    ("… with a voice sample, cross-modal", "speaker", "cross-modal-eer"),
    ("… from rebuilt speech, ignorant", "speaker", "ignorant-eer"),
    ("same person in two tensors? EER", "linkage", "same-person"),
    ("which of 100 recordings? first guess", "linkage", "recording-top-1"),
    ("which language? balanced accuracy", "language", "balanced-accuracy"),
    ("… heard in rebuilt speech, ignorant", "language", "ignorant-balanced-accuracy"),
    ("how long? mean absolute error", "duration", "mae"),
    ("speech or pause? frames wrong", "duration", "frame-error"),
    ("sex? balanced accuracy", "attributes", "sex-balanced-accuracy"),
    ("groups without labels: language, NMI", "structure", "language-nmi"),
    ("groups without labels: voices, NMI", "structure", "speaker-nmi"),
    ("which words? WER of the system's own cloud half", "reading", "wer"),
    ("rebuilt speech: STOI", "reconstruction", "stoi"),
    ("rebuilt speech: WER", "reconstruction", "wer"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="NAME=FOLDER")
    options = parser.parse_args()
    runs = {}
    for word in options.runs:
        name, _, folder = word.partition("=")
        runs[name] = read_run(Path(folder))
    print(table(runs))


def table(runs: dict[str, Run]) -> str:
    """Findings at the audited tap with interval, strongest floor, control and verdict, as Markdown."""
    lines = ["| an interceptor asks | " + " | ".join(runs) + " |", "|---|" + "---|" * len(runs)]
    for asked, attack, slug in ROWS:
        cells = [_cell(run, attack, slug) for run in runs.values()]
        if any(cells):
            lines.append(f"| {asked} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(run: Run, attack: str, slug: str) -> str:
    tap = next((f.tap for f in run.findings if f.attack == attack), "")
    found = next((f for f in run.findings if f.id.endswith(f"{attack}.{tap}.{slug}")), None)
    if found is None:
        return ""
    strongest = strongest_floor(found)
    beside = [] if strongest is None else [f"floor {figure(strongest[1].value, found.unit)}"]
    if found.control is not None:
        failed = "" if found.control_passed else ", failed"
        beside.append(f"control {figure(found.control.value, found.unit)}{failed}")
    verdict = f"**{found.verdict}**" if found.verdict == "leaks" else found.verdict
    return f"{with_bounds(found.estimate, found.unit)}; {'; '.join(beside)}: {verdict}"


if __name__ == "__main__":
    main()
