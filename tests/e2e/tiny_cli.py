"""The program with the tests' random judge and a checkpoint after every step.

`python -m tests.e2e.tiny_cli WEIGHTS ARGUMENTS`
"""

import sys
from pathlib import Path

from esrt_privacy import audit, cli
from esrt_privacy.attacks import inverter_training
from tests import tiny

if __name__ == "__main__":
    weights = Path(sys.argv.pop(1))
    audit._judge = lambda asked: tiny.judge(weights)
    inverter_training.SAVE_SECONDS = 0.0
    cli.main()
