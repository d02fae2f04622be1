"""Starting the stub cloud as a process of its own, and ending it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from esrt_privacy.bandwidth.options import BandwidthError
from esrt_privacy.errors import shown
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.tensors import WireShape

START_SECONDS = 300.0  # imports of torch and gRPC on a busy machine
END_SECONDS = 20.0


@contextmanager
def cloud_process(
    folder: Path, host: str, identifier_bytes: int, shapes: Sequence[WireShape]
) -> Iterator[dict[str, Address]]:
    """The stub cloud for the length of a block; yields the address of `api` and of each shape.

    Raises BandwidthError where it does not start.
    """
    module = "esrt_privacy.bandwidth.stub_cloud"
    command = [sys.executable, "-m", module, str(folder), host, str(identifier_bytes)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [*command, *map(str, shapes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        try:
            assert process.stdout is not None  # asked for as a pipe
            deadline = threading.Timer(START_SECONDS, process.kill)
            deadline.start()
            line = process.stdout.readline()
            deadline.cancel()
            if not line:
                complaints.seek(0)
                said = complaints.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise BandwidthError(
                    f"the stub cloud did not start ({shown(said, 300) or 'no answer'}); --no-connection does without"
                )
            ports = json.loads(line)
            yield {name: Address(host, port) for name, port in ports.items()}
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its input ends, so it does; a process that does not is killed."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
