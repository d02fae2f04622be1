"""Training of the network heads: crops in time, AAM-softmax for voices, the best state by development speakers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.attacks.heads import Curve, Task
from esrt_privacy.attacks.heads_networks import NETWORKS, Standardised
from esrt_privacy.attacks.heads_statistics import directions
from esrt_privacy.attacks.scoring import pairs_eer, unit_length
from esrt_privacy.attacks.sequences import comes_whole, remembered, sequences
from esrt_privacy.captures import Capture
from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.precision import fast_bfloat16
from esrt_privacy.progress import Reporter

# Few enough that an audit of a few dozen people takes minutes; what more would bring, the curve says.
STEPS = {"attentive": 240, "ecapa": 160}
LEAST_TRAINING_STEPS = 4
BATCH = 32
LEARNING_RATE = {"attentive": 2e-3, "ecapa": 2e-3}
WARM_UP = 0.2  # of the steps
MARGIN, SCALE = 0.2, 20.0  # of AAM-softmax; a smaller scale than for thousands of speakers
SHORTEST_CROP = 25  # steps: 1 s of frames of 40 ms
LONGEST_CROP = 75
LOOKS = 8  # at the development utterances
CLASS_COMPONENTS = 96  # of a vector, where classes are learnt
CLASS_SHARE = 0.4  # of STEPS: a few classes are learnt sooner than dozens of voices
PATIENCE = 3  # looks without a smaller error
STATISTICS_UTTERANCES = 400
_TINY = 1e-4

Loss = Callable[[Standardised, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class NetworkHead:
    """A trained network head; see `heads.TrainedHead`."""

    name: str
    curve: Curve
    classes: tuple[str, ...]
    task: Task
    model: Standardised
    target: tuple[np.ndarray, np.ndarray]  # mean and deviation of regression labels
    trim: bool

    def embed(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, EMBEDDING) float32 of unit length."""
        return np.asarray(unit_length(self._outputs(capture, utterances, last=False)), np.float32)

    def log_probabilities(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances, classes)."""
        if self.task != "classes":
            raise AttackError(f"a head trained for {self.task} gives no probabilities")
        logits = torch.from_numpy(self._outputs(capture, utterances, last=True))
        return np.asarray(logits.log_softmax(dim=1).numpy())

    def predict(self, capture: Capture, utterances: Sequence[Utterance]) -> np.ndarray:
        """(utterances,) or (utterances, values)."""
        if self.task != "regression":
            raise AttackError(f"a head trained for {self.task} predicts no numbers")
        mean, deviation = self.target
        values = self._outputs(capture, utterances, last=True) * deviation + mean
        return values if mean.size > 1 else values[:, 0]

    def _outputs(self, capture: Capture, utterances: Sequence[Utterance], last: bool) -> np.ndarray:
        rows = sequences(remembered(capture, self.trim), utterances, self.trim)
        return _outputs(self.model, rows, last)


def train_network(
    name: str,
    capture: Capture,
    training: Sequence[Utterance],
    labels: np.ndarray,
    development: Sequence[Utterance],
    development_labels: np.ndarray,
    task: Task,
    seed: int,
    budget: float,
    report: Reporter,
    trim: bool,
) -> NetworkHead:
    """See `heads.train_head`. `STEPS[name] · budget` steps; the state with the least development error is kept.

    Classes are few and soon learnt by heart: there it is CLASS_SHARE of the steps, on CLASS_COMPONENTS directions, and
    the training ends when PATIENCE looks brought nothing.
    """
    rows = sequences(capture, training, trim)
    watched = sequences(capture, development, trim)
    whole = comes_whole(capture, trim)
    task_labels = _Labels.of(task, labels)
    mean, scale = _statistics(rows, whole)
    axes, width = None, capture.shape[1]
    if task == "classes" and width > CLASS_COMPONENTS:
        # A dozen classes are no matter of a vector's faintest directions, and the first layer's cost grows with them.
        scaled = [((row - mean) / scale).numpy() for row in rows]
        axes, width = torch.from_numpy(directions(scaled, CLASS_COMPONENTS)), CLASS_COMPONENTS
    # The network's initial weights are drawn globally by torch: on a fork, so that nothing outside changes.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Standardised(NETWORKS[name](width), mean, scale, task_labels.outputs, axes)
    share = CLASS_SHARE if task == "classes" else 1.0
    steps = max(LEAST_TRAINING_STEPS, round(STEPS[name] * share * budget))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE[name], weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / steps))
    generator = torch.Generator().manual_seed(seed)
    targets = task_labels.tensor(labels)
    loss_of = _loss(task)
    curve: list[tuple[int, float]] = []
    best, best_error, stale = _state(model), float("inf"), 0
    looks = {round((i + 1) * steps / LOOKS) for i in range(LOOKS)} | {steps}
    for step, chosen in enumerate(_batches(len(rows), steps, generator), start=1):
        model.train()
        loss = loss_of(model, _crops([rows[i] for i in chosen], whole, generator), targets[chosen])
        if not bool(torch.isfinite(loss)):
            raise AttackError(
                f"training {name} on {capture.tap} went astray after {step} steps; give another --seed"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if watched and step in looks:
            error = task_labels.error(model, watched, development_labels)
            curve.append((step, error))
            # The later of two alike: it has seen more.
            if error <= best_error:
                best, best_error, stale = _state(model), error, 0
            else:
                stale += 1
            if task == "classes" and stale == PATIENCE:
                break
        report(f"training {name} on {capture.tap}", step, steps)
    if watched and best_error < float("inf"):
        model.load_state_dict(best)
    model.eval()
    return NetworkHead(
        name, tuple(curve), task_labels.classes, task, model, task_labels.target, trim
    )


@dataclass(frozen=True)
class _Labels:
    """Labels as the training takes them, and the error of a model on others."""

    task: Task
    classes: tuple[str, ...]
    target: tuple[np.ndarray, np.ndarray]
    outputs: int

    @classmethod
    def of(cls, task: Task, labels: np.ndarray) -> _Labels:
        if task != "regression":
            classes = tuple(sorted(set(labels.tolist())))
            return cls(task, classes, (np.zeros(0), np.ones(0)), len(classes))
        table = labels.reshape(len(labels), -1)
        deviation = np.maximum(table.std(axis=0), _TINY)
        return cls(task, (), (table.mean(axis=0), deviation), table.shape[1])

    def tensor(self, labels: np.ndarray) -> Tensor:
        if self.task != "regression":
            place = {name: i for i, name in enumerate(self.classes)}
            return torch.tensor([place[str(name)] for name in labels])
        mean, deviation = self.target
        table = (labels.reshape(len(labels), -1) - mean) / deviation
        return torch.from_numpy(table.astype(np.float32))

    def error(self, model: Standardised, rows: Sequence[Tensor], labels: np.ndarray) -> float:
        """Of unseen utterances: EER of all pairs, cross-entropy in nats, or mean absolute error."""
        if self.task == "embedding":
            return pairs_eer(unit_length(_outputs(model, rows, last=False)), labels)
        values = torch.from_numpy(_outputs(model, rows, last=True))
        if self.task == "classes":
            # A class that training never met has no probability to be judged by.
            met = [i for i, name in enumerate(labels) if str(name) in self.classes]
            if not met:
                return float("inf")
            truth = self.tensor(labels[met])
            return float(nn.functional.cross_entropy(values[met], truth))
        scale = torch.from_numpy(self.target[1].astype(np.float32))
        return float(((values - self.tensor(labels)).abs() * scale).mean())


def _loss(task: Task) -> Loss:
    if task == "embedding":
        from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper

        margin = LogSoftmaxWrapper(AdditiveAngularMargin(margin=MARGIN, scale=SCALE))

        def of_voices(model: Standardised, steps: Tensor, speakers: Tensor) -> Tensor:
            embedded = nn.functional.normalize(_embedded(model, steps))
            cosines = embedded @ nn.functional.normalize(model.output.weight).T
            loss: Tensor = margin(cosines.unsqueeze(1), speakers.unsqueeze(1))
            return loss

        return of_voices
    if task == "classes":
        return lambda model, steps, truth: nn.functional.cross_entropy(
            model.output(_embedded(model, steps)), truth, label_smoothing=0.05
        )
    return lambda model, steps, truth: nn.functional.smooth_l1_loss(
        model.output(_embedded(model, steps)), truth
    )


def _embedded(model: Standardised, steps: Tensor) -> Tensor:
    """(batch, EMBEDDING) float32, while training: the network's layers in bfloat16 where that is faster."""
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
        out: Tensor = model(steps)
    return out.float()


def _statistics(rows: Sequence[Tensor], whole: bool) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the training vectors; at each place where tensors come whole."""
    chosen = rows[:: max(1, len(rows) // STATISTICS_UTTERANCES)]
    table = torch.stack(list(chosen)) if whole else torch.cat(list(chosen))
    deviation = table.std(dim=0, correction=0)
    # A place that hardly ever varies must not be blown up.
    return table.mean(dim=0), deviation.clamp(min=max(_TINY, 0.05 * float(deviation.mean())))


def _batches(count: int, steps: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Numbers of the utterances of each step: every utterance once before any comes again."""
    size = min(BATCH, count)
    order: list[int] = []
    for _ in range(steps):
        if len(order) < size:
            order += torch.randperm(count, generator=generator).tolist()
        yield order[:size]
        order = order[size:]


def _crops(rows: Sequence[Tensor], whole: bool, generator: torch.Generator) -> Tensor:
    """One stretch of each, all of one random length; what is shorter is repeated. (batch, steps, width)."""
    if whole:
        return torch.stack(list(rows))
    typical = int(np.median([len(r) for r in rows]))
    high = max(1, min(LONGEST_CROP, typical))
    low = min(high, max(SHORTEST_CROP, high // 2))
    length = int(torch.randint(low, high + 1, (1,), generator=generator))
    starts = torch.rand(len(rows), generator=generator)
    cut = []
    for row, start in zip(rows, starts.tolist(), strict=True):
        if len(row) < length:
            row = row.repeat(-(-length // len(row)), 1)
        first = int(start * (len(row) - length + 1))
        cut.append(row[first : first + length])
    return torch.stack(cut)


@torch.inference_mode()
def _outputs(model: Standardised, rows: Sequence[Tensor], last: bool) -> np.ndarray:
    """Embeddings, or with `last` the output layer's values, (utterances, values).

    Only sequences of one length share a batch, so that an utterance's values do not depend on the others'.
    """
    model.eval()
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(i)
    size = model.output.out_features if last else model.output.in_features
    out = np.zeros((len(rows), size), dtype=np.float32)
    for places in by_length.values():
        for start in range(0, len(places), BATCH):
            part = places[start : start + BATCH]
            values = model(torch.stack([rows[i] for i in part]))
            out[part] = (model.output(values) if last else values).numpy()
    return out


def _rate(share: float) -> float:
    """Of the learning rate after a share of the training: up in a straight line, down as a cosine."""
    if share < WARM_UP:
        return (share + 0.01) / (WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
