"""The README's table and picture, from the folder of a real run.

    python tools/readme_results.py runs/demo

Prints the table as Markdown and writes docs/reconstruction.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from esrt_privacy.findings import Finding, Interval, Run, read_run
from esrt_privacy.reports.wording import strongest_floor

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = ("WER", "STOI", "MCD", "F0 correlation", "envelope correlation", "length error")
RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    run = read_run(options.run)
    print(table(run))
    picture(run, options.run, DOCS / "reconstruction.png")


def table(run: Run) -> str:
    """The audited tap's findings beside the encoder's, as Markdown."""
    audited = run.findings[0].tap
    rows = [
        f"| measure | {audited} (on the wire) | encoder | transparent tensor (control) | best floor | true mel"
        " (ceiling) | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    by_tap = {(f.tap, f.metric): f for f in run.findings}
    for metric in SHOWN:
        finding = by_tap.get((audited, metric))
        if finding is None:
            continue
        encoder = by_tap.get(("encoder", metric))
        control = by_tap.get(("transparent", metric))
        cells = [
            f"{metric}{', ' + finding.unit if finding.unit else ''}",
            _figure(finding.estimate),
            _figure(encoder.estimate) if encoder else "",
            _figure(control.estimate) if control else "",
            _best_floor(finding),
            _figure(finding.ceiling) if finding.ceiling else "",
            f"**{finding.verdict}**",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _figure(interval: Interval) -> str:
    if interval.value is None:
        return ""
    text = f"{interval.value:.3g}"
    if interval.low is not None and interval.high is not None:
        text += f" ({interval.low:.3g} to {interval.high:.3g})"
    return text


def _best_floor(finding: Finding) -> str:
    strongest = strongest_floor(finding)
    return "" if strongest is None else f"{strongest[1].value:.3g} ({strongest[0]})"


def picture(run: Run, folder: Path, path: Path) -> None:
    """Spectrograms of one example: real, from the wire tensor, from the control, floor."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    example = run.examples[0]
    panels = [
        ("what was said", example.original),
        (f"reconstructed from {example.tap}", example.reconstruction),
        ("from the transparent tensor (positive control)", example.control),
        ("mean mel (floor)", example.floor),
    ]
    shown = [(name, rendition) for name, rendition in panels if rendition is not None]
    figure, axes = pyplot.subplots(
        len(shown), 1, figsize=(9, 1.75 * len(shown)), sharex=True, layout="constrained"
    )
    for axis, (name, rendition) in zip(axes, shown, strict=True):
        wave, rate = soundfile.read(folder / rendition.audio)
        axis.specgram(
            wave + 1e-6 * np.random.default_rng(0).standard_normal(len(wave)),
            NFFT=400,
            Fs=rate,
            noverlap=240,
            vmin=-120,
            vmax=-30,
            cmap="magma",
        )
        heard = example.text if rendition is example.original else rendition.transcript
        axis.set_title(f"{name}: “{heard or ''}”", loc="left", fontsize=9)
        axis.set(ylabel="Hz", ylim=(0, 8000))
    axes[-1].set_xlabel("s")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
