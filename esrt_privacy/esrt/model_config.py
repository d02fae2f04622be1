"""Which edge half, which LLM and which LoRA make up a whole ESRT model; the presets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from esrt_privacy.errors import SystemUnavailable, shown
from esrt_privacy.esrt.config import LARGEST_SIZE, PRESETS, SystemConfig, preset


@dataclass(frozen=True)
class ModelConfig:
    """A whole ESRT model. The edge half has a file of its own, so that an edge reads only that."""

    edge: SystemConfig
    llm: str  # asset, hub name or folder
    llm_width: int  # D
    lora_rank: int = 16
    lora_alpha: int = 32

    def to_json(self) -> str:
        """The cloud half as JSON text, readable by `from_json`."""
        row = asdict(self)
        del row["edge"]
        return json.dumps(row, indent=1, sort_keys=True)

    @classmethod
    def from_json(
        cls, text: str, edge: SystemConfig, source: Path | str = "configuration"
    ) -> ModelConfig:
        """Read what `to_json` wrote. Raises SystemUnavailable for anything else."""
        try:
            config = cls(edge=edge, **json.loads(text))
            if type(config.llm) is not str:
                raise TypeError("llm must be text")
            for name in ("llm_width", "lora_rank", "lora_alpha"):
                value = getattr(config, name)
                if type(value) is not int or not 0 < value <= LARGEST_SIZE:
                    raise ValueError(f"{name} must be a whole number from 1 to {LARGEST_SIZE:,}")
            return config
        except (ValueError, TypeError, RecursionError) as error:
            known = ", ".join(f.name for f in fields(cls) if f.name != "edge")
            raise SystemUnavailable(
                f"{source}: not the configuration of a model ({shown(error)}); it needs {known}"
            ) from error

    def as_preset(self, wanted: ModelConfig, source: Path | str) -> ModelConfig:
        """This checkpoint's configuration under the preset's name, with the preset's query set.

        Of the Q-Former only what crosses the wire must agree: the paper does not give the rest.
        Raises SystemUnavailable where the checkpoint `source` is one of another preset.
        """
        mine, theirs = self.edge, wanted.edge
        pairs = {
            "encoder width": (mine.encoder.width, theirs.encoder.width),
            "encoder layers": (mine.encoder.layers, theirs.encoder.layers),
            "mel bins": (mine.encoder.mel_bins, theirs.encoder.mel_bins),
            "wire width": (mine.qformer.hidden, theirs.qformer.hidden),
            "LLM width": (self.llm_width, wanted.llm_width),
        }
        wrong = [f"{what} {a}, not {b}" for what, (a, b) in pairs.items() if a != b]
        if theirs.queries not in mine.qformer.query_sets:
            wrong.append(f"no set of {theirs.queries} queries")
        if wrong:
            raise SystemUnavailable(
                f"{source}: a checkpoint of {shown(mine.name)}, not of {theirs.name}"
                f" ({', '.join(wrong)})"
            )
        return replace(self, edge=replace(mine, name=theirs.name, queries=theirs.queries))


# LLM and its width D of every preset. The paper names MiLMMT-4B and -12B; this is their first release on the hub.
LLMS = {
    "esrt-4b": ("xiaomi-research/MiLMMT-46-4B-v0.1", 2560),
    "esrt-12b": ("xiaomi-research/MiLMMT-46-12B-v0.1", 3840),
    "esrt-12b-lite": ("xiaomi-research/MiLMMT-46-12B-v0.1", 3840),
    "reference": ("gemma-3-270m", 640),
    "reference-lite": ("gemma-3-270m", 640),
}
MODEL_PRESETS = {name: ModelConfig(edge, *LLMS[name]) for name, edge in PRESETS.items()}


def model_preset(name: str) -> ModelConfig:
    """The whole model called `name`. Raises SystemUnavailable naming the presets that exist."""
    return MODEL_PRESETS[preset(name).name]
