"""An attack family that does what its seed says: answers, cannot answer, breaks, or takes its process along."""

import os
import time
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import torch

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.attacks.families import Family
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.errors import AttackError
from esrt_privacy.progress import Reporter

FAMILY = Family("unruly", "What happens?")
ANSWERS, CANNOT, BREAKS, DIES, TIDIES = range(5)


def measure(inputs: Inputs, tap: str, seed: int, report: Reporter) -> Answers:
    report("counting", np.int64(1), np.int64(1))
    if seed == CANNOT:
        raise AttackError("one speaker only")
    if seed == BREAKS:
        raise ZeroDivisionError("a fault")
    if seed == DIES:
        os._exit(9)
    if seed == TIDIES:  # as semaphores are put away
        Finalize(None, _tidy, exitpriority=0)
    return Answers(
        {"threads": np.array([torch.get_num_threads()])}, {"process": (str(os.getpid()),)}
    )


def _tidy() -> None:
    time.sleep(0.5)
    Path(os.environ["UNRULY_TIDIED"]).touch()
