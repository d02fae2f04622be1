"""A process in a network namespace of its own, whose line is slow: times a plan's transfers, one after another.

`unshare --user --map-root-user --net python -m esrt_privacy.bandwidth.shaped_transfers FOLDER` reads FOLDER/plan.json
and prints a line of JSON for what delays and paces, and one for each transfer. The kernel's netem does it where there
is one, on the loopback device; else a TUN device (`user_space_link.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from esrt_privacy.bandwidth.cloud_process import cloud_process
from esrt_privacy.bandwidth.connection import HOST, Endpoint, clients
from esrt_privacy.bandwidth.transfer import Link
from esrt_privacy.bandwidth.user_space_link import FAR, MTU, NEAR, run, user_space_link
from esrt_privacy.errors import EsrtPrivacyError, shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.tensors import WireShape

PLAN = "plan.json"
NAMESPACE = "/proc/self/ns/net"
NETEM = "the kernel's netem, on the loopback device of a network namespace"
USER_SPACE = (
    "a TUN device in a network namespace: the kernel's TCP, packets delayed and paced in user space, since the kernel"
    " has no netem"
)
QUEUE_PACKETS = 10_000
WARM_UP_SECONDS = 60.0

Shape = Callable[[Link], None]


def main(folder: Path) -> None:
    """Carry out the plan."""
    plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    if os.readlink(NAMESPACE) == plan["outside"]:
        raise SystemExit("not in a network namespace of its own: nothing was touched")
    try:
        # What one connection has learnt of the line must not help the next.
        Path("/proc/sys/net/ipv4/tcp_no_metrics_save").write_text("1")
        run("ip", "link", "set", "dev", "lo", "mtu", MTU, "up")
        if _netem_is_there():
            with cloud_process(folder, HOST, *_asked(plan)) as addresses:
                _transfers(plan, folder, addresses, HOST, _netem, NETEM)
            return
        with user_space_link() as line, cloud_process(folder, NEAR, *_asked(plan)) as addresses:
            line.ports = frozenset(address.port for address in addresses.values())

            def shape(link: Link) -> None:
                line.link = link

            _transfers(plan, folder, addresses, FAR, shape, USER_SPACE)
    except (OSError, subprocess.CalledProcessError) as error:
        _say(refused=shown(getattr(error, "stderr", None) or error, 200))


def _asked(plan: dict[str, Any]) -> tuple[int, list[WireShape]]:
    return plan["identifier_bytes"], [WireShape(*shape) for shape in plan["shapes"]]


def _netem_is_there() -> bool:
    try:
        _netem(Link(1_000.0, 0.1))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _netem(link: Link) -> None:
    delay = ("delay", f"{link.round_trip_ms / 2}ms", "rate", f"{link.rate_mbit}mbit")
    run("tc", "qdisc", "replace", "dev", "lo", "root", "netem", *delay, "limit", QUEUE_PACKETS)


def _transfers(
    plan: dict[str, Any],
    folder: Path,
    addresses: dict[str, Address],
    host: str,
    shape: Shape,
    shaper: str,
) -> None:
    _say(shaper=shaper)
    shape(Link(1_000.0, 0.1))
    for case in plan["cases"]:  # the server's first answers are slower
        _timed(case, folder, addresses, host, plan["identifier_bytes"], WARM_UP_SECONDS)
    for rate, trip in plan["links"]:
        shape(Link(rate, trip))
        for number, case in enumerate(plan["cases"]):
            for _ in range(plan["repeats"]):
                where = {"case": number, "rate": rate, "trip": trip}
                try:
                    bound = case["bounds"][f"{rate}, {trip}"]
                    identifier_bytes = plan["identifier_bytes"]
                    seconds = _timed(case, folder, addresses, host, identifier_bytes, bound)
                    _say(**where, seconds=seconds)
                except EsrtPrivacyError as error:
                    _say(**where, failed=shown(error))


def _timed(
    case: dict[str, Any],
    folder: Path,
    addresses: dict[str, Address],
    host: str,
    identifier_bytes: int,
    bound: float,
) -> float:
    """Seconds from before a new connection is opened to the last answer."""
    body = (folder / case["body"]).read_bytes()
    address = Address(host, addresses[case["endpoint"]].port)
    with _client(address, case["endpoint"], folder, identifier_bytes, bound) as endpoint:
        start = time.perf_counter()
        endpoint.send(body, case["content_type"], case["targets"][0])
        for target in case["targets"][1:]:
            endpoint.name(body, target)
        return time.perf_counter() - start


@contextmanager
def _client(
    address: Address, name: str, folder: Path, identifier_bytes: int, bound: float
) -> Iterator[Endpoint]:
    client = clients(address, name, folder, identifier_bytes, bound)
    try:
        yield Endpoint(client)
    finally:
        client.close()


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    for variable in list(os.environ):  # no proxy of the outer network is reached from here
        if variable.lower().endswith("_proxy"):
            del os.environ[variable]
    main(Path(sys.argv[1]))
