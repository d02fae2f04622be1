"""A process that stands for the cloud in the bandwidth experiment: the project's own server and a speech API.

`python -m esrt_privacy.bandwidth.stub_cloud FOLDER HOST IDENTIFIER_BYTES 80x768 …` serves with the certificates in
FOLDER, keeps tensors in FOLDER, prints one line of JSON with a port for `api` and for each shape, and ends with its
input. No LLM is run: every request is answered at once with the same two sentences.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.bandwidth.speech_api import TRANSCRIPT, TRANSLATION, answering
from esrt_privacy.bandwidth.tensors import ZSTD_MAGIC, decompressed
from esrt_privacy.esrt.answers import Answer
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import SERVER, read_credentials
from esrt_privacy.wire.errors import MessageError
from esrt_privacy.wire.feature_cache import SqliteCache
from esrt_privacy.wire.server import ServeOptions, WireServer
from esrt_privacy.wire.tensors import WireShape

if TYPE_CHECKING:
    from torch import Tensor

GRACE_SECONDS = 1.0  # the experiment is over when its input ends


class StubCloud:
    """A `CloudHalf` that says the same of every recording."""

    def translate(
        self, wire: Tensor, source: str, targets: Sequence[str], beam: int, most_tokens: int
    ) -> list[dict[str, Answer]]:
        """One answer for each recording and target."""
        answer = Answer(TRANSCRIPT, TRANSLATION, True, True)
        return [dict.fromkeys(targets, answer) for _ in wire]

    def transcribe(self, wire: Tensor, source: str, beam: int, most_tokens: int) -> list[Answer]:
        """One transcript for each recording."""
        return [Answer(TRANSCRIPT, "", True, True) for _ in wire]


class ZstdServer(WireServer):
    """The project's server, which reads tensors that were compressed with zstd too, for the experiment alone."""

    def _decoded(self, data: bytes) -> Tensor:
        if data.startswith(ZSTD_MAGIC):
            try:
                data = decompressed(data)
            except ValueError as error:
                raise MessageError(str(error)) from error
        return super()._decoded(data)


async def serve(
    folder: Path, host: str, identifier_bytes: int, shapes: Sequence[WireShape]
) -> None:
    """Serve until standard input ends."""
    import torch  # noqa: F401  # seconds, which the first request shall not wait

    credentials = read_credentials(folder, SERVER)
    ports: dict[str, int] = {}
    servers = []
    with answering(folder, host, identifier_bytes) as port:
        ports["api"] = port
        for shape in shapes:
            options = ServeOptions(shape, Address(host, 0), credentials, grace=GRACE_SECONDS)
            cache = SqliteCache(folder / f"{shape}.sqlite")
            servers.append(ZstdServer(StubCloud(), options, cache))
            ports[str(shape)] = (await servers[-1].start()).port
        print(json.dumps(ports), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for server in servers:
            await server.stop()


if __name__ == "__main__":
    place, name, length, *texts = sys.argv[1:]
    wanted = [WireShape(*map(int, text.split("x"))) for text in texts]
    asyncio.run(serve(Path(place), name, int(length), wanted))
