"""Options that several command modules share."""

from pathlib import Path
from typing import Annotated, Optional

import typer

# typer reads annotations when the program runs, so these are spelled without `|`.
Weights = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Folder to look for model weights in, before the fetched ones."),
]
