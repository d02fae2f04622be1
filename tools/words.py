"""What the projector starts from: each query's vector becomes the mean embedding of the tokens said in its time.

A frozen LLM that is given vectors from a random projector spends thousands of steps on finding out that they are words.
Here one least-squares fit says it first. CTC's forced alignment of the training texts (by the head of the warm-up)
tells which characters a query spells; the tokens that these belong to have embeddings, and their mean is what the
projector's linear layer is to give. The stages then train everything, as published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import alphabet
import ctc
import numpy as np
import torch
import torchaudio
from torch import Tensor

from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.projector import Projector
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.vocabulary import embedded
from esrt_privacy.precision import fast_bfloat16

RIDGE = 1e-3  # of the mean square of a wire dimension


def token_places(text: str, language: str, tokenizer: Any) -> list[tuple[int, float, float]]:
    """Tokens of `text` with the share of the spelled text, from and to, that each stands for.

    Spelling keeps the order and, nearly, the proportions of a text: lengths are shared out evenly.
    """
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = []
    for token, (begin, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        before = len(alphabet.spelled(text[:begin], language))
        spans.append((token, before, len(alphabet.spelled(text[:end], language))))
    total = max(1, spans[-1][2])
    return [(token, a / total, b / total) for token, a, b in spans if b > a]


@torch.inference_mode()
def aligned(
    qformer: QFormer,
    head: ctc.Head,
    queries: int,
    examples: Sequence[ctc.Example],
    texts: Sequence[tuple[str, str]],
    frames_of: Callable[[str], Tensor],
    tokenizer: Any,
) -> tuple[Tensor, list[dict[int, float]]]:
    """Wire vectors (n, hidden) of queries in which something is said, and of each the tokens with their weights.

    `texts`: text and language of each example.
    """
    qformer.eval()
    vectors, tokens = [], []
    steps = ctc.CTC_STEPS // queries
    for start in range(0, len(examples), 16):
        rows = examples[start : start + 16]
        frames = torch.stack([frames_of(e.key) for e in rows]).float()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            wire = qformer(frames, queries).float()
            spelled = head(wire)
        for row, example in enumerate(rows):
            target = torch.tensor([alphabet.encode(example.text)])
            path, _ = torchaudio.functional.forced_align(spelled[row : row + 1], target)
            # The step at which each character begins.
            moved = np.flatnonzero(np.diff(path[0].numpy(), prepend=alphabet.BLANK))
            begins = [int(i) for i in moved if path[0, i] != alphabet.BLANK]
            if len(begins) != target.shape[1]:
                continue
            weights: dict[int, dict[int, float]] = {}
            text, language = texts[start + row]
            for token, first, last in token_places(text, language, tokenizer):
                a, b = round(first * len(begins)), round(last * len(begins))
                for step in begins[a:b]:
                    place = weights.setdefault(step // steps, {})
                    place[token] = place.get(token, 0.0) + 1.0
            for query, place in weights.items():
                vectors.append(wire[row, query].clone())
                tokens.append(place)
    return torch.stack(vectors), tokens


@torch.no_grad()
def put_into(model: EsrtModel, vectors: Tensor, tokens: Sequence[dict[int, float]]) -> float:
    """Fit the projector of `model` to them; the share of the embeddings' variance that it explains."""
    projector: Projector = model.projector
    linear, norm = projector.layers[0], projector.layers[-1]
    if not isinstance(linear, torch.nn.Linear) or len(projector.layers) != 2:
        raise ValueError("only a projector of one linear layer can be fitted")
    wanted = torch.stack([_mean(model, place) for place in tokens])
    size = wanted.square().mean().sqrt()
    inputs = torch.cat([vectors.float(), torch.ones(len(vectors), 1)], 1).double()
    gram = inputs.T @ inputs
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    fitted = torch.linalg.solve(gram, inputs.T @ wanted.double())
    left = (wanted.double() - inputs @ fitted).square().mean()
    linear.weight.copy_(fitted[:-1].T)
    linear.bias.copy_(fitted[-1])
    norm.weight.fill_(float(size))
    norm.bias.zero_()
    return float(1 - left / wanted.double().var(0, correction=0).mean())


def _mean(model: EsrtModel, place: dict[int, float]) -> Tensor:
    vectors = embedded(model.llm, torch.tensor(list(place))).float()
    weights = torch.tensor(list(place.values()))
    return (weights[:, None] * vectors).sum(0) / weights.sum()
