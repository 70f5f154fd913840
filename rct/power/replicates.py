"""Simulated counts of one outcome in many replicates, on totals of randomized units."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rct.frequentist.inference.score_randomization import score_p_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


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
        The true incidence rate ratio.
    untreated_rate : (periods,)
        Expected events of a measured unit without treatment.
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

    @property
    def starts(self) -> "npt.NDArray[np.int64]":
        """First treated period of each sequence; 0 = never."""
        import numpy as np

        treated = self.doses > 0
        return np.where(treated.any(axis=1), treated.argmax(axis=1) + 1, 0)

    def p_values(self, log_ratio: float = 0.0) -> "npt.NDArray[np.float64]":
        """Randomization p-values of a null ratio, as the inversion to an interval would use them."""
        import numpy as np

        assert self.redraws is not None  # drawn for every study that re-randomizes
        # A factor that is constant over a unit's periods is taken up by its effect, so sizes need not enter.
        exposure = np.exp(log_ratio * self.doses[self.assigned]) if log_ratio else None
        return score_p_values(
            self.counts.astype(float),
            self.doses,
            self.assigned,
            self.redraws,
            exposure=exposure,
            block=self.blocks,
            unit_effects=True,
            probabilities=self.probabilities,
            exact=self.exact,
        )


class Promise(Protocol):
    """One promised analysis in its batch form."""

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def rerandomizes(self) -> bool:
        """Whether it needs re-randomizations."""

    def analyse(self, replicates: Replicates, *, alpha: float, only_p: bool) -> "pd.DataFrame":
        """Give truth, estimate, std_error, covered, excludes_null and p_value of every replicate."""
