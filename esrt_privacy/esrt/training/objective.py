"""What is trained: the parts of the model that a stage moves, and the loss as one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.training.curriculum import Stage
from esrt_privacy.esrt.training.errors import TrainingError

TAG_ROWS = "trainable_tokens"  # in the names of their parameters
LORA = "lora_"


class SideLoss(Protocol):
    """A second loss, on the wire tensor itself: what a frozen reader of it gets wrong, for instance."""

    @property
    def about(self) -> str:
        """All that decides it: a run with another one is another run."""
        ...

    def __call__(self, wire: Tensor, queries: int, keys: Sequence[str]) -> Tensor:
        """The mean over the rows of `wire` (batch, queries, width), whose audio has these fingerprints."""
        ...


class Losses(NamedTuple):
    """Of one pass: the mean over scored tokens, and the side loss's mean over rows (zero without one)."""

    tokens: Tensor
    side: Tensor


class Objective(nn.Module):
    """Encoder frames and token ids -> loss. A wrapper for several processes sees one forward pass.

    The frozen encoder is not part of it, so that it need not lie on the device that trains.
    """

    def __init__(self, model: EsrtModel, bfloat16: bool, side: SideLoss | None = None) -> None:
        super().__init__()
        self.qformer = qformer_of(model)
        self.projector = model.projector
        self.llm = model.llm
        self._model = (model,)  # hidden from nn.Module
        self._bfloat16 = bfloat16
        self._side = side

    def forward(
        self,
        frames: Tensor | None,
        bias: Tensor | None,
        queries: int,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        vocabulary: Tensor | None,
        keys: Sequence[str] = (),
    ) -> Losses:
        """`frames` (batch, frames, encoder width), None for text only, `keys` the fingerprints of their audio.

        The rest as in `EsrtModel.loss`.

        The wire tensor stays in float32 here: rounding it to bfloat16 would also round its gradient.
        """
        (model,) = self._model
        device = next(self.projector.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16):
            wire = None if frames is None else self.qformer(frames, queries, bias)
            tokens = model.loss(wire, prompts, targets, vocabulary)
            if wire is None or self._side is None:
                return Losses(tokens, torch.zeros((), device=device))
            return Losses(tokens, self._side(wire, queries, keys))


def qformer_of(model: EsrtModel) -> QFormer:
    """The Q-Former. Raises TrainingError for a model loaded without its edge half."""
    if model.edge is None:
        raise TrainingError(
            "a model without its edge half cannot be trained: load it with the edge"
        )
    return model.edge.qformer


def query_sets(model: EsrtModel, wanted: Sequence[int] = ()) -> tuple[int, ...]:
    """The query sets to be trained: those `wanted`, or all there are. TrainingError for a missing one."""
    there = qformer_of(model).config.query_sets
    missing = [n for n in wanted if n not in there]
    if missing:
        sets = ", ".join(map(str, there))
        raise TrainingError(f"the Q-Former has no set of {missing[0]} queries: it has {sets}")
    return tuple(wanted) or tuple(there)


def set_trainable(
    model: EsrtModel, stage: Stage, query_sets: Sequence[int], dropout: float
) -> dict[str, nn.Parameter]:
    """Free what the stage trains, freeze the rest; what is trained, by name.

    Trained weights are held in float32: small steps would vanish in bfloat16.
    """
    from esrt_privacy.esrt.llm import train_only

    qformer = qformer_of(model)
    model.requires_grad_(False)
    model.eval()
    qformer.requires_grad_(True)
    for name, queries in qformer.queries.items():
        queries.requires_grad_(int(name) in query_sets)
    model.projector.requires_grad_(True)
    train_only(model.llm, lora=stage.lora, tags=stage.tags)
    for module in qformer.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    model.projector.train()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    for weight in trained.values():
        weight.data = weight.data.float()
    return trained


def parameter_groups(trained: dict[str, nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms, queries and the tags' rows do not: zero is no rest for them."""
    kept: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, weight in trained.items():
        decays = weight.ndim >= 2 and TAG_ROWS not in name and ".queries." not in name
        kept[decays].append(weight)
    return [
        {"params": weights, "weight_decay": decay if decays else 0.0}
        for decays, weights in kept.items()
        if weights
    ]


def trained_counts(trained: dict[str, nn.Parameter]) -> dict[str, int]:
    """How many numbers of each part a stage trains."""
    counts: dict[str, int] = {}
    for name, weight in trained.items():
        if TAG_ROWS in name:
            part = "language tags"
        elif LORA in name:
            part = "LoRA"
        else:
            part = "projector" if name.startswith("projector.") else "Q-Former"
        counts[part] = counts.get(part, 0) + weight.numel()
    return counts
