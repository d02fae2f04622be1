"""Real processes: killed and started again, and two that train together."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from esrt_privacy.esrt.training.metrics import METRICS_FILE, read_metrics

ROOT = Path(__file__).parents[3]
MODULE = ["-m", "tests.esrt.training.tiny_train"]
PATIENCE = 900  # seconds: of a hang only, a busy machine takes its time


@pytest.fixture
def whole_model(fresh, tmp_path):
    """The folder of a whole model to start from."""
    fresh().save_pretrained(tmp_path / "start")
    return tmp_path / "start"


@pytest.fixture
def started(whole_model, parallel, tmp_path):
    """started(name, launcher, **options) -> a running process that trains into the folder `name`."""
    environment = {
        **os.environ,
        "ESRT_PRIVACY_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    running = []

    def start(name, launcher=(), **options):
        common = {"warm_up": 2, "learning_rate": 3e-3, "bfloat16": False}
        request = {
            "corpora": [str(parallel)],
            "adapter": str(whole_model),
            "out": str(tmp_path / name),
            "stages": [2, 3],
            "options": {**common, **options},
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, *launcher, *MODULE, str(path)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # torchrun's own processes end with it
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finished(process):
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return errors


def curve(folder):
    return [replace(point, seconds=0.0) for point in read_metrics(folder)]


def wait_for(process, folder, rows):
    deadline = time.monotonic() + PATIENCE
    path = folder / METRICS_FILE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if path.is_file() and path.read_bytes().count(b"\n") > rows:
            return
        time.sleep(0.005)
    raise AssertionError("no training to be seen")


def test_killed_run_goes_on_with_the_same_loss_curve(started, tmp_path):
    options = {"steps": [40, 60], "batch": 4, "dropout": 0.1, "checkpoint_seconds": 0.2}
    killed = started("killed", **options)
    wait_for(killed, tmp_path / "killed", 55)  # in the middle of the second stage
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    assert 55 <= len(curve(tmp_path / "killed")) < 100
    assert not (tmp_path / "killed" / "training.json").exists()
    again, whole = started("killed", **options), started("whole", **options)
    finished(again)
    finished(whole)
    assert len(curve(tmp_path / "whole")) == 100
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    for name in ("qformer", "projector", "llm_adapter"):
        first, second = (
            load_file(tmp_path / run / f"{name}.safetensors") for run in ("killed", "whole")
        )
        assert all(torch.equal(first[key], second[key]) for key in second)


def test_ctrl_c_saves_the_step_that_it_is_in(started, tmp_path):
    options = {"steps": [500], "batch": 4, "checkpoint_seconds": 1e9}
    stopped = started("stopped", **options)
    wait_for(stopped, tmp_path / "stopped", 5)
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=PATIENCE)
    assert stopped.returncode != 0
    saved = torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)
    assert (saved["stage"], saved["step"]) == (2, len(curve(tmp_path / "stopped")))


def test_two_processes_train_as_one_with_the_whole_batch(started, tmp_path):
    """Every task, so that some steps leave parts of the model without a gradient."""
    options = {"steps": [8, 4], "dropout": 0.0, "learning_rate": 1e-6}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    finished(started("two", launcher, batch=3, accumulate=1, **options))
    finished(started("one", batch=3, accumulate=2, **options))
    two, one = curve(tmp_path / "two"), curve(tmp_path / "one")
    assert {point.task for point in one} == {"asr", "smt", "srt"}
    assert [(p.task, p.rows, p.tokens, p.queries) for p in two] == [
        (p.task, p.rows, p.tokens, p.queries) for p in one
    ]
    for mine, theirs in zip(two, one, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert mine.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-4)
    assert json.loads((tmp_path / "two" / "training.json").read_text())["processes"] == 2
    for name in ("qformer", "projector", "llm_adapter"):
        first, second = (
            load_file(tmp_path / run / f"{name}.safetensors") for run in ("two", "one")
        )
        for key in second:
            torch.testing.assert_close(first[key], second[key], rtol=1e-3, atol=3e-5)
