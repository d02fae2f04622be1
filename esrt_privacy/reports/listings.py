"""Tables for the terminal: systems, corpora, captures, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from esrt_privacy.audit.plan import Plan
    from esrt_privacy.captures import Capture
    from esrt_privacy.corpora import Corpus


def systems_table() -> Table:
    """Every preset: encoder, queries, wire bytes, and whether it can be run here."""
    from rich.table import Table

    from esrt_privacy.systems.registry import list_systems

    table = Table(title="Systems")
    for head in ("name", "encoder", "wire tensor", "bytes", "status"):
        table.add_column(head, justify="right" if head == "bytes" else "left")
    for row in list_systems():
        config = row.config
        shape = "×".join(map(str, config.wire_shape)) + " bf16"
        status = ("ready: " if row.available else "not here: ") + row.remark
        table.add_row(config.name, config.encoder.name, shape, f"{config.wire_bytes:,}", status)
    return table


def corpus_table(corpus: Corpus) -> Table:
    """Counts by language and sex, durations, fingerprint."""
    from rich.table import Table

    table = Table(title=f"Corpus {corpus.name}", show_header=False)
    seconds = [u.duration for u in corpus if u.duration is not None]
    rows = {
        "utterances": str(len(corpus)),
        "speakers": str(len(corpus.speakers)) if corpus.speakers else "unknown",
        "languages": _counts(u.language for u in corpus),
        "sex": _counts(u.sex for u in corpus),
        "with text": str(sum(u.text is not None for u in corpus)),
        "speech": f"{sum(seconds) / 60:.1f} min, {min(seconds):.1f} to {max(seconds):.1f} s each"
        if seconds
        else "unknown",
        "fingerprint": corpus.fingerprint,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def capture_table(capture: Capture) -> Table:
    """What a capture holds; every tensor is read and checked."""
    from rich.table import Table

    for utterance in capture.corpus:
        capture.tensor(utterance)
    table = Table(title=f"Capture {capture.store.folder}", show_header=False)
    vectors, width = capture.shape
    rows = {
        "system": capture.system_name,
        "tap": capture.tap,
        "tensors": f"{len(capture.corpus)} of {vectors}×{width}, all checked",
        "system fingerprint": capture.system_fingerprint,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def assets_table() -> Table:
    """Weights, what they are for, licence, and whether they are here."""
    from rich.table import Table

    from esrt_privacy.assets import status

    table = Table(title="Weights")
    for head in ("name", "what", "licence", "download", "state"):
        table.add_column(head)
    for row in status():
        size = f"{row.download_size / 1e6:.0f} MB"
        table.add_row(row.name, row.what, row.licence, size, row.state)
    return table


def plans_table(plans: Mapping[str, Plan]) -> Table:
    """What each plan runs: a row for each attack, with its taps and seeds."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Audit plans")
    for head in ("plan", "systems", "corpus", "attack", "taps", "seeds", "attackers"):
        table.add_column(head, overflow="fold")
    for name, plan in plans.items():
        for row, attack in enumerate(plan.attacks):
            first = (name, ", ".join(plan.systems), plan.corpus) if row == 0 else ("", "", "")
            seeds = ", ".join(map(str, plan.seeds_of(attack)))
            cells = (
                *first,
                attack.name,
                ", ".join(plan.taps_of(attack)),
                seeds,
                ", ".join(attack.attackers or ("all",)),
            )
            table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _counts(values: object) -> str:
    counts = Counter(v or "unknown" for v in values)  # type: ignore[attr-defined]
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())
