"""How near translations come to their references: chrF and spBLEU by sacrebleu, with intervals over speakers.

A corpus's score is no mean of its sentences' scores: n-gram counts are added first. So each bootstrap draw adds the
counts of the speakers drawn, which costs one pass over the texts however many draws there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from esrt_privacy.measures.intervals import Estimate


def chrf(
    hypotheses: Sequence[str],
    references: Sequence[str],
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1000,
) -> Estimate:
    """chrF, 0 to 100, of a corpus; `clusters` (sentences,) are their speakers.

    Source: Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015,
    doi:10.18653/v1/W15-3049; sacrebleu's defaults (6-grams of characters, beta 2).
    """
    from sacrebleu.metrics import CHRF

    return _estimate(CHRF(), hypotheses, references, clusters, rng, draws)


def spbleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 1000,
) -> Estimate:
    """spBLEU, 0 to 100: BLEU over the pieces of the FLORES-200 tokeniser.

    Raises RuntimeError, in one line, where the tokeniser's model cannot be had (sacrebleu downloads it once).
    Source: Goyal et al., "The FLORES-101 Evaluation Benchmark", TACL 10 (2022), doi:10.1162/tacl_a_00474.
    """
    from sacrebleu.metrics import BLEU

    try:
        metric = BLEU(tokenize="flores200")
    except Exception as error:  # whatever its download raises
        raise RuntimeError(
            "spBLEU needs the FLORES-200 tokeniser, which sacrebleu downloads once: it could not be had"
            f" ({type(error).__name__})"
        ) from error
    return _estimate(metric, hypotheses, references, clusters, rng, draws)


def _estimate(
    metric: Any,
    hypotheses: Sequence[str],
    references: Sequence[str],
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int,
) -> Estimate:
    if not hypotheses:
        return Estimate(float("nan"), float("nan"), float("nan"), 0, "no sentences")
    # What sacrebleu's own bootstrap adds up (over sentences, which are not independent here).
    counts = np.array(
        metric._extract_corpus_statistics(list(hypotheses), [list(references)]), float
    )
    _, speaker = np.unique(np.asarray(clusters), return_inverse=True)
    n = int(speaker.max()) + 1
    sums = np.zeros((n, counts.shape[1]))
    np.add.at(sums, speaker, counts)
    value = _score(metric, sums.sum(0))
    if n < 2:
        return Estimate(value, float("nan"), float("nan"), n, "one speaker: no interval")
    drawn = [
        _score(metric, row) for row in rng.multinomial(n, np.full(n, 1 / n), size=draws) @ sums
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n, "speaker bootstrap, percentiles")


def _score(metric: Any, counts: np.ndarray) -> float:
    return float(metric._compute_score_from_stats([int(c) for c in counts]).score)
