"""The command `esrt-privacy validate`: parse, call one function, print."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from esrt_privacy.command_options import Weights

_SIZES = "Sizes; by default those that the audit's claims rest on"


# typer reads annotations when the program runs, so these are spelled without `|`.
def validate(
    out: Annotated[
        Path, typer.Option(help="Folder for the report; a killed run goes on in it.")
    ] = Path("runs/validate"),
    only: Annotated[
        str, typer.Option(help="Of false-alarms,coverage,power,budget. By default all.")
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: to see that it runs, not to judge by.")
    ] = False,
    system: Annotated[
        str, typer.Option(help="Whose wire tensors labels are shuffled over.")
    ] = "reference",
    corpus: Annotated[
        str, typer.Option(help="demo, a JSONL manifest, a folder of audio, or a known corpus.")
    ] = "demo",
    run: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="An audit's folder, whose training curves are judged."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Processes side by side; by default as many as processors.", min=1),
    ] = None,
    null_sets: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Simulated nulls (1,000).", rich_help_panel=_SIZES),
    ] = None,
    reruns: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of each attack on shuffled labels (200).", rich_help_panel=_SIZES),
    ] = None,
    corpora: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Simulated in each cell of coverage (1,000).", rich_help_panel=_SIZES),
    ] = None,
    draws: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of a bootstrap in coverage (1,000).", rich_help_panel=_SIZES),
    ] = None,
    planted: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Reruns at each planted strength (20).", rich_help_panel=_SIZES),
    ] = None,
    strengths: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Of planted signals (2,1.4,1,0.7,0.5,0.35,0.25).", rich_help_panel=_SIZES
        ),
    ] = None,
    weights: Weights = None,
    captures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where captures lie; by default in the cache folder."),
    ] = None,
) -> None:
    """Check the audit itself: false alarms, coverage of intervals, power, and training budgets."""
    from esrt_privacy.terminal import console, reporter
    from esrt_privacy.validity.options import Sizes, ValidityRequest, parts_of, strengths_of
    from esrt_privacy.validity.report import write_page
    from esrt_privacy.validity.run import run_validity
    from esrt_privacy.validity.wording import answers

    asked: dict[str, Any] = {
        "null_sets": null_sets,
        "reruns": reruns,
        "corpora": corpora,
        "draws": draws,
        "planted": planted,
        "strengths": None if strengths is None else strengths_of(strengths),
    }
    sizes = Sizes.quick() if quick else Sizes()
    request = ValidityRequest(
        out=out,
        parts=parts_of(only),
        sizes=replace(sizes, **{k: v for k, v in asked.items() if v is not None}),
        quick=quick,
        system=system,
        corpus=corpus,
        run=run,
        seed=seed,
        jobs=jobs,
        weights=weights,
        captures=captures,
        command=shlex.join(["esrt-privacy", *sys.argv[1:]]),
    )
    with reporter() as report:
        record = run_validity(request, report)
    page = write_page(record, out)
    for sentence in answers(record):
        console().print(sentence, markup=False, highlight=False)
    for note in record.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(page))
