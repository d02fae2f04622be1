"""Transfer times checked: a few formats over lines that are really slow, beside the times computed for these bytes.

The transfers run in a network namespace of their own (`shaped_transfers.py`), which Linux gives to root and, on most
distributions, to any user. Where it does not, the record says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.bandwidth import shaped_transfers
from esrt_privacy.bandwidth.codecs import AudioFormat
from esrt_privacy.bandwidth.connection import SOURCE, content_type, endpoint_name
from esrt_privacy.bandwidth.crossings import costs
from esrt_privacy.bandwidth.passages import Passage, first_body
from esrt_privacy.bandwidth.record import Shaped, ShapedTransfer
from esrt_privacy.bandwidth.transfer import Costs, Link
from esrt_privacy.bandwidth.user_space_link import FAR, NEAR
from esrt_privacy.errors import shown
from esrt_privacy.progress import Reporter, silent
from esrt_privacy.wire.certificates import LOCAL_NAMES, make_certificates

if TYPE_CHECKING:
    from esrt_privacy.bandwidth.options import BandwidthRequest
    from esrt_privacy.bandwidth.payloads import Sizes

CHECKED_AUDIO = ("wav-16-json", "flac", "opus-16")  # a large, a middle and a small one
CHECKED_LANGUAGES = 5  # of the tensor, all but the first by its identifier
REPEATS = 2
SLOWER = 5.0  # a transfer is given up after so many times the computed seconds
LEAST_BOUND = 20.0  # seconds; and not before
START_SECONDS = 600.0  # of the process, on a busy machine
NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--")


@dataclass(frozen=True)
class Case:
    """One format that is timed."""

    passage: Passage
    body: bytes
    languages: int

    @property
    def costs(self) -> Costs:
        """Of this body, as it crossed without a slow line."""
        one = replace(self.passage, carried=self.passage.carried[:1], weights=(1.0,))
        return costs(one)

    def seconds(self, link: Link) -> float:
        """Computed."""
        return self.costs.seconds(link, self.languages, cached=self.languages > 1)


def check(
    request: BandwidthRequest, sizes: Sizes, passages: Sequence[Passage], report: Reporter = silent
) -> Shaped:
    """Time the transfers of every link; where nothing is permitted, only a note that says why."""
    if not sys.platform.startswith("linux") or shutil.which(NAMESPACE[0]) is None:
        return Shaped(shaper="", notes=("no line was shaped: it needs Linux and `unshare`",))
    cases = _cases(request, sizes, passages)
    links = [Link(rate, trip) for rate, trip in product(request.rates, request.round_trips)]
    with tempfile.TemporaryDirectory(prefix="esrt-shaped-") as name:
        folder = Path(name)
        make_certificates(folder, (*LOCAL_NAMES, NEAR, FAR))
        _write_plan(folder, request, cases, links)
        bound = START_SECONDS + REPEATS * sum(_bound(c.seconds(k)) for c in cases for k in links)
        said, complaint = _carried_out(folder, bound, len(cases) * len(links) * REPEATS, report)
    shaper = next((line["shaper"] for line in said if "shaper" in line), "")
    refused = next((line["refused"] for line in said if "refused" in line), complaint)
    if not shaper:
        return Shaped(shaper="", notes=(f"no line was shaped: {refused or 'no answer'}",))
    notes = [
        f"{REPEATS} transfers a cell, each on a new connection, from its opening to the last answer"
    ]
    if complaint:
        notes.append(f"cut short: {complaint}")
    return Shaped(shaper=shaper, notes=tuple(notes), transfers=tuple(_rows(cases, links, said)))


def _cases(request: BandwidthRequest, sizes: Sizes, passages: Sequence[Passage]) -> list[Case]:
    """Three audio formats of the first recording, the plain tensor, also in more languages, and the smallest one."""
    found = []
    tensors = []
    for each in passages:
        if isinstance(each.format, AudioFormat):
            if each.format.name in CHECKED_AUDIO:
                found.append(Case(each, first_body(each, sizes, request.seed), 1))
        elif not each.format.zstd and not each.format.in_json:
            tensors.append(Case(each, first_body(each, sizes, request.seed), 1))
    full = next(case for case in tensors if case.passage.all_draws)
    least = min(tensors, key=lambda case: len(case.body))
    found += [full, least] if least is not full else [full]
    if full.passage.identifiers:
        found.append(replace(full, languages=min(CHECKED_LANGUAGES, request.languages)))
    return found


def _write_plan(
    folder: Path, request: BandwidthRequest, cases: Sequence[Case], links: Sequence[Link]
) -> None:
    from esrt_privacy.esrt.language_tags import FLEURS_LANGUAGES

    targets = [code for code in FLEURS_LANGUAGES if code != SOURCE]
    described = []
    for number, case in enumerate(cases):
        each = case.passage.format
        (folder / f"{number}.body").write_bytes(case.body)
        described.append(
            {
                "endpoint": endpoint_name(each),
                "content_type": content_type(each),
                "body": f"{number}.body",
                "targets": targets[: case.languages],
                "bounds": {
                    f"{k.rate_mbit}, {k.round_trip_ms}": _bound(case.seconds(k)) for k in links
                },
            }
        )
    shapes = {
        (c.passage.format.vectors, c.passage.format.width)
        for c in cases
        if not isinstance(c.passage.format, AudioFormat)
    }
    plan = {
        "outside": os.readlink(shaped_transfers.NAMESPACE),
        "identifier_bytes": request.identifier_bytes,
        "shapes": sorted(shapes),
        "links": [(k.rate_mbit, k.round_trip_ms) for k in links],
        "cases": described,
        "repeats": REPEATS,
    }
    (folder / shaped_transfers.PLAN).write_text(json.dumps(plan), encoding="utf-8")


def _bound(seconds: float) -> float:
    return max(LEAST_BOUND, SLOWER * seconds)


def _carried_out(
    folder: Path, bound: float, expected: int, report: Reporter
) -> tuple[list[dict[str, Any]], str]:
    """What the process in the namespace said, line by line; and why it ended early, empty where it did not."""
    module = "esrt_privacy.bandwidth.shaped_transfers"
    command = [*NAMESPACE, sys.executable, "-m", module, str(folder)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        deadline = threading.Timer(bound, process.kill)
        deadline.start()
        said: list[dict[str, Any]] = []
        try:
            assert process.stdout is not None  # asked for as a pipe
            for line in process.stdout:
                said.append(json.loads(line))
                report("transfers over slow lines", sum("case" in s for s in said), expected)
            code = process.wait()
        finally:
            deadline.cancel()
            process.kill()
            process.wait()
        complaints.seek(0)
        words = complaints.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    return said, "" if code == 0 else shown(words or f"exit code {code}", 300)


def _rows(
    cases: Sequence[Case], links: Sequence[Link], said: Sequence[dict[str, Any]]
) -> list[ShapedTransfer]:
    measured: dict[tuple[int, float, float], list[float]] = defaultdict(list)
    failed: dict[tuple[int, float, float], str] = {}
    for line in said:
        if "case" not in line:
            continue
        key = (line["case"], line["rate"], line["trip"])
        if "seconds" in line:
            measured[key].append(line["seconds"])
        else:
            failed[key] = line["failed"]
    rows = []
    for link, (number, case) in product(links, enumerate(cases)):
        key = (number, link.rate_mbit, link.round_trip_ms)
        rows.append(
            ShapedTransfer(
                name=case.passage.format.name,
                rate_mbit=link.rate_mbit,
                round_trip_ms=link.round_trip_ms,
                languages=case.languages,
                cached=case.languages > 1,
                computed=case.seconds(link),
                measured=tuple(sorted(measured[key])),
                failed=failed.get(key, ""),
            )
        )
    return rows
