"""`serve` as a process, `translate --cloud` against it: same answers, kill, restart, full disk, shutdown."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esrt_privacy.cli import app
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import make_certificates, read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.errors import WireError
from tests.esrt.conftest import llm_folder, model, model_config
from tests.wire.completions_server import CompletionsServer
from tests.wire.echo import recordings

__all__ = ["llm_folder", "model", "model_config"]

ROOT = Path(__file__).parents[2]


class Served:
    """A server process, its address and what it says."""

    def __init__(self, *arguments: object, cache: Path, file_bytes: int | None = None) -> None:
        def limit() -> None:
            if file_bytes is not None:  # a disk that takes no more than this of any file
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "esrt_privacy.cli", "serve", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "ESRT_PRIVACY_CACHE": str(cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )

    def ready(self) -> Address:
        line = self.process.stdout.readline()
        assert line.startswith("serving "), self.process.communicate()
        return Address.parse(line.split(" on ")[1].split(": ")[0])

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_translation_by_a_served_cloud_survives_a_kill_a_restart_and_a_full_disk(
    model, tiny_speech, tmp_path, monkeypatch
):
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "edge"))
    folder, certificates = tmp_path / "model", tmp_path / "certificates"
    model.save_pretrained(folder)
    make_certificates(certificates)
    audio = next(tiny_speech.rglob("*.flac"))

    def translated(*more: object) -> list[dict[str, object]]:
        out = tmp_path / "answers.jsonl"
        command = ["translate", audio, "--from", "eng", "--to", "deu,fra", "--model", folder]
        command += ["--most-tokens", "8", "--out", out, *more]
        done = CliRunner().invoke(app, list(map(str, command)))
        assert done.exit_code == 0, (done.output, done.exception)
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]

    here = translated()
    serve = ("--model", folder, "--certs", certificates)
    # Loading a model takes its time on a busy machine.
    options = ClientOptions(read_credentials(certificates, "client"), seconds=400, patience=300)
    wire = recordings(2)
    with Served(*serve, "--port", 0, cache=tmp_path / "cloud") as first:
        address = first.ready()
        remote = ("--cloud", address, "--certs", certificates)
        assert translated(*remote) == here
        assert translated(*remote) == here  # by its identifier
        with RemoteCloud(address, options) as client:
            answers = client.translate(wire, "eng", ["deu"], 1, 8)
            with pytest.raises(WireError, match="ask for at most"):
                client.translate(wire, "eng", ["deu"], 1, 400)
            later = []
            asking = threading.Thread(
                target=lambda: later.extend(client.translate(wire, "eng", ["deu"], 1, 8))
            )
            first.process.send_signal(signal.SIGSTOP)  # so that it dies with requests under way
            asking.start()
            time.sleep(0.5)
            first.process.kill()
            first.process.wait()
            again = Served(*serve, "--port", address.port, cache=tmp_path / "full", file_bytes=4096)
            with again:
                assert again.ready() == address
                asking.join(400)
                assert later == answers
                assert client.translate(wire, "eng", ["deu"], 1, 8) == answers
                again.process.send_signal(signal.SIGTERM)
                said, complaints = again.process.communicate(timeout=30)
                assert again.process.returncode == 0, complaints
                assert said == "stopped\n"
                assert "no tensor is kept" in complaints
                assert "Traceback" not in complaints


def test_a_served_cloud_hands_decoding_to_an_llm_behind_http(model, tmp_path):
    folder = tmp_path / "merged"
    model.save_pretrained(folder, with_llm=True)
    wire = recordings(2)
    with CompletionsServer(folder / "llm") as llm:
        asked = ("--model", folder, "--llm-url", llm.url, "--cache", "none", "--port", 0)
        with Served(*asked, cache=tmp_path / "cloud") as served:
            with RemoteCloud(served.ready(), ClientOptions(seconds=400)) as client:
                answers = client.translate(wire, "eng", ["deu", "fra"], 1, 8)
            served.process.send_signal(signal.SIGTERM)
            said, complaints = served.process.communicate(timeout=60)
        assert (served.process.returncode, said) == (0, "stopped\n"), complaints
        assert len(llm.prompts) == 4
    here = EsrtModel.from_pretrained(folder).cloud()
    assert answers == here.translate(wire, "eng", ["deu", "fra"], 1, 8)


def test_a_cloud_that_cannot_be_is_one_line_before_a_model_is_loaded(tmp_path):
    start = time.monotonic()
    for arguments, words in (
        (("--host", "0.0.0.0"), "make certificates with"),
        (("--certs", tmp_path), "ca.pem: cannot be read"),
        (("--llm-url", "127.0.0.1:8000"), "not the address of an LLM"),
        (("--llm-url", "http://192.0.2.1:8000"), "reached by https://"),
    ):
        done = CliRunner().invoke(app, ["serve", "--model", "nowhere", *map(str, arguments)])
        assert isinstance(done.exception, WireError)
        assert words in str(done.exception) and "\n" not in str(done.exception)
    assert time.monotonic() - start < 20


def test_certs_says_what_it_wrote(tmp_path):
    done = CliRunner().invoke(app, ["certs", str(tmp_path / "c"), "--name", "cloud.example"])
    assert done.exit_code == 0
    assert [Path(line).name for line in done.output.split()][:2] == ["ca.key", "ca.pem"]
