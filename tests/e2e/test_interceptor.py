"""Edge, interceptor and cloud as processes: what plaintext gives away, and what TLS leaves."""

import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import torch

from esrt_privacy.captures.importers import open_capture
from esrt_privacy.wire.certificates import make_certificates
from esrt_privacy.wire.streams import log_files, read_log
from tests.e2e.wire_parties import WIRE

ROOT = Path(__file__).parents[2]
PARTIES = [sys.executable, "-m", "tests.e2e.wire_parties"]
PROGRAM = [sys.executable, "-m", "esrt_privacy.cli", "intercept"]


def _heed_ctrl_c() -> None:
    """A shell's background job ignores Ctrl-C, and so would every process that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _start(
    running: ExitStack, *command: str, before: Callable[[], None] = lambda: None
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: (_heed_ctrl_c(), before()),
    )
    running.callback(process.communicate)
    running.callback(process.kill)
    return process


def _port(process: subprocess.Popen[str]) -> str:
    """Out of the line that says where the interceptor listens."""
    line = process.stdout.readline()
    assert line.startswith("intercepting on "), line + process.stderr.read()
    return line.split(",")[0].rpartition(":")[2]


@pytest.fixture(scope="module")
def intercepted(tmp_path_factory):
    """Folders with what two interceptors found, in plaintext and of TLS; their output; what the edge was told."""
    folder = tmp_path_factory.mktemp("intercepted")
    make_certificates(folder)
    with ExitStack() as running:
        cloud = _start(running, *PARTIES, "cloud", str(folder))
        ports = [cloud.stdout.readline().strip() for _ in range(2)]
        outs = [folder / "plaintext", folder / "tls"]
        proxies = [
            _start(
                running,
                *PROGRAM,
                "--listen",
                "127.0.0.1:0",
                "--to",
                f"127.0.0.1:{port}",
                "--out",
                str(out),
            )
            for port, out in zip(ports, outs, strict=True)
        ]
        edge = [*PARTIES, "edge", str(folder), *map(_port, proxies)]
        told = subprocess.run(edge, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, told.stderr
        said = []
        for proxy in proxies:
            proxy.send_signal(signal.SIGINT)
            output, errors = proxy.communicate(timeout=60)
            assert proxy.returncode == 0, errors
            said.append((output, errors))
    return outs, said, [line.split("\t") for line in told.stdout.splitlines()]


def _rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "evidence.jsonl").read_text().splitlines()]


def test_plaintext_gives_tensors_bit_for_bit_and_the_text(intercepted):
    (out, _), ((output, errors), _), told = intercepted
    assert "connections: 1 plaintext gRPC; calls: 3" in output
    assert "tensors: 2 (sent 2 times)" in output and "Traceback" not in errors
    (folder,) = (out / "captures").iterdir()
    assert str(folder) in output.splitlines()
    capture = open_capture(folder)
    found = {u.fingerprint: capture.tensor(u) for u in capture.corpus}
    calls = [row for row in _rows(out) if row["kind"] == "call"]
    for call, tensor, (transcript, translation) in zip(calls, WIRE, told, strict=False):
        assert torch.equal(found[call["tensor"]].view(torch.int16), tensor.view(torch.int16))
        texts = {text["target"]: text for text in call["texts"]}
        assert texts["deu"]["transcript"] == transcript
        assert texts["fra"]["translation"] == translation
    assert [call["carried"] for call in calls] == ["tensor", "tensor", "identifier"]
    assert calls[2]["tensor"] == calls[0]["tensor"]
    assert calls[2]["up"]["bytes"] < 200 < 122_880 < calls[0]["up"]["bytes"]


def test_tls_leaves_sizes_and_times(intercepted):
    (_, out), (_, (output, errors)), told = intercepted
    assert "connections: 1 TLS; calls: 0" in output
    assert "no tensor was seen in plaintext" in errors and "Traceback" not in errors
    assert not (out / "captures").exists()
    rows = _rows(out)
    assert {row["kind"] for row in rows} == {"connection", "exchange"}
    sizes = [row["up"]["bytes"] for row in rows if row["kind"] == "exchange"]
    assert sum(sizes) > 2 * 122_880
    # The server's session tickets may come amid the first tensor; the second shows its size through TLS.
    assert 122_880 < sizes[-2] < 126_000 and sizes[-1] < 300
    (log,) = log_files(out)
    carried = b"".join(getattr(event, "data", b"") for event in read_log(log)[1])
    for transcript, _ in told:
        assert transcript.encode() not in carried
    assert WIRE[0].view(torch.uint8).numpy().tobytes()[:64] not in carried


def test_a_recorded_log_is_read_again_and_wrong_requests_are_one_line(intercepted, tmp_path):
    (out, _), _, _ = intercepted
    again = _run("--log", str(out / "connections"), "--out", str(tmp_path))
    assert again.returncode == 0, again.stderr
    names = {path.name for path in (out / "captures").iterdir()}
    assert {path.name for path in (tmp_path / "captures").iterdir()} == names
    assert (tmp_path / "evidence.jsonl").read_bytes() == (out / "evidence.jsonl").read_bytes()
    wrong = _run("--listen", "127.0.0.1:0")
    assert wrong.returncode == 1 and wrong.stderr.splitlines() == [
        "esrt-privacy: --listen needs --to HOST:PORT, where the cloud is"
    ]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def _little_room() -> None:
    """No file may grow beyond 100 kB: as a full disk, for this process alone."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_bytes_that_cannot_be_recorded_are_not_carried(tmp_path):
    with ExitStack() as running:
        cloud = running.enter_context(socket.create_server(("127.0.0.1", 0)))
        to = f"127.0.0.1:{cloud.getsockname()[1]}"
        command = [*PROGRAM, "--listen", "127.0.0.1:0", "--to", to, "--out", str(tmp_path)]
        proxy = _start(running, *command, before=_little_room)
        with socket.create_connection(("127.0.0.1", int(_port(proxy))), timeout=20) as edge:
            far = running.enter_context(cloud.accept()[0])
            far.settimeout(20)
            with suppress(ConnectionError):
                edge.sendall(bytes(1 << 20))
            carried = 0
            with suppress(ConnectionError):
                while data := far.recv(1 << 16):
                    carried += len(data)
        _, errors = proxy.communicate(timeout=60)
    assert proxy.returncode == 1
    (line,) = errors.splitlines()
    assert "a log cannot be written (File too large); make room" in line
    assert carried <= 100_000
