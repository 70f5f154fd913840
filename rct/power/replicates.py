"""Simulated counts of one outcome in many replicates, on totals of randomized units."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rct.frequentist.inference.score_randomization import centred_scores, share_as_extreme
from rct.simulation.effect_course import effect_share, exposure_times
from rct.trial_tables import Course

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Findings = dict[str, npt.NDArray[np.float64]]
    """By name, (replicates,) each; arrays, for tables are what takes time in small trials."""


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Simulated counts and what they were drawn under.

    Attributes
    ----------
    counts : (replicates, units, periods)
    assigned : (replicates, units)
        Sequence that each randomized unit followed.
    sizes : (units,)
        Measured units in each randomized unit.
    blocks : (units,)
    doses : (sequences, periods)
    probabilities : (units, sequences)
    redraws : (draws, units)
        None where no analysis re-randomizes.
    exact : bool
        Whether the redraws are the whole space.
    ratio : float
        The true incidence rate ratio, of the effect at its full size.
    untreated_rate : (periods,)
        Expected events of a measured unit without treatment.
    course : Course
        Its size along the time since training began.
    window : (first, last)
        Exposure times whose mean effect is the answer of an analysis that names none.
    tested : dict
        P-values known so far, by null log ratio and whether units have effects.
    """

    counts: "npt.NDArray[np.int32]"
    assigned: "npt.NDArray[np.int16]"
    sizes: "npt.NDArray[np.float64]"
    blocks: "npt.NDArray[np.int64]"
    doses: "npt.NDArray[np.float64]"
    probabilities: "npt.NDArray[np.float64]"
    redraws: "npt.NDArray[np.int16] | None"
    exact: bool
    ratio: float
    untreated_rate: "npt.NDArray[np.float64]"
    course: Course = field(default_factory=Course)
    window: tuple[int, int] = (1, 1)
    tested: "dict[tuple[float, bool], npt.NDArray[np.float64]]" = field(default_factory=dict, init=False)

    def truth(self, window: tuple[int, int] | None = None) -> float:
        """Give the true mean log effect over exposure times first, …, last."""
        return float(math.log(self.ratio) * mean_share(self.course, window or self.window))

    @property
    def log_effects(self) -> "npt.NDArray[np.float64]":
        """Log effect of each sequence and period, at dose 1."""
        return math.log(self.ratio) * effect_share(self.course, exposure_times(self.doses))

    @property
    def starts(self) -> "npt.NDArray[np.int64]":
        """First treated period of each sequence; 0 = never."""
        import numpy as np

        treated = self.doses > 0
        return np.where(treated.any(axis=1), treated.argmax(axis=1) + 1, 0)

    def p_values(self, log_ratio: float = 0.0, *, unit_effects: bool = True) -> "npt.NDArray[np.float64]":
        """Randomization p-values of a null ratio, as the inversion to an interval would use them.

        Analyses that test the same ratio share them.
        """
        if (log_ratio, unit_effects) not in self.tested:
            statistic, null = self.scores(log_ratio, unit_effects=unit_effects)
            self.tested[log_ratio, unit_effects] = share_as_extreme(statistic, null, exact=self.exact)
        return self.tested[log_ratio, unit_effects]

    def scores(
        self, log_ratio: float = 0.0, *, unit_effects: bool = True
    ) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
        """Give the score of each replicate (replicates,) and of every redraw (replicates, draws)."""
        import numpy as np

        assert self.redraws is not None  # drawn for every study that re-randomizes
        # A factor that is constant over a unit's periods is taken up by its effect, so sizes need not enter.
        exposure = np.exp(log_ratio * self.doses[self.assigned]) if log_ratio else None
        return centred_scores(
            self.counts.astype(float),
            self.doses,
            self.assigned,
            self.redraws,
            exposure=exposure,
            block=self.blocks,
            unit_effects=unit_effects,
            probabilities=self.probabilities,
        )


def mean_share(course: Course, window: tuple[int, int]) -> float:
    """Give the mean share of the full effect over a window of exposure times."""
    import numpy as np

    return float(effect_share(course, np.arange(window[0], window[1] + 1)).mean())


class Promise(Protocol):
    """One promised analysis in its batch form."""

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def rerandomizes(self) -> bool:
        """Whether it needs re-randomizations."""

    @property
    def unit_effects(self) -> bool:
        """Whether its null model has an effect for each randomized unit."""

    def analyse(
        self, replicates: Replicates, *, alpha: float, only_p: bool, errors: bool = True
    ) -> "Findings":
        """Give truth, estimate, std_error, covered, excludes_null and p_value of every replicate."""
