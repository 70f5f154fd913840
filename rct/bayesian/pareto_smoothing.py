"""Whether importance weights can be trusted: Pareto k, and leave-one-out that rests on it.

ArviZ fits the generalized Pareto distribution to the largest weights (Vehtari, Simpson, Gelman, Yao & Gabry
2024, "Pareto smoothed importance sampling"); a shape k below .7 is good enough.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rct.posterior import arviz_data

Floats = NDArray[np.float64]
LARGEST_K = 0.7


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Expected log predictive density of each unit left out, and the Pareto k of its weights, (units,)."""

    elpd: Floats
    pareto_k: Floats


def leave_one_out(log_likelihood: Floats) -> LeaveOneOut:
    """Leave each unit out in turn, from its log-likelihood at each draw, (chains, draws, units)."""
    import warnings

    import xarray as xr

    dims = ("chain", "draw", "unit")
    groups = {
        "posterior": xr.Dataset({"sum": (dims[:2], log_likelihood.sum(axis=2))}),
        "log_likelihood": xr.Dataset({"y": (dims, log_likelihood)}),
    }
    data = arviz_data(groups)
    import arviz as az

    with warnings.catch_warnings():
        # It warns of large k; they are reported with the numbers.
        warnings.simplefilter("ignore")
        found = az.loo(data, pointwise=True, reff=1.0)
    elpd = found.loo_i if hasattr(found, "loo_i") else found.elpd_i
    return LeaveOneOut(np.asarray(elpd, dtype=float), np.asarray(found.pareto_k, dtype=float))


def pareto_k(log_weights: Floats) -> float:
    """Give the Pareto k of importance weights, (draws,): those of one unit left out are 1 / likelihood."""
    return float(leave_one_out(-(log_weights - log_weights.max())[None, :, None]).pareto_k[0])
