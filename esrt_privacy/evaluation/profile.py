"""What edge and cloud cost: memory of the weights and at the peak, speed, prefill time, memory of the KV cache.

Each half is measured in a process of its own, so that the peak is its own. The peak counts everything that the process
holds (Python and the libraries too) on a CPU, the allocator's on an accelerator.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.errors import EsrtPrivacyError, ModelError, SystemUnavailable
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    import torch
    from rich.table import Table

BATCHES = (1, 16)
POSITIONS = (40, 80, 1500)  # audio vectors: Lite, ESRT, and the encoder's frames without a Q-Former
SECONDS = 10.0  # of the recordings
NEW_TOKENS = 32


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    part: str  # edge, cloud
    what: str
    batch: int | None
    positions: int | None
    value: float
    unit: str


@dataclass(frozen=True)
class ProfileOptions:
    """What is measured."""

    model: str = "reference"  # a name, a folder, or with `random` a preset's name
    random: bool = (
        False  # random weights of the preset's sizes: time and memory do not depend on them
    )
    dtype: str = "float32"  # or bfloat16
    batches: tuple[int, ...] = BATCHES
    rounds: int = 3
    weights: Path | None = None
    parts: tuple[str, ...] = ("edge", "cloud")


def profile(options: ProfileOptions, report: Reporter = silent) -> list[Figure]:
    """Measure both halves, one after the other, each in a new process.

    Raises the error that a half ended with: weights that are missing, a machine with too little memory.
    """
    figures: list[Figure] = []
    jobs: dict[str, Callable[[ProfileOptions], list[Figure]]] = {"edge": _edge, "cloud": _cloud}
    for number, part in enumerate(options.parts):
        report(f"measuring the {part}", number, len(options.parts))
        figures += _in_own_process(jobs[part], options, part)
    report("measuring", len(options.parts), len(options.parts))
    return figures


def figures_table(figures: list[Figure]) -> Table:
    """For the terminal."""
    from rich.table import Table

    table = Table(title="Cost, medians")
    for head in ("part", "what", "batch", "audio positions", "value"):
        table.add_column(head, justify="left" if head in ("part", "what") else "right")
    for f in figures:
        numbers = ("" if n is None else str(n) for n in (f.batch, f.positions))
        table.add_row(f.part, f.what, *numbers, f"{f.value:,.4g} {f.unit}")
    return table


def _in_own_process(
    job: Callable[[ProfileOptions], list[Figure]], options: ProfileOptions, part: str
) -> list[Figure]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(job, options, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        process.join()
        raise ModelError(
            f"the {part} could not be measured: its process ended with code {process.exitcode}"
            " (killed for want of memory?); use a smaller --batch or bfloat16"
        ) from None
    finally:
        ours.close()
    process.join()
    if isinstance(found, EsrtPrivacyError):
        raise found
    figures: list[Figure] = found
    return figures


def _run(job: Callable[[ProfileOptions], list[Figure]], options: ProfileOptions, pipe: Any) -> None:
    try:
        pipe.send(job(options))
    except EsrtPrivacyError as error:
        pipe.send(error)
    finally:
        pipe.close()


def _edge(options: ProfileOptions) -> list[Figure]:
    import numpy as np
    import torch

    from esrt_privacy.esrt.edge import Edge
    from esrt_privacy.esrt.encoder import Encoder, log_mel
    from esrt_privacy.esrt.memory import within_memory
    from esrt_privacy.esrt.model_config import model_preset
    from esrt_privacy.esrt.qformer import QFormer
    from esrt_privacy.systems.esrt_system import EsrtSystem
    from esrt_privacy.systems.registry import build_system

    dtype = _dtype(options)
    if options.random:
        config = model_preset(options.model).edge
        with _default_dtype(dtype):
            edge = Edge(config, Encoder(config.encoder), QFormer(config.qformer, config.encoder))
    else:
        system = build_system(options.model, options.weights)
        if not isinstance(system, EsrtSystem):
            raise SystemUnavailable(
                f"{system.name}: the parts of a released checkpoint are not measured; give an adapter folder"
            )
        edge = system.edge.to(dtype)
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(int(SECONDS * 16_000))).astype(np.float32)
    figures = [Figure("edge", "weights", None, None, _bytes_of(edge) / 1e9, "GB")]
    for batch in options.batches:
        waves = [wave] * batch

        def encode(waves: list[Any] = waves) -> None:
            edge(log_mel(waves, edge.config.encoder.mel_bins).to(dtype))

        with (
            torch.inference_mode(),
            within_memory(f"encoding {batch} recordings", "use a smaller --batch or bfloat16"),
        ):
            seconds = _median(encode, options.rounds)
        figures.append(Figure("edge", "speed", batch, None, batch / seconds, "recordings/s"))
        figures.append(Figure("edge", "peak memory so far", batch, None, _peak(), "GB"))
    return figures


def _cloud(options: ProfileOptions) -> list[Figure]:
    import torch

    from esrt_privacy.esrt.memory import within_memory
    from esrt_privacy.esrt.vocabulary import context_of

    dtype = _dtype(options)
    projector, llm, width = _cloud_parts(options, dtype)
    figures = [
        Figure("cloud", "weights", None, None, (_bytes_of(projector) + _bytes_of(llm)) / 1e9, "GB")
    ]
    context = context_of(llm) or max(POSITIONS) + NEW_TOKENS
    for batch in options.batches:
        for positions in (p for p in POSITIONS if p + NEW_TOKENS <= context):
            wire = torch.randn(
                batch, positions, width, generator=torch.Generator().manual_seed(0)
            ).to(dtype)
            kept: list[Any] = []

            def prefill(wire: torch.Tensor = wire, kept: list[Any] = kept) -> None:
                output = llm.get_decoder()(inputs_embeds=projector(wire).to(dtype), use_cache=True)
                kept[:] = [output.cache]

            doing = f"on {batch} prefixes of {positions} positions"
            with (
                torch.inference_mode(),
                within_memory(doing, "use a smaller --batch or bfloat16"),
            ):
                seconds = _median(prefill, options.rounds)
                size = _cache_bytes(kept[0])
                began = time.perf_counter()
                llm.generate(
                    torch.full((batch, 1), 2),
                    attention_mask=torch.ones(batch, positions + 1, dtype=torch.long),
                    cache=kept[0],
                    max_new_tokens=NEW_TOKENS,
                    min_new_tokens=NEW_TOKENS,
                    do_sample=False,
                )
                decoding = time.perf_counter() - began
            figures += [
                Figure("cloud", "prefill", batch, positions, 1000 * seconds, "ms"),
                Figure("cloud", "KV cache", batch, positions, size / 1e6, "MB"),
                Figure(
                    "cloud", "decoding", batch, positions, batch * NEW_TOKENS / decoding, "tokens/s"
                ),
            ]
        figures.append(Figure("cloud", "peak memory so far", batch, None, _peak(), "GB"))
    return figures


def _cloud_parts(options: ProfileOptions, dtype: torch.dtype) -> tuple[Any, Any, int]:
    from esrt_privacy.esrt.llm import load_llm
    from esrt_privacy.esrt.model_config import model_preset
    from esrt_privacy.esrt.projector import Projector
    from esrt_privacy.systems.whole import load_model

    if not options.random:
        model = load_model(options.model, options.weights)
        return model.projector.to(dtype), model.llm.to(dtype).eval(), model.projector.width
    config = model_preset(options.model)
    width = config.edge.qformer.hidden
    llm, _ = load_llm(config.llm, options.weights, dtype)
    return Projector(width, config.llm_width).to(dtype).eval(), llm, width


def _dtype(options: ProfileOptions) -> torch.dtype:
    import torch

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if options.dtype not in kinds:
        raise ModelError(f"precision '{options.dtype}' is unknown: give {' or '.join(kinds)}")
    return kinds[options.dtype]


class _default_dtype:  # noqa: N801 (reads as a context)
    """Weights drawn inside are of this precision from the start: no float32 copy raises the peak."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_default_dtype(self._before)


def _bytes_of(module: Any) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _cache_bytes(cache: Any) -> int:
    tensors = [t for layer in cache.layers for t in (layer.keys, layer.values)]
    return sum(t.numel() * t.element_size() for t in tensors)


def _median(call: Callable[[], None], rounds: int) -> float:
    """Seconds of a call, the median of some after one that is not counted."""
    import statistics

    call()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _peak() -> float:
    """GB that this process has held at most."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
