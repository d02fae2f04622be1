"""Wall time and peak memory of the commands, each as a process of its own.

    python benchmarks/commands.py [--corpus PATH --train-corpus PATH]

`reconstruct` runs on eight utterances of the demo corpus into a temporary folder; with a training corpus, a short
training is measured too. Printed as measured; nothing fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "esrt-privacy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="demo")
    parser.add_argument("--train-corpus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        commands = {
            "--help": ["--help"],
            "--help again": ["--help"],
            "systems": ["systems"],
            "corpora show": ["corpora", "show", options.corpus],
            "reconstruct, 8 utterances": _reconstruct(options.corpus, out),
            "reconstruct again": _reconstruct(options.corpus, out),
        }
        if options.train_corpus:
            commands["reconstruct, trained for 60 s a tap"] = [
                *_reconstruct(options.corpus, f"{out}/trained"),
                *("--train-corpus", options.train_corpus, "--budget", "60s"),
            ]
        for name, arguments in commands.items():
            seconds, peak, code = measured([str(PROGRAM), *arguments])
            print(f"{name:40s} {seconds:8.2f} s  {peak:6.2f} GB  exit code {code}", flush=True)


def _reconstruct(corpus: str, out: str) -> list[str]:
    return ["reconstruct", "--corpus", corpus, "--utterances", "8", "--out", out]


def measured(command: list[str]) -> tuple[float, float, int]:
    """Seconds, peak resident memory in GB, and exit code of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, usage.ru_maxrss / 1e6, process.returncode


if __name__ == "__main__":
    main()
