"""The command `esrt-privacy bandwidth`: every input of the arithmetic is an option.

It stands here rather than in `cli.py` for their number; it parses, calls and prints like the others.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from esrt_privacy.command_options import Weights

_PAPER = "The paper's inputs"


def bandwidth(
    samples: Annotated[
        int,
        typer.Option(
            help="Recordings to count; where the corpus has fewer, drawn with replacement."
        ),
    ] = 647,
    corpus: Annotated[
        str, typer.Option(help="demo, a JSONL manifest, a folder of audio, or a known corpus.")
    ] = "demo",
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for report, JSON and CSV.")] = Path(
        "runs/bandwidth"
    ),
    system: Annotated[
        str,
        typer.Option(help="Whose tensors are compressed; reference brings reference-lite along."),
    ] = "reference",
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A whole model whose transcripts are scored; by default --system's."),
    ] = None,
    listened: Annotated[
        int,
        typer.Option(help="Recordings for real tensors, STOI and WER: 0 (none) to 40."),
    ] = 40,
    languages: Annotated[int, typer.Option(help="Target languages, beside one.")] = 44,
    rates: Annotated[str, typer.Option(help="Links, Mbit/s.")] = "1,10,100",
    round_trips: Annotated[str, typer.Option(help="Round trips, ms.")] = "20,100,300",
    identifier_bytes: Annotated[int, typer.Option(help="Bytes that name a cached recording.")] = 64,
    connection: Annotated[
        bool, typer.Option(help="Send it all over a real connection, and count what that adds.")
    ] = True,
    shaped: Annotated[
        bool,
        typer.Option(
            "--shaped", help="Time some of it over slow links too (Linux; a few minutes)."
        ),
    ] = False,
    files: Annotated[
        int, typer.Option(help="Recordings of Table XIII.", rich_help_panel=_PAPER)
    ] = 647,
    audio_mb: Annotated[
        float, typer.Option(help="Of its WAV files.", rich_help_panel=_PAPER)
    ] = 392,
    tensor_mb: Annotated[
        float, typer.Option(help="Of its tensor files.", rich_help_panel=_PAPER)
    ] = 77,
    lite_mb: Annotated[float, typer.Option(help="The same, Lite.", rich_help_panel=_PAPER)] = 38,
    base64_factor: Annotated[
        float, typer.Option(help="As the paper rounds it.", rich_help_panel=_PAPER)
    ] = 1.33,
    link_mbit: Annotated[
        float, typer.Option(help="Link of Table XIII, Mbit/s.", rich_help_panel=_PAPER)
    ] = 100,
    window_seconds: Annotated[
        float, typer.Option(help="Whisper's window.", rich_help_panel=_PAPER)
    ] = 30,
    sample_rate: Annotated[int, typer.Option(help="Hz.", rich_help_panel=_PAPER)] = 16_000,
    sample_bytes: Annotated[int, typer.Option(help="Of PCM.", rich_help_panel=_PAPER)] = 2,
    queries: Annotated[int, typer.Option(help="Vectors of a tensor.", rich_help_panel=_PAPER)] = 80,
    lite_queries: Annotated[int, typer.Option(help="The same, Lite.", rich_help_panel=_PAPER)] = 40,
    width: Annotated[int, typer.Option(help="Values of a vector.", rich_help_panel=_PAPER)] = 768,
    value_bytes: Annotated[
        int, typer.Option(help="Of a value; bfloat16 has 2.", rich_help_panel=_PAPER)
    ] = 2,
    encoder_frames: Annotated[
        int, typer.Option(help="Of the encoder.", rich_help_panel=_PAPER)
    ] = 1_500,
    encoder_width: Annotated[int, typer.Option(help="The same.", rich_help_panel=_PAPER)] = 1_280,
    weights: Weights = None,
    allow_remote_code: Annotated[
        bool,
        typer.Option("--allow-remote-code", help="Consent to run the code of --system here."),
    ] = False,
) -> None:
    """Compare the bytes of ESRT tensors with those of coded audio, and recompute the paper's table."""
    from esrt_privacy.bandwidth.experiment import measure
    from esrt_privacy.bandwidth.options import BandwidthRequest, PaperInputs, numbers
    from esrt_privacy.bandwidth.report import write_report
    from esrt_privacy.bandwidth.terminal_tables import print_bandwidth
    from esrt_privacy.findings import make_folder
    from esrt_privacy.terminal import console, reporter

    request = BandwidthRequest(
        samples=samples,
        corpus=corpus,
        seed=seed,
        system=system,
        model=model,
        listened=listened,
        languages=languages,
        rates=numbers(rates, "--rates"),
        round_trips=numbers(round_trips, "--round-trips"),
        identifier_bytes=identifier_bytes,
        connection=connection,
        shaped=shaped,
        inputs=PaperInputs(
            files=files,
            audio_mb=audio_mb,
            tensor_mb=tensor_mb,
            lite_mb=lite_mb,
            base64_factor=base64_factor,
            link_mbit=link_mbit,
            window_seconds=window_seconds,
            sample_rate=sample_rate,
            sample_bytes=sample_bytes,
            queries=queries,
            lite_queries=lite_queries,
            width=width,
            value_bytes=value_bytes,
            encoder_frames=encoder_frames,
            encoder_width=encoder_width,
        ),
        weights=weights,
        allow_remote_code=allow_remote_code,
        command=shlex.join(["esrt-privacy", *sys.argv[1:]]),
    )
    request.check()
    make_folder(out)
    with reporter() as report:
        record = measure(request, report)
    page = write_report(record, out)
    print_bandwidth(record, console())
    crossed = record.connection.notes if record.connection else ()
    slow = record.shaped.notes if record.shaped else ()
    for note in (*record.corpus.notes, *record.notes, *crossed, *slow):
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(page))
