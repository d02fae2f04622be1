"""The command `esrt-privacy report compare`: parse, call one function, print."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[Path, typer.Argument(help="Folder of a run, the one to compare with.")],
    b: Annotated[Path, typer.Argument(help="Folder of another run, whose changes are told.")],
    out: Annotated[Path, typer.Option(help="Folder for the comparison.")] = Path("runs/comparison"),
) -> None:
    """Say what B gives away beside A, what got worse first: comparison.html, .md and .json."""
    from esrt_privacy.findings import make_folder
    from esrt_privacy.reports.compare import LoadedRun, compare_runs
    from esrt_privacy.reports.compare_page import write_markdown, write_page
    from esrt_privacy.reports.compare_record import write_comparison
    from esrt_privacy.reports.compare_tables import print_comparison
    from esrt_privacy.terminal import console

    command = shlex.join(["esrt-privacy", *sys.argv[1:]])
    comparison = compare_runs(LoadedRun.read(a), LoadedRun.read(b), command)
    make_folder(out)
    files = [write(comparison, out) for write in (write_page, write_markdown, write_comparison)]
    print_comparison(comparison, console())
    for path in files:
        typer.echo(str(path))
