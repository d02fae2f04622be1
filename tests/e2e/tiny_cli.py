"""The program with the tests' random judge and attack family, and a checkpoint after every step.

`python -m tests.e2e.tiny_cli WEIGHTS ARGUMENTS`
"""

import sys
from pathlib import Path

from esrt_privacy import cli
from esrt_privacy.attacks import families, inverter_training
from esrt_privacy.audit import reconstruction
from tests import tiny
from tests.audit import tiny_family

if __name__ == "__main__":
    weights = Path(sys.argv.pop(1))
    reconstruction._judge = lambda asked: tiny.judge(weights)
    families.MODULES[tiny_family.FAMILY.name] = tiny_family.__name__
    inverter_training.SAVE_SECONDS = 0.0
    cli.main()
