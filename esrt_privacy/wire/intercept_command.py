"""The command `esrt-privacy intercept`: it stands here rather than in `cli.py` for the number of its options."""

from pathlib import Path
from typing import Annotated, Optional

import typer


def intercept(
    listen: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="HOST:PORT that the edge connects to instead of the cloud's."),
    ] = None,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="HOST:PORT of the cloud; with --pcap, only connections to it are read."),
    ] = None,
    pcap: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Read a pcap or pcapng file of the traffic instead of listening."),
    ] = None,
    log: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Read recorded connections again: a .wirelog file, or a folder of them."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for logs, capture and evidence.")] = Path(
        "runs/intercept"
    ),
    mapping: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help='Whose tensor is whose, JSON lines: {"tensor": KEY of tensors.jsonl, "audio": PATH}.'
        ),
    ] = None,
    recordings: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The corpus that was sent, in this order, one call after another."),
    ] = None,
    system: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="The system that the edge is known to run; else the capture is of an unknown one."
        ),
    ] = None,
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder to look for --system's weights in, before the fetched ones."),
    ] = None,
) -> None:
    """Stand between edge and cloud: carry and record every byte, then say what it gives away.

    Ctrl-C ends the recording; the capture and the evidence are made from it then. In plaintext that is the tensors, bit
    for bit, and the text; of TLS it is sizes and times.
    """
    from esrt_privacy.wire.intercepting import InterceptRequest, intercepted

    request = InterceptRequest(
        out=out,
        listen=listen,
        to=to,
        pcap=pcap,
        log=log,
        mapping=mapping,
        recordings=recordings,
        system=system,
        weights=weights,
    )
    found = intercepted(request, typer.echo)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.connections.items()))
    typer.echo(f"connections: {kinds or 'none'}; calls: {found.calls}")
    typer.echo(f"tensors: {found.tensors} (sent {found.sendings} times)")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    for path in (*found.captures, found.evidence):
        typer.echo(str(path))
