"""The command `esrt-privacy report check`: parse, call one function, print, and say by the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def check(
    run: Annotated[Path, typer.Argument(help="Folder of a run, with its findings.json.")],
    policy: Annotated[Path, typer.Option(help="What it must reach, a TOML file.")],
    markdown: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help='File to which the table is added as Markdown: for a pull request, or "$GITHUB_STEP_SUMMARY".'
        ),
    ] = None,
) -> None:
    """Hold a run against a policy. The exit code is 0 where it passes, 3 where it does not."""
    from esrt_privacy.findings import read_run
    from esrt_privacy.reports.policy import GATE_FAILED, check_run, read_policy
    from esrt_privacy.reports.policy_tables import add_markdown, print_gate
    from esrt_privacy.terminal import console

    result = check_run(read_run(run), read_policy(policy))
    print_gate(result, console())
    if markdown is not None:
        add_markdown(result, markdown)
    if not result.passed:
        raise typer.Exit(GATE_FAILED)
