"""A cloud or an edge as a process of its own, in plaintext and over TLS.

`python -m tests.e2e.wire_parties cloud FOLDER` prints two ports and serves until its input ends;
`python -m tests.e2e.wire_parties edge FOLDER PORT TLS_PORT` sends the same two tensors to each, the first twice.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from esrt_privacy.esrt.config import ESRT_4B
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.server import ServeOptions, in_background
from esrt_privacy.wire.tensors import WireShape
from tests.wire.echo import EchoCloud, recordings

HOST = "127.0.0.1"
SHAPE = WireShape(*ESRT_4B.wire_shape)
WIRE = recordings(2, *ESRT_4B.wire_shape, seed=7)


def cloud(folder: Path) -> None:
    with ExitStack() as running:
        for credentials in (None, read_credentials(folder, "server")):
            options = ServeOptions(SHAPE, Address(HOST, 0), credentials, grace=1.0)
            cache = SqliteCache(folder / f"{credentials is None}.sqlite")
            address = running.enter_context(in_background(EchoCloud(), options, cache))
            print(address.port, flush=True)
        sys.stdin.read()


def edge(folder: Path, *ports: str) -> None:
    for port, credentials in zip(ports, (None, read_credentials(folder, "client")), strict=True):
        options = ClientOptions(credentials, patience=1.0, seconds=30.0)
        with RemoteCloud(Address(HOST, int(port)), options) as remote:
            for row in WIRE:
                (answers,) = remote.translate(row[None], "eng", ["deu", "fra"])
                print(answers["deu"].transcript, answers["fra"].translation, sep="\t")
            remote.translate(WIRE[:1], "eng", ["spa"])


if __name__ == "__main__":
    part, place, *rest = sys.argv[1:]
    {"cloud": cloud, "edge": edge}[part](Path(place), *rest)
