"""What `esrt-privacy intercept` does: record, or read what was recorded, and recover what it gives away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.intercepted import Recording, Recovered, recover
from esrt_privacy.wire.proxy import ProxyOptions, run_proxy

if TYPE_CHECKING:
    from esrt_privacy.systems.base import Tap
    from esrt_privacy.wire.labels import Labels

LOGS_FOLDER = "connections"  # in --out


@dataclass(frozen=True)
class InterceptRequest:
    """What `intercept` is asked for."""

    out: Path
    listen: str | None = None  # HOST:PORT, and `to`: be a proxy
    to: str | None = None
    pcap: Path | None = None
    log: Path | None = None
    mapping: Path | None = None
    recordings: str | None = None  # a corpus
    system: str | None = None
    weights: Path | None = None


def intercepted(request: InterceptRequest, say: Callable[[str], None]) -> Recovered:
    """Carry it out. Raises WireError, CaptureError, or what loading a corpus or system raises.

    What can be refused is refused before anything is recorded; labels by order can only be made afterwards.
    """
    _require_one_source(request)
    to = None if request.to is None else Address.parse(request.to)
    system = _wire_tap(request)
    labels = _labels_of_file(request)
    if request.listen is not None:
        assert to is not None  # _require_one_source
        recording = _record(request, Address.parse(request.listen), to, say)
    elif request.log is not None:
        recording = Recording.of_logs(request.log)
    else:
        recording = Recording(pcap=request.pcap, cloud=to)
    if request.recordings is not None:
        labels = _labels_by_order(request.recordings, recording)
    return recover(recording, request.out, labels, system)


def _require_one_source(request: InterceptRequest) -> None:
    given = [request.listen, request.pcap, request.log]
    if sum(source is not None for source in given) != 1:
        raise WireError(
            "give one of --listen HOST:PORT with --to HOST:PORT, --pcap FILE, or --log PATH"
        )
    if request.listen is not None and request.to is None:
        raise WireError("--listen needs --to HOST:PORT, where the cloud is")
    if request.mapping is not None and request.recordings is not None:
        raise WireError(
            "give --mapping or --recordings, not both: each tells whose tensors they are"
        )


def _record(
    request: InterceptRequest, listen: Address, to: Address, say: Callable[[str], None]
) -> Recording:
    folder = request.out / LOGS_FOLDER

    def ready(here: Address) -> None:
        say(f"intercepting on {here}, to {to}: Ctrl-C ends it")

    run_proxy(ProxyOptions(listen, to, folder), ready, say)
    try:
        return Recording.of_logs(folder)
    except WireError as error:
        raise WireError(
            f"nobody connected, so nothing was recorded; let the edge use --cloud {listen}"
        ) from error


def _wire_tap(request: InterceptRequest) -> tuple[str, Tap] | None:
    if request.system is None:
        return None
    from esrt_privacy.systems.base import wire_tap
    from esrt_privacy.systems.registry import build_system

    system = build_system(request.system, request.weights, False)
    return system.name, wire_tap(system)


def _labels_of_file(request: InterceptRequest) -> Labels | None:
    if request.mapping is None:
        return None
    from esrt_privacy.wire.labels import by_file

    return by_file(request.mapping)


def _labels_by_order(corpus: str, recording: Recording) -> Labels:
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.wire.labels import by_order

    return by_order(recording, load_corpus(corpus))
