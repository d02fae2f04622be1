"""One process or several: accelerate, on the device that `devices` chose.

Several processes are started by torchrun, or by `accelerate launch`; with the configuration that lies
beside this file (`deepspeed_zero0.yaml`) the latter trains through DeepSpeed's ZeRO stage 0.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from esrt_privacy.errors import SystemUnavailable
from esrt_privacy.esrt.training.devices import training_device

if TYPE_CHECKING:
    from accelerate import Accelerator

DEEPSPEED_CONFIG = Path(__file__).with_name("deepspeed_zero0.yaml")
# The first process may encode a whole corpus while the others wait.
PATIENCE = timedelta(hours=24)


def started_processes(batch: int, accumulate: int, clip: float) -> Accelerator:
    """The processes of this run, this one among them. Raises SystemUnavailable without accelerate."""
    try:
        from accelerate import Accelerator
        from accelerate.utils import (
            DistributedDataParallelKwargs,
            DistributedType,
            GradientAccumulationPlugin,
            InitProcessGroupKwargs,
        )
    except ImportError as error:
        raise SystemUnavailable(
            "training needs accelerate and peft: pip install 'esrt-privacy[train]'"
        ) from error
    accelerator = Accelerator(
        cpu=training_device().type == "cpu",
        mixed_precision="no",  # the objective casts by itself, weights stay in float32
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=accumulate, sync_with_dataloader=False
        ),
        kwargs_handlers=[
            # A step of text alone leaves the Q-Former without a gradient, one query set the other.
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=PATIENCE),
        ],
    )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        accelerator.state.deepspeed_plugin.deepspeed_config.update(
            train_micro_batch_size_per_gpu=batch,
            gradient_accumulation_steps=accumulate,
            gradient_clipping=clip,
        )
    return accelerator


class StopRequest:
    """Whether someone has asked for the end of the run."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """A signal's handler: the first waits for the end of the step, the second does not."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take Ctrl-C and SIGTERM as a wish to stop after the step, while the block runs."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, request.ask) for number in signals}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
