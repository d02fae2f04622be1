"""Ctrl-C in the middle of training, and the same command again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from esrt_privacy.findings import read_run

ROOT = Path(__file__).parents[2]
STEPS = 30  # enough that a quick machine is still training when the signal comes


def _heed_ctrl_c() -> None:
    """A shell's background job ignores Ctrl-C, and so would every process that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_ctrl_c_during_training_goes_on_where_it_was(
    tiny_system, tiny_weights, tiny_speech, tmp_path
):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.e2e.tiny_cli", str(tiny_weights), "reconstruct"]
    command += ["--system", str(tiny_system), "--tap", "transparent", "--utterances", "2"]
    command += ["--corpus", str(tiny_speech), "--train-corpus", str(tiny_speech)]
    command += ["--budget", f"{STEPS} steps", "--out", str(out)]
    environment = {**os.environ, "ESRT_PRIVACY_CACHE": str(tmp_path / "cache")}
    first = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )
    deadline = time.monotonic() + 300
    while not list(out.glob("training/*.pt")) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 130, errors
    assert "the same command goes on" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not (out / "findings.json").exists()

    (checkpoint,) = out.glob("training/*.pt")
    reached = torch.load(checkpoint, weights_only=True)["steps"]
    assert 1 <= reached < STEPS
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines()[-1] == str(out / "report.html")

    whole = [str(tmp_path / "whole") if part == str(out) else part for part in command]
    third = subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert read_run(out).findings == read_run(tmp_path / "whole").findings
