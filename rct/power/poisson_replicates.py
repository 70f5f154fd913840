"""The Poisson analysis of many replicates at once, on totals of randomized units."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.frequentist.inference.score_randomization import score_p_values
from rct.frequentist.replicate_fits import exposure_time_design, fit_batch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True)
class PoissonPromise:
    """One promised Poisson analysis: its name, its window of exposure times, and where its p comes from."""

    name: str
    average: tuple[int, int] | None
    randomization: bool


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Simulated counts of one outcome and what they were drawn under.

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
    exact : bool
        Whether the redraws are the whole space.
    log_ratio : float
        The truth.
    """

    counts: "npt.NDArray[np.float64]"
    assigned: "npt.NDArray[np.int16]"
    sizes: "npt.NDArray[np.float64]"
    blocks: "npt.NDArray[np.int64]"
    doses: "npt.NDArray[np.float64]"
    probabilities: "npt.NDArray[np.float64]"
    redraws: "npt.NDArray[np.int16]"
    exact: bool
    log_ratio: float

    def p_values(self, log_ratio: float = 0.0) -> "npt.NDArray[np.float64]":
        """Randomization p-values of a null ratio, as the inversion to an interval would use them."""
        import numpy as np

        dose = self.doses[self.assigned]
        return score_p_values(
            self.counts,
            self.doses,
            self.assigned,
            self.redraws,
            exposure=self.sizes[:, None] * np.exp(log_ratio * dose)
            if log_ratio
            else self.sizes[:, None] + 0 * dose[0],
            block=self.blocks,
            unit_effects=True,
            probabilities=self.probabilities,
            exact=self.exact,
        )


def poisson_replicates(
    promise: PoissonPromise, replicates: Replicates, *, alpha: float, only_p: bool
) -> "pd.DataFrame":
    """Analyse every replicate as the trial's Poisson analysis would: estimate, uncertainty, p_value.

    Parameters
    ----------
    promise : PoissonPromise
    replicates : Replicates
    alpha : float
        One minus the level of the intervals, whose coverage is recorded.
    only_p : bool
        Leave out what p-values do not need.
    """
    import numpy as np
    import pandas as pd
    from scipy.special import stdtrit

    count = len(replicates.counts)
    if only_p and promise.randomization:
        missing = np.full(count, np.nan)
        columns = {
            "estimate": np.zeros(count),
            "std_error": missing,
            "covered": missing,
            "excludes_null": missing,
        }
        return pd.DataFrame({**columns, "p_value": replicates.p_values()})
    fits = fit_batch(replicates.counts, *_design(promise, replicates))
    truth = replicates.log_ratio
    half_width = stdtrit(fits.df, 1 - alpha / 2) * fits.std_error
    covered = np.abs(fits.estimate - truth) <= half_width
    excludes_null = np.abs(fits.estimate) > half_width
    p_values = replicates.p_values() if promise.randomization else fits.p_values()
    if promise.randomization and promise.average is None:
        covered, excludes_null = replicates.p_values(truth) > alpha, p_values <= alpha
    known = np.isfinite(fits.estimate)
    return pd.DataFrame(
        {
            "estimate": fits.estimate,
            "std_error": fits.std_error,
            "covered": np.where(known, covered, np.nan),
            "excludes_null": np.where(known, excludes_null, False),
            "p_value": p_values,
        }
    )


def _design(
    promise: PoissonPromise, replicates: Replicates
) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
    import numpy as np

    dose = replicates.doses[replicates.assigned]
    if promise.average is None:
        return dose[..., None], np.ones(1)
    first, last = promise.average
    starts = np.where((replicates.doses > 0).any(axis=1), (replicates.doses > 0).argmax(axis=1) + 1, 0)
    design = exposure_time_design(starts[replicates.assigned], dose)
    contrast = np.zeros(design.shape[-1])
    contrast[first - 1 : last] = 1 / (last - first + 1)
    return design, contrast
