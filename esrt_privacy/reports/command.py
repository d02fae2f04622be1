"""The commands under `esrt-privacy report`: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from esrt_privacy.reports.compare_command import compare
from esrt_privacy.reports.policy_command import check

report_app = typer.Typer(no_args_is_help=True, help="Reports: build, compare, check.")
report_app.command("compare")(compare)
report_app.command("check")(check)


@report_app.command("build")
def build(
    run: Annotated[Path, typer.Argument(help="Folder of a run, with its findings.json.")],
    claims: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A file of claims to test beside the paper's; again for another."),
    ] = None,
    bandwidth: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="What `esrt-privacy bandwidth` wrote: bandwidth.json, or its folder. By default the run's own, where"
            " there is one."
        ),
    ] = None,
    profile: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What `esrt-privacy profile --out` wrote; by default the run's own."),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Write report.pdf too (extra `pdf`, and pango).")
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the report; by default the run's own."),
    ] = None,
    most_mb: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            min=0.1,
            help="Most megabytes (of 1,000,000 bytes) that report.html may take: fewer examples are in it.",
        ),
    ] = None,
) -> None:
    """Make the report of a run anew: report.html, report.json, report.md."""
    from esrt_privacy.findings import read_run
    from esrt_privacy.reports.build import build_report

    built = build_report(
        read_run(run),
        run,
        claims=tuple(claims or ()),
        bandwidth=bandwidth,
        profile=profile,
        pdf=pdf,
        out=out,
        most_bytes=None if most_mb is None else round(most_mb * 1e6),
    )
    for path in built.files:
        typer.echo(str(path))
