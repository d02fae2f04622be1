"""An audit killed without warning in the middle of its parts, and the same command again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from esrt_privacy.findings import read_run
from tests.audit.tiny_family import PAUSE

ROOT = Path(__file__).parents[2]
PARTS = 6  # three taps, two seeds


@pytest.mark.slow
def test_a_killed_audit_goes_on_where_it_was(tiny_system, tiny_weights, tiny_speech, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'title = "tiny"\nsystems = ["{tiny_system}"]\ncorpus = "{tiny_speech}"\nchannel = "none"\n'
        'taps = ["wire", "encoder"]\nseeds = [0, 1]\n[[attacks]]\nname = "tiny"\n'
    )
    out = tmp_path / "out"
    program = [sys.executable, "-m", "tests.e2e.tiny_cli", str(tiny_weights)]
    command = [*program, "audit", str(plan), "--jobs", "2", "--out", str(out)]
    environment = {**os.environ, "ESRT_PRIVACY_CACHE": str(tmp_path / "cache")}
    # Each part is so slow that the third cannot be answered before the kill.
    first = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, PAUSE: "10"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not list(out.glob("answers/*.safetensors")) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    workers = psutil.Process(first.pid).children(recursive=True)
    assert len(workers) >= 2
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL
    assert not (out / "findings.json").exists()
    # A worker does not outlive what it works for.
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    answered = {path: path.stat().st_mtime_ns for path in out.glob("answers/*.safetensors")}
    assert 1 <= len(answered) < PARTS

    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines()[-1] == str(out / "report.html")
    assert f"attacking in {PARTS - len(answered)} parts: done" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in answered} == answered

    whole = [str(tmp_path / "whole") if part == str(out) else part for part in command]
    third = subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert read_run(out).findings == read_run(tmp_path / "whole").findings
