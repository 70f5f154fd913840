"""Working correlation that decays with the periods between two rows, for statsmodels' GEE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from statsmodels.genmod.cov_struct import CovStruct

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LagCorrelation(CovStruct):  # type: ignore[misc]
    """Correlation α to the power of the lag, α by least squares over all pairs of rows of a cluster.

    statsmodels' own structure takes rows as consecutive and estimates α from neighbours alone; geepack uses
    every pair (Prentice 1988, with independent pairs), and so does this.
    """

    def initialize(self, model: Any) -> None:
        """Place the rows of each cluster on the axis of periods."""
        super().initialize(model)
        self.dep_params = 0.0
        period = [np.asarray(own)[:, 0].astype(int) for own in model.time_li]
        self.first = min(int(own.min()) for own in period)
        self.periods = max(int(own.max()) for own in period) - self.first + 1
        self.place = [own - self.first for own in period]

    def update(self, params: NDArray[np.float64]) -> None:  # noqa: ARG002
        """Solve for α: the sum over pairs of lag · α^(lag − 1) · (r r' / φ − α^lag) is zero."""
        from scipy.optimize import minimize_scalar

        residual = np.zeros((len(self.place), self.periods))
        seen = np.zeros(residual.shape)
        for number, place in enumerate(self.place):
            mean = self.model.cached_means[number][0]
            residual[number, place] = (self.model.endog_li[number] - mean) / np.sqrt(mean)
            seen[number, place] = 1
        dispersion = np.sum(residual**2) / seen.sum()
        lag = np.arange(1, self.periods)
        pairs = np.array([np.sum(seen[:, :-own] * seen[:, own:]) for own in lag])
        products = np.array([np.sum(residual[:, :-own] * residual[:, own:]) for own in lag]) / dispersion

        def misfit(alpha: float) -> float:
            power = alpha**lag
            return float(np.sum(pairs * power**2 - 2 * products * power))

        self.dep_params = float(
            minimize_scalar(misfit, bounds=(-0.95, 0.99), method="bounded", options={"xatol": 1e-12}).x
        )

    def covariance_matrix(
        self,
        endog_expval: NDArray[np.float64],  # noqa: ARG002
        index: int,
    ) -> tuple[NDArray[np.float64], bool]:
        """Give the correlation matrix of one cluster, and that it is one."""
        place = self.place[index]
        return np.asarray(self.dep_params ** np.abs(place[:, None] - place)), True
