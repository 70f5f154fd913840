"""The Poisson analysis of many replicates at once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS
from rct.frequentist.replicate_fits import ReplicateFits, exposure_time_design, fit_batch
from rct.frequentist.totals_fit import fit_totals
from rct.power.replicates import Replicates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rct.power.replicates import Findings


@dataclass(frozen=True)
class PoissonPromise:
    """A promised Poisson analysis.

    Attributes
    ----------
    name : str
    average : (first, last), optional
        Its window of exposure times.
    rerandomizes : bool
        Whether its p-value comes from re-randomization.
    unit_effects : bool
        Whether each randomized unit has an effect; one that is seen once cannot.
    """

    name: str
    average: tuple[int, int] | None
    rerandomizes: bool
    unit_effects: bool = True

    def analyse(
        self, replicates: Replicates, *, alpha: float, only_p: bool, errors: bool = True
    ) -> "Findings":
        """Analyse every replicate as `rct.frequentist.poisson` and the trial's inference would.

        Parameters
        ----------
        replicates : Replicates
        alpha : float
            One minus the level of the intervals.
        only_p : bool
            Leave out what p-values do not need.
        errors : bool
            Whether standard errors are wanted where the interval is an inverted test's and needs none.
        """
        import numpy as np
        from scipy.special import stdtrit

        count, truth = len(replicates.counts), replicates.truth(self.average)
        if only_p and self.rerandomizes:
            unknown = dict.fromkeys(["std_error", "covered", "excludes_null"], np.full(count, np.nan))
            given = {"truth": np.full(count, truth), "estimate": np.zeros(count)}
            return {**given, **unknown, "p_value": self._tested(replicates)}
        by_inversion = self.rerandomizes and self.average is None
        fits = self._fits(replicates, errors=errors or not by_inversion)
        half_width = stdtrit(fits.df, 1 - alpha / 2) * fits.std_error
        covered = np.abs(fits.estimate - truth) <= half_width
        excludes_null = np.abs(fits.estimate) > half_width
        p_values = self._tested(replicates) if self.rerandomizes else fits.p_values()
        if by_inversion:
            # An interval by inversion presumes one ratio throughout, whatever the effect's course.
            covered, excludes_null = self._tested(replicates, truth) > alpha, p_values <= alpha
        known = np.isfinite(fits.estimate)
        return {
            "truth": np.full(count, truth),
            "estimate": fits.estimate,
            "std_error": fits.std_error,
            "covered": np.where(known, covered, np.nan),
            "excludes_null": np.where(known, excludes_null, False).astype(float),
            "p_value": p_values,
        }

    def _tested(self, replicates: Replicates, log_ratio: float = 0.0) -> "npt.NDArray[np.float64]":
        return replicates.p_values(log_ratio, unit_effects=self.unit_effects)

    def _fits(self, replicates: Replicates, *, errors: bool) -> ReplicateFits:
        """Fit all replicates together, or one by one where clusters are many (CR1) or blocked."""
        import numpy as np

        dose = replicates.doses[replicates.assigned]
        blocks = replicates.blocks
        many = dose.shape[1] >= FEW_CLUSTERS or len(np.unique(blocks)) > 1
        if self.average is None and (many or not self.unit_effects):
            each = [
                fit_totals(own, given, blocks, unit_effects=self.unit_effects)
                for own, given in zip(replicates.counts, dose, strict=True)
            ]
            return ReplicateFits(*np.array(each).T)
        return fit_batch(replicates.counts.astype(float), *self._design(replicates, dose), errors=errors)

    def _design(
        self, replicates: Replicates, dose: "npt.NDArray[np.float64]"
    ) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
        import numpy as np

        if self.average is None:
            return dose[..., None], np.ones(1)
        first, last = self.average
        design = exposure_time_design(replicates.starts[replicates.assigned], dose)
        contrast = np.zeros(design.shape[-1])
        contrast[first - 1 : last] = 1 / (last - first + 1)
        return design, contrast
