"""The design-based analysis of randomized timing in many replicates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rct.frequentist.random_timing import BETA, Estimator
from rct.frequentist.random_timing_variance import fit_timing, permutation_p_value, permuted_statistics
from rct.frequentist.timing_contrasts import Aggregate, comparison_shares, contrasts, effect_weights
from rct.power.replicates import Replicates

if TYPE_CHECKING:
    from rct.power.replicates import Findings

MOST_PERMUTED = 200


@dataclass(frozen=True)
class TimingPromise:
    """A promised analysis of randomized timing.

    Attributes
    ----------
    name : str
    estimator, aggregate : str
        As in `rct.frequentist.staggered`.
    permutations : int
        For the studentized randomization p-value; 0: the normal one. A replicate of more than 200 units
        has the normal one in any case, for thousands of permutations of it would take hours.
    seed : int
    """

    name: str
    estimator: Estimator
    aggregate: Aggregate
    permutations: int = 0
    seed: int = 0
    rerandomizes: Literal[False] = False
    unit_effects: Literal[True] = True

    def analyse(
        self,
        replicates: Replicates,
        *,
        alpha: float,
        only_p: bool,  # noqa: ARG002
        errors: bool = True,  # noqa: ARG002
    ) -> "Findings":
        """Analyse every replicate as `rct.frequentist.staggered` would.

        Parameters
        ----------
        replicates : Replicates
        alpha : float
            One minus the level of the intervals.
        only_p, errors : bool
            Of no use here: p-values need everything.
        """
        import numpy as np
        from scipy.special import ndtr, ndtri

        periods = replicates.counts.shape[2]
        starts = np.where(replicates.starts == 0, periods + 1, replicates.starts)
        per_measured = replicates.counts.shape[1] / replicates.sizes.sum()
        change = replicates.untreated_rate * np.expm1(replicates.log_effects)
        found = np.empty((len(replicates.counts), 4))
        for number, (counts, sequence) in enumerate(zip(replicates.counts, replicates.assigned, strict=True)):
            first = starts[sequence]
            order = np.argsort(first, kind="stable")
            cohorts, sizes = np.unique(first, return_counts=True)
            weights = effect_weights(cohorts, sizes, periods, self.aggregate)
            shares = comparison_shares(cohorts, sizes, periods, last_only=self.estimator == "sun-abraham")
            theta, zero = contrasts(cohorts, weights, shares)
            data = (sizes, cohorts, theta, zero, BETA[self.estimator])
            fit = fit_timing(counts[order] * per_measured, *data)
            p_value = 2 * ndtr(-abs(fit.estimate) / fit.std_error) if fit.std_error > 0 else np.nan
            if self.permutations and len(order) <= MOST_PERMUTED and fit.std_error > 0:
                null = permuted_statistics(
                    counts[order] * per_measured, replicates.blocks[order], *data,
                    permutations=self.permutations, seed=self.seed,
                )  # fmt: skip
                p_value = permutation_p_value(fit.estimate / fit.std_error, null)
            of_cohort = change[sequence[order[np.searchsorted(first[order], cohorts)]]]
            found[number] = (weights * of_cohort).sum(), fit.estimate, fit.std_error, p_value
        truth, estimate, std_error, p_values = found.T
        std_error = np.where(std_error > 0, std_error, np.nan)
        half_width = ndtri(1 - alpha / 2) * std_error
        return {
            "truth": truth,
            "estimate": np.where(np.isfinite(std_error), estimate, np.nan),
            "std_error": std_error,
            "covered": (np.abs(estimate - truth) <= half_width).astype(float),
            "excludes_null": (np.abs(estimate) > half_width).astype(float),
            "p_value": p_values,
        }
