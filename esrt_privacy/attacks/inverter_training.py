"""Training of the reconstruction network within a budget, with checkpoints from which a killed run goes on."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.attacks.inverter import Inverter, InverterConfig
from esrt_privacy.attacks.time_order import time_order
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.corpora.utterance import shown
from esrt_privacy.errors import AttackError
from esrt_privacy.esrt.config import MEL_FRAMES
from esrt_privacy.precision import fast_bfloat16

FRAMES_A_SECOND = 100
LEAST_UTTERANCES = 4
STATISTICS_UTTERANCES = 200
SAVE_SECONDS = 30.0  # most work that a killed training loses


@dataclass(frozen=True)
class Budget:
    """How long an attacker trains: steps or seconds, one of them."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`5m`, `90s`, `1h` or `2000 steps` (also `2000`). Raises AttackError for anything else."""
        match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|m|h|steps?)?\s*", text)
        amount, unit = (float(match[1]), match[2]) if match else (0.0, None)
        in_steps = unit is None or unit.startswith("step")
        if amount <= 0 or (in_steps and not amount.is_integer()):
            raise AttackError(f"budget '{shown(text, 40)}': write 5m, 90s, 1h or '2000 steps'")
        if in_steps:
            return cls(steps=int(amount))
        return cls(seconds=amount * {"s": 1, "m": 60, "h": 3600}[str(unit)])

    def share(self, steps: int, seconds: float) -> float:
        """How much of the budget is used, 0 to 1."""
        used = steps / self.steps if self.steps else seconds / (self.seconds or 1.0)
        return min(1.0, used)

    def __str__(self) -> str:
        return f"{self.steps} steps" if self.steps else f"{self.seconds:g} s"


@dataclass(frozen=True)
class TrainingOptions:
    """What stays the same for every tap, so that a control and a finding can be compared."""

    budget: Budget
    batch: int = 16
    learning_rate: float = 1.5e-3
    warm_up: int = 50
    seed: int = 0


@dataclass(frozen=True)
class CurvePoint:
    """Where training stood."""

    steps: int
    seconds: float
    loss: float  # mean absolute error of log-mel, Whisper's scale, on the development utterances


def frames_of(utterance: Utterance) -> int:
    """Mel frames of an utterance, 100 a second."""
    seconds = utterance.duration if utterance.duration is not None else 30.0
    return max(1, min(MEL_FRAMES, math.ceil(seconds * FRAMES_A_SECOND)))


def train_inverter(
    tensors: Capture,
    mels: Capture,
    development: Sequence[Utterance],
    options: TrainingOptions,
    checkpoint: Path | None = None,
    progress: Callable[[float, CurvePoint], None] | None = None,
    start_from: Inverter | None = None,
) -> tuple[Inverter, list[CurvePoint]]:
    """Train on (tensor, mel) pairs of the captures' utterances.

    `development` are utterances of both captures that are watched, never trained on. Returns the network and its
    curve. Raises AttackError with fewer than four training utterances.
    """
    watched = {u.id for u in development}
    utterances = [u for u in tensors.corpus if u.id not in watched]
    if len(utterances) < LEAST_UTTERANCES:
        raise AttackError(
            f"{tensors.corpus.name}: {len(utterances)} utterances are left to train on, at least"
            f" {LEAST_UTTERANCES} are needed; give a larger --train-corpus"
        )
    torch.manual_seed(options.seed)
    model = start_from or _fresh(tensors, mels, utterances, options.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.01)
    steps, spent, curve = _resume(checkpoint, model, optimiser)
    began = time.monotonic() - spent
    saved = time.monotonic()
    for batch in _batches(utterances, options, steps):
        used = options.budget.share(steps, time.monotonic() - began)
        if used >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * _schedule(steps, used, options.warm_up)
        torch.manual_seed(options.seed * 1_000_003 + steps)
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            loss = _loss(model, tensors.batch(batch), *_target(mels, batch))
        if not bool(torch.isfinite(loss)):
            raise AttackError(
                f"training on {tensors.tap} went astray after {steps} steps (the error is no number);"
                " give another --seed"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 100 == 0:
            seconds = time.monotonic() - began
            curve.append(
                CurvePoint(steps, seconds, development_loss(model, tensors, mels, development))
            )
        if steps % 100 == 0 or time.monotonic() - saved >= SAVE_SECONDS:
            _checkpoint(checkpoint, model, optimiser, steps, time.monotonic() - began, curve)
            saved = time.monotonic()
        if progress is not None and steps % 5 == 0:
            seconds = time.monotonic() - began
            at = curve[-1] if curve else CurvePoint(steps, seconds, float(loss.detach()))
            progress(options.budget.share(steps, seconds), at)
    seconds = time.monotonic() - began
    if not curve or curve[-1].steps != steps:
        curve.append(
            CurvePoint(steps, seconds, development_loss(model, tensors, mels, development))
        )
        _checkpoint(checkpoint, model, optimiser, steps, seconds, curve)
    if progress is not None:
        progress(1.0, curve[-1])
    return model.eval(), curve


def _fresh(tensors: Capture, mels: Capture, utterances: Sequence[Utterance], seed: int) -> Inverter:
    """A new network, standardised on the training utterances, its vectors put into the order of time if need be."""
    vectors, width = tensors.shape
    order = time_order(tensors, mels, utterances, [frames_of(u) for u in utterances], seed)
    config = InverterConfig(vectors, width, mel_bins=mels.shape[1], reorders=order is not None)
    model = Inverter(config)
    model.standardise(*_statistics(tensors, mels, utterances, seed))
    if model.order is not None and order is not None:
        model.order.data.copy_(order)
    return model


@torch.inference_mode()
def development_loss(
    model: Inverter, tensors: Capture, mels: Capture, development: Sequence[Utterance]
) -> float:
    """Mean absolute error of log-mel at true length, over utterances that are not trained on."""
    if not development:
        return float("nan")
    model.eval()
    total = count = 0.0
    for start in range(0, len(development), 16):
        batch = development[start : start + 16]
        target, lengths = _target(mels, batch)
        predicted = model(tensors.batch(batch), lengths)[0][:, : target.shape[1]]
        mask = _mask(lengths, target.shape[1])
        total += float(((predicted - target).abs() * mask).sum())
        count += float(mask.sum()) * target.shape[2]
    return total / count


def _loss(model: Inverter, tensors: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """L1 on log-mel, on its changes over time and frequency, and on the logarithm of the length."""
    predicted, frames = model(tensors, lengths)
    mask = _mask(lengths, target.shape[1])
    # The network gives a least number of frames; an utterance may have fewer.
    error = predicted[:, : target.shape[1]].float() - target
    weight = mask.sum() * target.shape[2]
    level = (error.abs() * mask).sum() / weight
    over_time = ((error[:, 1:] - error[:, :-1]).abs() * mask[:, 1:]).sum() / weight
    over_frequency = ((error[:, :, 1:] - error[:, :, :-1]).abs() * mask).sum() / weight
    length = (frames.clamp(min=1).log() - lengths.float().log()).abs().mean()
    return level + 0.5 * over_time + 0.5 * over_frequency + 0.05 * length


def _target(mels: Capture, batch: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([frames_of(u) for u in batch])
    longest = int(lengths.max())
    return torch.stack([mels.tensor(u)[:longest].float() for u in batch]), lengths


def _mask(lengths: Tensor, longest: int) -> Tensor:
    return (torch.arange(longest)[None] < lengths[:, None]).float()[..., None]


def _statistics(
    tensors: Capture, mels: Capture, utterances: Sequence[Utterance], seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(utterances))[:STATISTICS_UTTERANCES]
    total = squares = torch.zeros(tensors.shape[1])
    count = 0
    frames = []
    for i in chosen:
        tensor = tensors.tensor(utterances[i]).float()
        total = total + tensor.sum(dim=0)
        squares = squares + tensor.square().sum(dim=0)
        count += len(tensor)
        frames.append(mels.tensor(utterances[i])[: frames_of(utterances[i])].float())
    mean = total / count
    return (
        mean,
        (squares / count - mean.square()).clamp(min=0).sqrt(),
        torch.cat(frames).mean(dim=0),
    )


def _batches(
    utterances: Sequence[Utterance], options: TrainingOptions, skip: int
) -> Iterator[list[Utterance]]:
    """Endless batches of like lengths, a function of the seed; the first `skip` are passed over."""
    size = min(options.batch, len(utterances))
    epoch = 0
    while True:
        rng = np.random.default_rng([options.seed, epoch])
        jitter = rng.uniform(0.85, 1.15, len(utterances))
        order = sorted(range(len(utterances)), key=lambda i: frames_of(utterances[i]) * jitter[i])
        groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
        for g in rng.permutation(len(groups)):
            if skip > 0:
                skip -= 1
                continue
            yield [utterances[i] for i in groups[g]]
        epoch += 1


def _schedule(steps: int, used: float, warm_up: int) -> float:
    """Linear warm-up, then a cosine down to 2% over the budget."""
    return min(1.0, (steps + 1) / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * used)))


def _checkpoint(
    path: Path | None,
    model: Inverter,
    optimiser: torch.optim.Optimizer,
    steps: int,
    seconds: float,
    curve: list[CurvePoint],
) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "steps": steps,
        "seconds": seconds,
        "curve": [[p.steps, p.seconds, p.loss] for p in curve],
    }
    torch.save(state, partial)
    partial.replace(path)


def _resume(
    path: Path | None, model: Inverter, optimiser: torch.optim.Optimizer
) -> tuple[int, float, list[CurvePoint]]:
    if path is None or not path.exists():
        return 0, 0.0, []
    try:
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        curve = [CurvePoint(int(a), float(b), float(c)) for a, b, c in state["curve"]]
        return int(state["steps"]), float(state["seconds"]), curve
    except Exception as error:  # a damaged file shows as a dozen kinds of errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AttackError(
            f"{path}: cannot go on from this checkpoint ({reason}); delete it"
        ) from error
