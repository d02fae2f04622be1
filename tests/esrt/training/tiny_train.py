"""A training run as a process of its own: `python -m tests.esrt.training.tiny_train REQUEST`.

REQUEST is a JSON file: what `TrainRequest` takes, `options` as `TrainingOptions` takes them.
"""

import json
import sys
from pathlib import Path

from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.run import TrainRequest, run

if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    options = asked.pop("options")
    options["steps"] = tuple(options["steps"])
    asked = {k: tuple(v) if isinstance(v, list) else v for k, v in asked.items()}
    places = {name: Path(asked.pop(name)) for name in ("out", "adapter")}
    run(TrainRequest(**asked, **places, options=TrainingOptions(**options)))
