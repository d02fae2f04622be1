"""Many clients at once against one server process: is every request answered, with its own text, in steady memory?

    python -m benchmarks.load [--seconds 60] [--clients 64] [--model stub] [--tls]

`stub` is a cloud half without an LLM, whose answers name the tensor and the language that they belong to: it loads the
connection, the queue and the feature cache. A model's name or folder starts `esrt-privacy serve` with it; what it
answers to one request at a time is what it must answer under load, and answers that differ without being another
request's are counted apart, since rounding differs with the batch. A client sends new tensors, and earlier ones by
identifier. Printed as measured.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from esrt_privacy.esrt.answers import Answer
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import Credentials, make_certificates, read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.errors import WireError
from tests.e2e.wire_parties import SHAPE
from tests.wire.echo import expected, recordings

ROOT = Path(__file__).parents[1]
STUB = "stub"
TARGETS = ("deu", "fra", "spa", "ita")
DEADLINE = 60.0  # seconds for one request
SAMPLES = 0.5  # seconds between two looks at the server's memory

Expect = Callable[[Tensor, str], Answer]
Draw = Callable[[random.Random], Tensor]


@dataclass(frozen=True)
class Load:
    """What came of it."""

    seconds: float
    asked: int
    right: int
    other: int  # answers that belong to no request: a model's rounding, nothing for the stub
    swapped: int  # answered with another's text
    failures: tuple[str, ...]  # one line for each request that failed
    latencies: tuple[float, ...]  # seconds, of answered requests
    memory: tuple[float, ...]  # bytes resident in the server, in the order of time

    @property
    def lost(self) -> int:
        """Requests that neither came back nor failed."""
        return self.asked - self.right - self.other - self.swapped - len(self.failures)

    def __str__(self) -> str:
        # Without a single answer there is no latency, which the counts say.
        times = self.latencies or (float("nan"),)
        p50, p99 = np.percentile(times, [50, 99])
        quarters = [
            float(np.mean(part)) / 1e6
            for part in np.array_split(self.memory, min(4, len(self.memory)))
        ]
        lines = [
            f"asked {self.asked}, right {self.right}, swapped {self.swapped}, other {self.other},"
            f" failed {len(self.failures)}, lost {self.lost}",
            f"{self.right / self.seconds:.1f} answers/s; latency p50 {p50:.3f} s, p99 {p99:.3f} s,"
            f" most {max(times):.3f} s",
            f"server memory by quarters of the time {', '.join(f'{q:.0f}' for q in quarters)} MB"
            f" ({quarters[-1] - quarters[0]:+.1f}), most {max(self.memory) / 1e6:.0f} MB",
        ]
        lines += [f"{count} x {line}" for line, count in Counter(self.failures).most_common(5)]
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--model", default=STUB, help="stub, or a model by name or folder")
    parser.add_argument("--most-tokens", type=int, default=16, help="of a model's answers")
    parser.add_argument("--tls", action="store_true", help="certificates on both sides")
    options = parser.parse_args()
    print(
        f"{options.model}, {options.clients} clients, {options.seconds:.0f} s,"
        f" {'mTLS' if options.tls else 'plaintext'}; load of this machine before: {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    if options.model == STUB:
        print(stub_load(options.seconds, options.clients, options.tls))
    else:
        print(model_load(options))


def stub_load(seconds: float, clients: int, tls: bool = False) -> Load:
    """Load on a served stub of the paper's wire shape."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificates(folder)
        command = [sys.executable, "-m", "tests.e2e.wire_parties", "cloud", name]
        with started(command, stdin=subprocess.PIPE) as server:
            ports = [int(line_of(server)) for _ in range(2)]  # plaintext, TLS
            credentials = read_credentials(folder, "client") if tls else None
            return measured(
                server.pid,
                Address("127.0.0.1", ports[tls]),
                credentials,
                clients,
                seconds,
                draw=lambda chance: recordings(
                    1, SHAPE.vectors, SHAPE.width, chance.getrandbits(48)
                )[0],
                expect=lambda tensor, target: expected(tensor, "eng", target),
                most_tokens=16,
            )


def model_load(options: argparse.Namespace) -> Load:
    """Load on `esrt-privacy serve`, with tensors of demo recordings."""
    from esrt_privacy.corpora import load_corpus
    from esrt_privacy.wire.remote import load_edge

    corpus = load_corpus("demo").select(language="eng")
    waves = [utterance.waveform() for utterance in corpus.utterances[:8]]
    wire = load_edge(options.model).encode(waves)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificates(folder)
        command = [sys.executable, "-m", "esrt_privacy.cli", "serve", "--model", options.model]
        command += ["--port", "0", "--cache", str(folder / "features.sqlite")]
        credentials = None
        if options.tls:
            command += ["--certs", name]
            credentials = read_credentials(folder, "client")
        with started(command) as server:
            address = Address.parse(line_of(server).split(" on ")[1].split(": ")[0])
            with RemoteCloud(address, ClientOptions(credentials, seconds=600.0)) as alone:
                answers = {
                    (place, target): row[target]
                    for target in TARGETS
                    for place, tensor in enumerate(wire)
                    for row in alone.translate(
                        tensor[None], "eng", [target], 1, options.most_tokens
                    )
                }
            places = {tensor.float().numpy().tobytes(): n for n, tensor in enumerate(wire)}
            return measured(
                server.pid,
                address,
                credentials,
                options.clients,
                options.seconds,
                draw=lambda chance: wire[chance.randrange(len(wire))],
                expect=lambda tensor, target: answers[
                    places[tensor.float().numpy().tobytes()], target
                ],
                most_tokens=options.most_tokens,
                known=frozenset(answers.values()),
            )


@contextmanager
def started(command: list[str], stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A server process that ends with the block."""
    server = subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, text=True)
    try:
        yield server
    finally:
        server.terminate()
        server.communicate(timeout=60)


def line_of(server: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert server.stdout is not None
    return server.stdout.readline()


def measured(
    pid: int,
    address: Address,
    credentials: Credentials | None,
    clients: int,
    seconds: float,
    draw: Draw,
    expect: Expect,
    most_tokens: int,
    known: frozenset[Answer] | None = None,
) -> Load:
    """Each client, a thread with a connection of its own, asks again as soon as it is answered.

    `known`: answers that would be another request's; None: every wrong one is.
    """
    counts: Counter[str] = Counter()
    latencies: list[float] = []
    failures: list[str] = []
    lock = threading.Lock()
    began = time.monotonic()

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        options = ClientOptions(credentials, seconds=DEADLINE, calls=1)
        with RemoteCloud(address, options) as remote:
            tensor = draw(chance)
            while time.monotonic() - began < seconds:
                if chance.random() < 0.5:
                    tensor = draw(chance)
                target = chance.choice(TARGETS)
                with lock:
                    counts["asked"] += 1
                start = time.monotonic()
                try:
                    (row,) = remote.translate(tensor[None], "eng", [target], 1, most_tokens)
                except WireError as error:
                    with lock:
                        failures.append(str(error))
                    continue
                took = time.monotonic() - start
                answer = row[target]
                if answer == expect(tensor, target):
                    verdict = "right"
                else:
                    verdict = "swapped" if known is None or answer in known else "other"
                with lock:
                    latencies.append(took)
                    counts[verdict] += 1

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(clients)]
    server = psutil.Process(pid)
    memory = [float(server.memory_info().rss)]
    torch.set_num_threads(1)  # of this process: threads enough
    for thread in threads:
        thread.start()
    while time.monotonic() - began < seconds:
        memory.append(float(server.memory_info().rss))
        time.sleep(SAMPLES)
    for thread in threads:  # their last requests have a deadline; what outlasts it is lost
        thread.join(max(0.0, began + seconds + 2 * DEADLINE - time.monotonic()))
    took = time.monotonic() - began
    with lock:
        return Load(
            took,
            counts["asked"],
            counts["right"],
            counts["other"],
            counts["swapped"],
            tuple(failures),
            tuple(latencies),
            tuple(memory),
        )


if __name__ == "__main__":
    main()
