"""CTC warm-up of a Q-Former (Graves et al. 2006): a throw-away head spells what was said from the queries.

Cached encoder frames are thinned: all frames of the speech and half a second after it, then every sixteenth frame of
the padding, with ln 16 added to its attention so that the padding keeps its weight. The queries are thinned likewise:
those for the speech of a batch, and every eighth of the others. The last steps see all 1500 frames with all queries.
Each step trains one set of queries, drawn from the seed: the sets share all weights but the queries themselves.

At first the cross-attention is also told where to look (guide.py).
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import alphabet
import numpy as np
import torch
from guide import WEIGHT, Guide
from torch import Tensor, nn

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.config import WINDOW_SECONDS
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.training.frames import FRAMES_A_SECOND, padded, spread, thinned
from esrt_privacy.measures.text import character_errors
from esrt_privacy.precision import fast_bfloat16

FIRST_SET_SHARE = 0.6  # of the steps for the first set of queries; the others share the rest
HEAD_LEARNING_RATE = 3e-3  # while the head learns alone
PLACE_BATCH = 8
# Added to the frames, as shares of each dimension's deviation: the first the same for a whole utterance, as another
# voice or room would be, the second anew for each frame.
OFFSET, NOISE = 0.2, 0.2
MASKS = (1, 2)  # stretches of each utterance that are hidden: at first, and once frames get noise
MASK_FRAMES = 12  # the longest is below this
QUERIES_AFTER = 3  # computed behind the speech, and then every
QUERY_STRIDE = 8
CHECKPOINT_EVERY = 100  # steps
# Outputs of the head: 16 a query of 80, 32 of 40; 43 a second. Spoken letters come in bursts: half as many steps a
# second lost every third letter of quick speech, whatever read them (CER of the linear map alone: 37% against 23%).
CTC_STEPS = 1280


@dataclass(frozen=True)
class Example:
    """One training utterance: where its frames are, how long it is, what it says."""

    key: str
    seconds: float
    text: str  # as `alphabet.spelled` gives it
    group: str  # corpus, for the sampling weights and the table


@dataclass(frozen=True)
class Options:
    """How the warm-up runs."""

    steps: int
    full_steps: int  # of them, at the end, on all 1500 frames
    batch: int = 32
    learning_rate: float = 6e-4
    warm_up: int = 150
    letter_steps: int = 0  # before them: the linear maps that the Q-Former starts from (letters.py)
    place_steps: int = 0  # of them, at the start, on where to look alone, with small batches
    guided_steps: int = 0  # of them, at the start, with guided attention, fading out
    disturbed_from: int = (
        0  # step from which frames get noise; before it they only get hidden stretches
    )
    head_steps: int = 0  # of them, at the start, for the head alone: it is new, the Q-Former is not
    seed: int = 20260528


class Head(nn.Module):
    """Expands each query into CTC steps; one for each query set. Not part of the adapter."""

    def __init__(self, hidden: int, query_sets: tuple[int, ...]) -> None:
        super().__init__()
        self.expand = nn.ModuleDict(
            {str(n): nn.Linear(hidden, CTC_STEPS // n * alphabet.SIZE) for n in query_sets}
        )

    def forward(self, output: Tensor, queries: int | None = None) -> Tensor:
        """(batch, queries, hidden) -> log probabilities (batch, 1280, characters + blank).

        `queries`: of how many the output holds some.
        """
        logits = self.expand[str(queries or output.shape[1])](output)
        return logits.unflatten(-1, (-1, alphabet.SIZE)).flatten(1, 2).float().log_softmax(-1)


def examples(utterances: Iterable[Utterance]) -> list[Example]:
    """Of utterances whose text can be spelled: digits cannot (Whisper writes some), nor can Chinese characters."""
    rows = []
    for u in utterances:
        if u.text and not any(c.isdigit() or "\u4e00" <= c <= "\u9fff" for c in u.text):
            text = alphabet.spelled(u.text, u.language)
            rows.append(Example(u.fingerprint, u.duration or 30.0, text, u.corpus or ""))
    return [row for row in rows if row.text]


def targets(examples: list[Example]) -> tuple[list[Example], int]:
    """The examples with texts cut to what 1280 steps can hold, and how many were cut."""
    out, cut = [], 0
    for example in examples:
        text = example.text
        while alphabet.steps_needed(alphabet.encode(text)) > CTC_STEPS:
            text = text[:-1]
        cut += text != example.text
        if text:
            out.append(Example(example.key, example.seconds, text.strip(), example.group))
    return out, cut


def batches(examples: list[Example], batch: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches of like lengths, each epoch in its own order: a function of the seed alone."""
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        jitter = rng.uniform(0.85, 1.15, len(examples))
        order = sorted(range(len(examples)), key=lambda i: examples[i].seconds * jitter[i])
        groups = [order[i : i + batch] for i in range(0, len(order) - batch + 1, batch)]
        for g in rng.permutation(len(groups)):
            yield [examples[i] for i in groups[g]]
        epoch += 1


def train(
    qformer: QFormer,
    head: Head,
    examples: list[Example],
    frames_of: Callable[[str], Tensor],
    options: Options,
    folder: Path,
    check: Callable[[int], dict[str, float]],
    check_every: int = 300,
) -> None:
    """Train in place; `folder` gets a checkpoint every 100 steps, from which a killed run goes on."""
    parameters = [*qformer.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    start = _resume(folder, qformer, head, optimiser)
    log = _log(folder / "curve.jsonl", start)
    began, losses = time.time(), _Means()
    guide = Guide(qformer)
    drawn = batches(examples, options.batch, options.seed)
    for step, batch in enumerate(itertools.islice(drawn, options.steps)):
        if step < start:
            continue
        places_only = step < options.place_steps
        if places_only:
            batch = batch[:PLACE_BATCH]
        head_only = step < options.head_steps
        for group in optimiser.param_groups:
            rate = options.learning_rate * _schedule(step, options)
            group["lr"] = HEAD_LEARNING_RATE if head_only else rate
        full = step >= options.steps - options.full_steps
        torch.manual_seed(options.seed + step)
        rng = np.random.default_rng([options.seed, 7, step])
        queries = _drawn_set(qformer.config.query_sets, rng)
        disturbed = step >= options.disturbed_from
        frames, bias, kept = _frames(batch, frames_of, rng, full, MASKS[disturbed])
        if disturbed:
            frames = disturbed_frames(frames)
        pull = _pull(step, options)
        qformer.train(not head_only)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            some = None if full else _some_queries(batch, queries, rng)
            with torch.set_grad_enabled(not head_only):
                output = qformer(frames, queries, bias, some)
            loss = torch.zeros(())
            if not places_only:
                loss = ctc_loss(head(output, queries), batch)
                losses.add(f"loss{queries}", loss.item())
            if pull > 0 and kept is not None:
                speech = torch.tensor([e.seconds * FRAMES_A_SECOND for e in batch])
                off = guide.loss(kept, speech, queries, None if some is None else some[0])
                losses.add("off_place", off.item())
                loss = loss + pull * off
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()  # parameters without a gradient stay as they are
        if (step + 1) % 25 == 0:
            row = losses.taken() | {
                "step": step + 1,
                "seconds_a_step": round((time.time() - began) / min(25, step + 1 - start), 3),
            }
            if (step + 1) % check_every == 0:
                row |= check(step + 1)
            print(json.dumps(row), flush=True)
            log.write(json.dumps(row) + "\n")
            log.flush()
            began = time.time()
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == options.steps:
            _checkpoint(folder, step + 1, qformer, head, optimiser)


def _log(path: Path, start: int) -> TextIO:
    """The curve's file, open to be gone on with; without what a killed run did after its last checkpoint."""
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [row for row in rows if json.loads(row)["step"] <= start]
    path.write_text("".join(f"{row}\n" for row in kept), encoding="utf-8")
    return open(path, "a", encoding="utf-8")


@torch.inference_mode()
def transcribe(
    qformer: QFormer, head: Head, queries: int, keys: list[str], frames_of: Callable[[str], Tensor]
) -> list[str]:
    """Greedy CTC transcripts from all 1500 frames."""
    qformer.eval()
    texts = []
    for start in range(0, len(keys), 16):
        frames = torch.stack([frames_of(key) for key in keys[start : start + 16]]).float()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            output = qformer(frames, queries)
            best = head(output.to(torch.bfloat16).float()).argmax(-1)
        texts += [alphabet.decode(row) for row in best.tolist()]
    return texts


def error_rates(examples: list[Example], hypotheses: list[str]) -> tuple[float, float]:
    """CER, and CER with the transcripts moved to the next utterance (the floor)."""
    pairs = list(zip(examples, hypotheses, strict=True))
    moved = list(zip(examples, hypotheses[1:] + hypotheses[:1], strict=True))
    rates = []
    for rows in (pairs, moved):
        counts = [character_errors(example.text, text) for example, text in rows]
        rates.append(sum(c.errors for c in counts) / max(sum(c.length for c in counts), 1))
    return rates[0], rates[1]


class _Means:
    """Means by name since they were last taken."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self._values.setdefault(name, []).append(value)

    def taken(self) -> dict[str, float]:
        means = {name: round(float(np.mean(v)), 4) for name, v in sorted(self._values.items())}
        self._values = {}
        return means


def _drawn_set(sets: tuple[int, ...], rng: np.random.Generator) -> int:
    if len(sets) == 1 or rng.random() < FIRST_SET_SHARE:
        return sets[0]
    return sets[1 + int(rng.integers(len(sets) - 1))]


def _frames(
    batch: list[Example],
    frames_of: Callable[[str], Tensor],
    rng: np.random.Generator,
    full: bool,
    masks: int,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Frames (batch, kept, width), what is added to their attention, and the number (batch, kept) of each."""
    if full:
        return torch.stack([frames_of(e.key) for e in batch]).float(), None, None
    kept = [thinned(e.seconds, rng) for e in batch]
    frames, mask = padded([frames_of(e.key) for e in batch], kept)
    numbers = torch.zeros(len(batch), frames.shape[1])
    for row, (indices, _) in enumerate(kept):
        numbers[row, : len(indices)] = torch.from_numpy(indices).float()
    # A hidden stretch of time now and then: the neighbours have to be read too (SpecAugment).
    for row, example in enumerate(batch):
        for _ in range(masks):
            width = int(rng.integers(0, MASK_FRAMES))
            begin = int(rng.integers(0, max(1, int(example.seconds * FRAMES_A_SECOND) - width)))
            frames[row, begin : begin + width] = 0
    return frames, mask, numbers


def _some_queries(
    batch: list[Example], queries: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Places of the queries for the batch's speech and of some others, and what is added to the attention on each."""
    speech = max(e.seconds for e in batch) / WINDOW_SECONDS * queries
    speech = min(int(speech) + QUERIES_AFTER, queries)
    places, added = spread(speech, queries, QUERY_STRIDE, rng)
    return torch.from_numpy(places), torch.from_numpy(added)


def disturbed_frames(frames: Tensor) -> Tensor:
    """Frames (batch, kept, width) with noise, drawn from torch's own generator."""
    deviation = frames.flatten(0, 1).std(0)
    offsets = OFFSET * torch.randn(len(frames), 1, frames.shape[-1])
    return frames + deviation * (offsets + NOISE * torch.randn_like(frames))


def ctc_loss(
    log_probabilities: Tensor, batch: list[Example], lengths: Tensor | None = None
) -> Tensor:
    """CTC loss a character; log probabilities (batch, steps, characters + blank), each row all or `lengths` steps."""
    indices = [alphabet.encode(example.text) for example in batch]
    if lengths is None:
        lengths = torch.full((len(batch),), log_probabilities.shape[1])
    return nn.functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        torch.tensor([i for row in indices for i in row]),
        lengths,
        torch.tensor([len(row) for row in indices]),
    )


def _pull(step: int, options: Options) -> float:
    """Weight of the guided attention: GUIDE_WEIGHT, from the middle of the guided steps on less."""
    begun = step - options.head_steps - options.place_steps
    left = options.guided_steps - max(0, begun)
    if step < options.head_steps or left <= 0:
        return 0.0
    return WEIGHT * min(1.0, 2 * left / options.guided_steps)


def _schedule(step: int, options: Options) -> float:
    step, steps = step - options.head_steps, options.steps - options.head_steps
    if step < options.warm_up:
        return (step + 1) / options.warm_up
    done = (step - options.warm_up) / max(1, steps - options.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _checkpoint(
    folder: Path, step: int, qformer: QFormer, head: Head, optimiser: torch.optim.Optimizer
) -> None:
    partial = folder / "checkpoint.part"
    state = {
        "step": step,
        "qformer": qformer.state_dict(),
        "head": head.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(folder / "checkpoint.pt")


def _resume(folder: Path, qformer: QFormer, head: Head, optimiser: torch.optim.Optimizer) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    qformer.load_state_dict(state["qformer"])
    head.load_state_dict(state["head"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
