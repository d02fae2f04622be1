"""How often an interval contains the truth: cells of simulated corpora, and the count over them.

A cell is one figure at one size of corpus and one truth. Its interval must contain the truth in
92 to 98% of corpora, else it claims more, or less, than the data say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from esrt_privacy.measures import simulation
from esrt_privacy.measures.classification import balanced_accuracy_speaker_bootstrap
from esrt_privacy.measures.intervals import Estimate, speaker_bootstrap_ratio
from esrt_privacy.measures.trial_bootstrap import eer_speaker_bootstrap

Figure = Literal["eer", "accuracy", "mae"]

SPEAKERS = (10, 30, 100)
# Shares; of the MAE the deviation of a speaker's log error: the larger, the more skewed.
LEVELS: dict[Figure, tuple[float, ...]] = {
    "eer": (0.05, 0.20, 0.35, 0.50),
    "accuracy": (0.50, 0.70, 0.90, 0.97),
    "mae": (0.2, 0.5, 0.8),
}
# Deviation of the log odds with which a speaker's label is guessed.
SPREAD_OF_CHANCE = 1.0
PAIRS_OF_TRUTH = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One figure, speakers a corpus, and what sets the truth (see `LEVELS`)."""

    figure: Figure
    speakers: int
    level: float

    @property
    def name(self) -> str:
        """Such as eer-10-0.05."""
        return f"{self.figure}-{self.speakers}-{self.level:g}"

    def population(self) -> "Population":
        """The population of the cell and its true figure; some seconds where it is simulated."""
        if self.figure == "eer":
            model = simulation.with_eer(simulation.SpeakerModel(between=1.0), self.level)
            truth = 0.5
            if model.between:
                rng = np.random.default_rng(1)
                truth = simulation.population_eer(model, rng, PAIRS_OF_TRUTH)
            return Population(self, truth, model.between)
        if self.figure == "accuracy":
            centre = simulation.centre_for(self.level, SPREAD_OF_CHANCE)
            return Population(self, self.level, centre)
        return Population(self, float(np.exp(self.level**2 / 2)), self.level)


class Population(NamedTuple):
    """A cell with its truth and the parameter of its simulation."""

    cell: Cell
    truth: float
    parameter: float

    def estimate(self, rng: np.random.Generator, draws: int, level: float = 0.95) -> Estimate:
        """Figure and interval of one simulated corpus."""
        figure, speakers, _ = self.cell.figure, self.cell.speakers, self.cell.level
        if figure == "eer":
            model = simulation.SpeakerModel(between=self.parameter)
            trials = simulation.all_trials(model, speakers, rng)
            return eer_speaker_bootstrap(*trials, rng, draws, level)
        if figure == "accuracy":
            truth, predicted, who = simulation.answers(
                speakers, self.parameter, SPREAD_OF_CHANCE, rng
            )
            return balanced_accuracy_speaker_bootstrap(truth, predicted, who, rng, draws, level)
        errors, by = simulation.errors(speakers, self.parameter, rng)
        ones = np.ones(len(errors))
        return speaker_bootstrap_ratio(errors, ones, by, rng, draws, level, clip=(0.0, np.inf))


class Coverage(NamedTuple):
    """How often intervals contained the truth, and how wide they were."""

    corpora: int
    covered: int
    undefined: int  # intervals that the data could not give
    below: int  # intervals that lay wholly below the truth
    above: int
    median_width: float
    mean_value: float

    @property
    def share(self) -> float:
        """Covered intervals of those that were defined; nan without any."""
        defined = self.corpora - self.undefined
        return self.covered / defined if defined else float("nan")


def cells() -> tuple[Cell, ...]:
    """All cells, the smallest corpora first."""
    return tuple(
        Cell(figure, speakers, level)
        for figure, levels in LEVELS.items()
        for speakers in SPEAKERS
        for level in levels
    )


def coverage(truth: float, estimates: Sequence[Estimate]) -> Coverage:
    """Count how many of the intervals contain the truth."""
    low, high = np.array([e.low for e in estimates]), np.array([e.high for e in estimates])
    below, above = high < truth, low > truth
    undefined = np.isnan(low) | np.isnan(high)
    widths = (high - low)[~undefined]
    return Coverage(
        corpora=len(estimates),
        covered=int((~below & ~above & ~undefined).sum()),
        undefined=int(undefined.sum()),
        below=int(below.sum()),
        above=int(above.sum()),
        median_width=float(np.median(widths)) if len(widths) else float("nan"),
        mean_value=float(np.mean([e.value for e in estimates])) if estimates else float("nan"),
    )
