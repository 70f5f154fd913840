"""The design-based analysis of randomized timing in many replicates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rct.errors import EstimationError
from rct.frequentist.random_timing import BETA, Estimator
from rct.frequentist.random_timing_variance import fit_timing
from rct.frequentist.timing_contrasts import Aggregate, comparison_shares, contrasts, effect_weights
from rct.power.replicates import Replicates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True)
class TimingPromise:
    """A promised analysis of randomized timing; in power its p-values are the normal ones.

    The studentized permutation test has the same power to first order (Roth & Sant'Anna 2023, section 3.3),
    and costs a thousand times as much.
    """

    name: str
    estimator: Estimator
    aggregate: Aggregate
    rerandomizes: Literal[False] = False

    def analyse(self, replicates: Replicates, *, alpha: float, only_p: bool) -> "pd.DataFrame":  # noqa: ARG002
        """Analyse every replicate as `rct.frequentist.staggered` would.

        Parameters
        ----------
        replicates : Replicates
        alpha : float
            One minus the level of the intervals.
        only_p : bool
            Of no use here: p-values need everything.
        """
        import numpy as np
        import pandas as pd
        from scipy.special import ndtr, ndtri

        periods = replicates.counts.shape[2]
        starts = np.where(replicates.starts == 0, periods + 1, replicates.starts)
        per_measured = replicates.counts.shape[1] / replicates.sizes.sum()
        change = replicates.untreated_rate * (replicates.ratio - 1)
        found = np.empty((len(replicates.counts), 3))
        for number, (counts, sequence) in enumerate(zip(replicates.counts, replicates.assigned, strict=True)):
            first = starts[sequence]
            order = np.argsort(first, kind="stable")
            cohorts, sizes = np.unique(first, return_counts=True)
            _require_variance(cohorts, sizes)
            weights = effect_weights(cohorts, sizes, periods, self.aggregate)
            shares = comparison_shares(cohorts, sizes, periods, last_only=self.estimator == "sun-abraham")
            theta, zero = contrasts(cohorts, weights, shares)
            fit = fit_timing(counts[order] * per_measured, sizes, cohorts, theta, zero, BETA[self.estimator])
            found[number] = (weights * change).sum(), fit.estimate, fit.std_error
        truth, estimate, std_error = found.T
        std_error = np.where(std_error > 0, std_error, np.nan)
        half_width = ndtri(1 - alpha / 2) * std_error
        return pd.DataFrame(
            {
                "truth": truth,
                "estimate": np.where(np.isfinite(std_error), estimate, np.nan),
                "std_error": std_error,
                "covered": np.abs(estimate - truth) <= half_width,
                "excludes_null": np.abs(estimate) > half_width,
                "p_value": 2 * ndtr(-np.abs(estimate / std_error)),
            }
        )


def _require_variance(cohorts: "npt.NDArray[np.int64]", sizes: "npt.NDArray[np.int64]") -> None:
    if (sizes == 1).any():
        raise EstimationError(
            f"one randomized unit alone is first treated in period {cohorts[sizes == 1][0]}: a cohort of one "
            "has no variance, so the staggered estimator cannot be used; cross more units together, or use "
            "poisson with randomization inference"
        )
