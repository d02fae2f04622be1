"""The gate before a whole audit, in real processes: a leak planted in the tensors fails it, the same without passes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from esrt_privacy.captures import TapStore, capture
from esrt_privacy.corpora import load_corpus
from esrt_privacy.systems.registry import build_system
from tests import tiny

ROOT = Path(__file__).parents[2]
POLICY = """
[[rule]]
attack = "duration"
metric = "duration R²"
bound = "high"
at_most = 0.5

[verdicts]
forbidden = ["invalid"]
tap = "wire"
"""


def program(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esrt_privacy.cli", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def write_noise(made: Path, out: Path, lengths: dict[str, float], strength: float) -> None:
    """The store `made` with noise for tensors, in which each recording's length moves one direction."""
    about = TapStore.open(made).about
    shutil.rmtree(out, ignore_errors=True)
    store = TapStore.create(
        out, system=about.system, tap=about.tap, fingerprint=about.fingerprint, shape=about.shape
    )
    generator = torch.Generator().manual_seed(0)
    axis = torch.randn(about.shape, generator=generator)
    for key, length in lengths.items():
        noise = torch.randn(about.shape, generator=generator)
        store.add({key: (noise + strength * length * axis).bfloat16()})


@pytest.mark.slow
def test_a_leak_planted_in_the_tensors_fails_the_gate_and_noise_passes_it(
    tiny_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "cache"))
    speech = tiny.write_speech(tmp_path / "speech", speakers=10, each=8, longest=4.0)
    tiny.write_manifest(speech)
    corpus = load_corpus(str(speech))
    made = capture(build_system(str(tiny_system)), ["qformer", "mel"], corpus, tmp_path / "made")
    lengths = {u.fingerprint: float(u.duration or 0) - 2.5 for u in made["qformer"].corpus}
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    codes = {}
    for name, strength in (("noise", 0.0), ("planted", 1.0)):
        captures, out = tmp_path / f"captures-{name}", tmp_path / f"out-{name}"
        shutil.copytree(tmp_path / "made", captures)
        store = made["qformer"].store.folder
        write_noise(store, captures / store.name, lengths, strength)
        audit = program(
            *("duration", "--system", tiny_system, "--corpus", speech, "--captures", captures),
            *("--channel", "none", "--seeds", 1, "--jobs", 1, "--out", out),
        )
        assert audit.returncode == 0, audit.stderr
        checked = program("report", "check", out, "--policy", policy)
        codes[name] = checked.returncode
        assert ("FAIL" in checked.stdout) == (name == "planted"), checked.stdout
    assert codes == {"noise": 0, "planted": 3}
