"""The reconstruction network: a sequence of vectors to mel frames and their number.

Self-attention over the vectors, then each vector expands into a stretch of time, then convolutions. It has two canvases
for time: on the absolute one vector i fills the i-th part of the 30 s window (frame-synchronous taps, mel patches); on
the relative one the vectors share out the utterance's own length (queries that follow the speech). The convolutions see
both. Vectors in another order are put into that of time first, by a matrix that starts as `time_order` found it. On the
transparent tensor this learns in minutes where a decoder that attends from time positions did not.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from esrt_privacy.errors import AttackError
from esrt_privacy.esrt.config import LARGEST_SIZE, MEL_FRAMES, MOST_LAYERS

MAX_CONTEXT = 375  # vectors that self-attention sees: longer sequences are joined to groups first
EXPANSION_PARAMETERS = 1_250_000
MIN_FRAMES = 10


@dataclass(frozen=True)
class InverterConfig:
    """Sizes. With the defaults every input shape gives about 4 million parameters (8 MB in float16)."""

    vectors: int
    width: int
    mel_bins: int = 80
    context: int = 224
    context_layers: int = 2
    channels: int = 176
    blocks: int = 5
    relative: int = 96
    reorders: bool = False  # whether a matrix puts the vectors into the order of time

    def __post_init__(self) -> None:
        sizes = asdict(self)
        if type(sizes.pop("reorders")) is not bool:
            raise ValueError("reorders must be true or false")
        if self.reorders and self.vectors > MAX_CONTEXT:
            raise ValueError(f"more than {MAX_CONTEXT} vectors are not reordered")
        for name, size in sizes.items():
            if type(size) is not int or not 0 < size <= LARGEST_SIZE:
                raise ValueError(f"{name} must be a whole number from 1 to {LARGEST_SIZE:,}")
        if max(self.blocks, self.context_layers) > MOST_LAYERS:
            raise ValueError(f"more than {MOST_LAYERS} layers")

    @property
    def group(self) -> int:
        """Vectors joined for self-attention."""
        return max(1, math.ceil(self.vectors / MAX_CONTEXT))

    @property
    def frames(self) -> int:
        """Mel frames that one vector expands into on the absolute canvas."""
        return math.ceil(MEL_FRAMES / self.vectors)

    @property
    def absolute(self) -> int:
        """Channels of the absolute canvas, as many as the budget of parameters allows."""
        return max(12, min(96, EXPANSION_PARAMETERS // ((self.width + self.context) * self.frames)))


class Inverter(nn.Module):
    """(batch, vectors, width) -> log-mel (batch, frames, mel bins) and the length in frames."""

    input_mean: Tensor
    input_scale: Tensor
    mel_mean: Tensor

    def __init__(self, config: InverterConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        groups = math.ceil(c.vectors / c.group)
        # Of the training capture; the identity until `standardise` is called.
        self.register_buffer("input_mean", torch.zeros(c.width))
        self.register_buffer("input_scale", torch.ones(c.width))
        self.register_buffer("mel_mean", torch.zeros(c.mel_bins))
        self.order = nn.Parameter(torch.eye(c.vectors)) if c.reorders else None
        self.enter = nn.Linear(c.width * c.group, c.context)
        self.place = nn.Parameter(torch.randn(1, groups, c.context) * 0.02)
        layer = nn.TransformerEncoderLayer(
            c.context,
            4,
            2 * c.context,
            dropout=0.05,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.attend = nn.TransformerEncoder(layer, c.context_layers, enable_nested_tensor=False)
        joined = c.width + c.context
        self.expand = nn.Linear(joined, c.frames * c.absolute)
        self.share_out = nn.Linear(joined, c.relative)
        self.length = nn.Sequential(
            nn.Linear(2 * c.context, c.context), nn.GELU(), nn.Linear(c.context, 1)
        )
        self.mix = nn.Conv1d(c.absolute + c.relative + 4, c.channels, 5, padding=2)
        self.blocks = nn.ModuleList([_Block(c.channels, 2 ** (i % 3)) for i in range(c.blocks)])
        self.leave = nn.Conv1d(c.channels, c.mel_bins, 3, padding=1)

    def standardise(self, mean: Tensor, scale: Tensor, mel_mean: Tensor) -> None:
        """Set the mean and deviation (width,) of the inputs and the mean frame (mel bins,) of speech."""
        self.input_mean.copy_(mean)
        self.input_scale.copy_(scale.clamp(min=1e-4))
        self.mel_mean.copy_(mel_mean)

    def forward(self, tensors: Tensor, frames: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mel frames for utterances of `frames` (batch,) length, by default the predicted one.

        Returns (batch, longest, mel bins), silence of each row's own making after its length, and the predicted
        lengths in frames (batch,).
        """
        c = self.config
        x = (tensors - self.input_mean) / self.input_scale
        context = self._context(x)
        predicted = self._length(context)
        lengths = predicted.detach().round().long() if frames is None else frames
        lengths = lengths.clamp(MIN_FRAMES, MEL_FRAMES)
        longest = int(lengths.max())
        spread = context.repeat_interleave(c.group, dim=1)[:, : c.vectors]
        ordered = x if self.order is None else self.order @ x
        joined = torch.cat([ordered, spread], dim=-1)
        needed = min(c.vectors, math.ceil(longest / c.frames))
        absolute = (
            self.expand(joined[:, :needed]).unflatten(-1, (c.frames, c.absolute)).flatten(1, 2)
        )
        absolute = nn.functional.pad(absolute, (0, 0, 0, max(0, longest - absolute.shape[1])))
        relative = self._relative(self.share_out(joined), lengths, longest)
        time = self._time(lengths, longest).to(relative.dtype)
        canvas = torch.cat([absolute[:, :longest], relative, time], dim=-1)
        hidden = self.mix(canvas.transpose(1, 2))
        for block in self.blocks:
            hidden = block(hidden)
        return self.leave(hidden).transpose(1, 2).float() + self.mel_mean, predicted

    def _context(self, x: Tensor) -> Tensor:
        c = self.config
        groups = math.ceil(c.vectors / c.group)
        padded = nn.functional.pad(x, (0, 0, 0, groups * c.group - c.vectors))
        out: Tensor = self.attend(
            self.enter(padded.unflatten(1, (groups, c.group)).flatten(2)) + self.place
        )
        return out

    def _length(self, context: Tensor) -> Tensor:
        pooled = torch.cat([context.mean(dim=1), context.amax(dim=1)], dim=-1)
        share = torch.sigmoid(self.length(pooled).float().squeeze(-1))
        return share * MEL_FRAMES

    def _relative(self, features: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Linear interpolation of the vectors over each utterance's own length."""
        last = self.config.vectors - 1
        frame = torch.arange(longest, device=features.device)
        position = (frame[None] + 0.5) / lengths[:, None] * self.config.vectors - 0.5
        position = position.clamp(0, last)
        low = position.floor().long().clamp(max=last)
        high = (low + 1).clamp(max=last)
        part = (position - low).to(features.dtype)[..., None]
        width = features.shape[-1]
        below = features.gather(1, low[..., None].expand(-1, -1, width))
        above = features.gather(1, high[..., None].expand(-1, -1, width))
        return (1 - part) * below + part * above

    def _time(self, lengths: Tensor, longest: int) -> Tensor:
        """Where a frame lies in the utterance, and within its vector's stretch on the relative canvas."""
        frame = torch.arange(longest, device=lengths.device)[None]
        place = (frame + 0.5) / lengths[:, None]
        phase = 2 * math.pi * place * self.config.vectors
        seconds = lengths[:, None].expand_as(place) / MEL_FRAMES
        return torch.stack([place, seconds, phase.sin(), phase.cos()], dim=-1).float()


class _Block(nn.Module):
    """A residual convolution over time."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        # Over the channels of each frame: a norm over time would see a batch's padding.
        self.norm = nn.LayerNorm(channels)
        self.convolve = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.mix(nn.functional.gelu(self.convolve(normed)))
        return out


def save_inverter(model: Inverter, path: Path, about: dict[str, str]) -> None:
    """Write the network as safetensors (float16) with its sizes and what it was trained on."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, path, metadata={"config": json.dumps(asdict(model.config)), **about})


def load_inverter(path: Path) -> tuple[Inverter, dict[str, str]]:
    """Read what `save_inverter` wrote. Raises AttackError naming the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        # On no device: sizes from a file are not trusted before they are compared with its tensors.
        with torch.device("meta"):
            model = Inverter(InverterConfig(**json.loads(about.pop("config"))))
        model.load_state_dict(weights, assign=True)
    except (
        OSError,
        SafetensorError,
        KeyError,
        ValueError,
        TypeError,
        AssertionError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AttackError(f"{path}: not a reconstruction network ({reason})") from error
    return model.eval(), about
