"""The commands `esrt-privacy audit` and one for each attack family: parse, call one function, print.

They stand here rather than in `cli.py` since the families' commands are made by one function: each is a plan of one
attack.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from esrt_privacy.command_options import Weights
from esrt_privacy.errors import AttackError

if TYPE_CHECKING:
    from esrt_privacy.audit.plan import Plan
    from esrt_privacy.audit.prepared import AuditRequest

# What each command is for, without loading the family.
FAMILIES: dict[str, str] = {
    "speaker": "Is this the same speaker? Verification by each attacker, from a passer-by to one with a voice sample.",
    "linkage": "Is this the same recording, or the same person? And which of many recordings made this tensor?",
    "language": "Which language is spoken, among known ones and when it may be another?",
    "duration": "How long was the recording, and when was there speech in it?",
    "attributes": "What of the speaker is given away: sex, age group, accent, emotion, whatever the corpus labels?",
    "reading": "What was said, read off the tensor by the system's own cloud half?",
    "structure": "Do tensors without any label fall into groups: voices, languages, lengths, sexes?",
}

System = Annotated[
    str,
    typer.Option(
        help="A system by name, a folder with an adapter, or a checkpoint with code of its own: a folder, or"
        " owner/name[@revision] on the hub (yxdu/ESRT-4B)."
    ),
]
Corpus = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="demo, a JSONL manifest, a folder of audio, or a known corpus; by default the plan's."
    ),
]
TrainCorpus = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Recordings of other people, from which attackers learn beside the others."),
]
Channel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Seed of a random channel (room, noise, codec) for each utterance; none; or auto: where most speakers"
        " have one session. By default the plan's, else auto."
    ),
]
Captures = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        help="Folder with captures: what `intercept --system` made is attacked as it is, what is missing is computed"
        " into it. By default in the cache folder."
    ),
]
RemoteCode = Annotated[
    bool,
    typer.Option("--allow-remote-code", help="Consent to run the code of --system here."),
]
Jobs = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        help="Attacks side by side, each on one processor; by default all processors.",
        min=1,
        max=1024,
    ),
]
Trials = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Own speaker trials, lines of `speaker utterance target|nontarget`."),
]


def audit(
    plan: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="A plan of your own, a TOML file.", metavar="[PLAN.toml]"),
    ] = None,
    shipped: Annotated[
        str, typer.Option("--plan", help="Without a file: default, or full.")
    ] = "default",
    list_: Annotated[
        bool, typer.Option("--list", help="Only list the plans, or the plan given.")
    ] = False,
    system: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of the plan's systems."),
    ] = None,
    corpus: Corpus = None,
    train_corpus: TrainCorpus = None,
    channel: Channel = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the report; a killed run goes on in it.")
    ] = Path("runs/audit"),
    jobs: Jobs = None,
    weights: Weights = None,
    captures: Captures = None,
    trials: Trials = None,
    allow_remote_code: RemoteCode = False,
) -> None:
    """Run a plan of attacks on a system, and judge all findings together."""
    from esrt_privacy.audit.plan import SHIPPED, read_plan, shipped_plan
    from esrt_privacy.audit.prepared import AuditRequest
    from esrt_privacy.reports.listings import plans_table
    from esrt_privacy.terminal import console

    if list_:
        plans = {str(plan): read_plan(plan)} if plan else {n: shipped_plan(n) for n in SHIPPED}
        console().print(plans_table(plans))
        return
    chosen = read_plan(plan) if plan else shipped_plan(shipped)
    changes: dict[str, Any] = {
        "systems": None if system is None else (system,),
        "corpus": corpus,
        "train_corpus": train_corpus,
        "channel": None if channel is None else _channel(channel),
    }
    chosen = _changed(chosen, {k: v for k, v in changes.items() if v is not None})
    _run(AuditRequest(chosen, out, weights, captures, trials, allow_remote_code, jobs, _command()))


def family_command(name: str) -> Callable[..., None]:
    """The command that runs one attack family, for `typer` to read."""

    def command(
        system: System = "reference",
        tap: Annotated[
            Optional[list[str]],  # noqa: UP045
            typer.Option(
                help="Where the interceptor listens; again for another. By default on the wire."
            ),
        ] = None,
        corpus: Corpus = None,
        train_corpus: TrainCorpus = None,
        channel: Channel = None,
        seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
        seeds: Annotated[
            int, typer.Option(help="How many attackers are trained and averaged.", min=1, max=20)
        ] = 3,
        folds: Annotated[
            int, typer.Option(help="Parts of the speakers, each attacked by the rest.", min=2)
        ] = 5,
        budget: Annotated[
            float, typer.Option(help="Of each training, 1 as a rule; less for a quick look.")
        ] = 1.0,
        out: Annotated[
            Path, typer.Option(help="Folder for the report; a killed run goes on in it.")
        ] = Path("runs") / name,
        jobs: Jobs = None,
        weights: Weights = None,
        captures: Captures = None,
        trials: Trials = None,
        allow_remote_code: RemoteCode = False,
    ) -> None:
        from esrt_privacy.audit.plan import WIRE, Plan, PlannedAttack
        from esrt_privacy.audit.prepared import AuditRequest

        asked: dict[str, Any] = {
            "systems": (system,),
            "taps": tuple(tap or (WIRE,)),
            "corpus": corpus or "demo",
            "train_corpus": train_corpus,
            "channel": "auto" if channel is None else _channel(channel),
            "seeds": tuple(range(seed, seed + seeds)),
            "seed": seed,
            "folds": folds,
            "budget": budget,
        }
        plan = _changed(Plan(title=name, attacks=(PlannedAttack(name=name),)), asked)
        _run(
            AuditRequest(plan, out, weights, captures, trials, allow_remote_code, jobs, _command())
        )

    command.__doc__ = FAMILIES[name]
    return command


def _run(request: AuditRequest) -> None:
    from esrt_privacy.audit.run import run_audit
    from esrt_privacy.reports.summary import print_summary
    from esrt_privacy.terminal import reporter

    with reporter() as report:
        done = run_audit(request, report)
    print_summary(done.run)
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(done.report))


def _changed(plan: Plan, changes: dict[str, Any]) -> Plan:
    """The plan with some fields changed, checked again."""
    from pydantic import ValidationError

    from esrt_privacy.audit.plan import Plan
    from esrt_privacy.errors import shown

    try:
        return Plan.model_validate(plan.model_dump(exclude_unset=True) | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "the plan"
        raise AttackError(f"{option}: {shown(first['msg'])}") from error


def _channel(text: str) -> int | str:
    """A seed, `auto` or `none`; anything else is left for the plan to refuse."""
    return int(text) if text.isdecimal() and text.isascii() else text


def _command() -> str:
    return shlex.join(["esrt-privacy", *sys.argv[1:]])
