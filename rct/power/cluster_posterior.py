"""The marginal model's posterior with cluster effects, from totals of clusters, without sampling.

Counts y_ct of cluster c in period t are Poisson with log mean log E_ct + a + period_t + u_c + w_ct + θ d_ct;
u_c ~ N(0, τ_c²), w_ct ~ N(0, σ_w²). For each point of a grid of the two standard deviations, which lie evenly
in their half-normal priors, the others are at their mode (Newton) and integrated out by Laplace's method: so
weighted, the points give θ a mixture of normal distributions (Rue, Martino & Chopin 2009, section 3, with the
Gaussian approximation of the latent field). The variance between clusters is thus not taken as known.
Officers' gamma factors of shape φ add 1/(φ n_c) to the variance of u_c; φ is from factorial moments.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from rct.bayesian.priors import Priors

    Floats = npt.NDArray[np.float64]

NODES = 7
NEWTON_STEPS = 30
LARGEST_STEP = 1.0
SETTLED = 1e-5


@dataclass(frozen=True)
class ClusterTotals:
    """Totals of one trial.

    Attributes
    ----------
    counts, exposure, dose : (clusters, periods)
        Exposure 0 where a cell is in transition.
    officers_vary : (clusters,)
        Relative variance of a cluster's rate that the differences between its officers leave.
    """

    counts: "Floats"
    exposure: "Floats"
    dose: "Floats"
    officers_vary: "Floats"


def cluster_totals(rows: "pd.DataFrame", *, heterogeneous: bool = True) -> ClusterTotals:
    """Add a panel's rows (`Panel.rows`) up to clusters.

    `heterogeneous` says whether officers differ in the model.
    """
    cells = rows.pivot_table(
        index="cluster", columns="period", values=["count", "exposure"], aggfunc="sum", fill_value=0.0
    )
    dose = rows.pivot_table(index="cluster", columns="period", values="treated", aggfunc="mean")
    varying = _officers_vary(rows) if heterogeneous else np.zeros(len(dose))
    counts, exposure = (cells[name].to_numpy(dtype=float) for name in ("count", "exposure"))
    return ClusterTotals(counts, exposure, dose.fillna(0.0).to_numpy(dtype=float), varying)


def _officers_vary(rows: "pd.DataFrame") -> "Floats":
    """Give 1/(φ n_c): a gamma factor u_i makes E y_i(y_i − 1) larger by 1 + 1/φ than E y_i y_j."""
    units = rows.groupby(["cluster", "unit"], observed=True)[["count", "exposure"]].sum()
    y, own, time = units["count"], units["exposure"] ** 2, units["exposure"]
    table = units.assign(pairs=y * (y - 1), square=y**2, own=own, time=time).groupby(level=0).sum()
    across = table["count"] ** 2 - table["square"]
    time_across = table["time"] ** 2 - table["own"]
    alike = float((table["own"] * across / time_across.where(time_across > 0)).sum())
    excess = max(float(table["pairs"].sum()) / alike - 1, 0.0) if alike > 0 else 0.0
    return np.asarray(excess * table["own"] / table["time"] ** 2, dtype=float)


def probability_below_one(totals: ClusterTotals, priors: "Priors") -> float:
    """Give the posterior probability that the rate ratio is below 1.

    Parameters
    ----------
    totals : ClusterTotals
    priors : mapping
        Complete: effect, intercept, period (zero-sum-normal), cluster_sd and cluster_period_sd.
    """
    from scipy.special import ndtr

    sd_c, sd_w = (grid.ravel() for grid in np.meshgrid(*(_nodes(priors, term) for term in _SDS)))
    prior = _fixed_priors(priors, totals.counts.shape[1])
    mean, sd, log_weight = _laplace(totals, prior, sd_c, sd_w)
    weight = np.exp(log_weight - log_weight.max())
    node_weight = np.outer(*[np.polynomial.legendre.leggauss(NODES)[1]] * 2).ravel()
    weight = weight * node_weight
    return float((weight * ndtr(-mean / sd)).sum() / weight.sum())


_SDS = ("cluster_sd", "cluster_period_sd")


def _nodes(priors: "Priors", term: str) -> "Floats":
    """Give standard deviations at Gauss–Legendre nodes of their half-normal prior's probability."""
    from scipy.special import ndtri

    scale = priors[term]["half-normal"][0]  # type: ignore[index]
    node = np.polynomial.legendre.leggauss(NODES)[0]
    return np.asarray(scale * ndtri(0.75 + node / 4), dtype=float)


def _fixed_priors(priors: "Priors", periods: int) -> "tuple[Floats, Floats]":
    """Give mean and precision of effect, intercept and periods, in this order."""
    effect, intercept = (priors[term]["normal"] for term in ("effect", "intercept"))  # type: ignore[index]
    period = priors["period"]["zero-sum-normal"][0] if priors["period"] else 1e-6  # type: ignore[index]
    mean = np.array([effect[0], intercept[0], *[0.0] * periods])
    sd = np.array([effect[1], intercept[1], *[period] * periods])
    return mean, sd**-2.0


def _laplace(
    totals: ClusterTotals, prior: "tuple[Floats, Floats]", sd_c: "Floats", sd_w: "Floats"
) -> "tuple[Floats, Floats, Floats]":
    """Give mean and sd of θ and the log marginal likelihood at each point of the grid, (points,)."""
    y, exposure = totals.counts.ravel(), totals.exposure.ravel()
    design = _design(totals.dose)
    clusters, points = len(totals.counts), len(sd_c)
    between = sd_c[:, None] ** 2 + totals.officers_vary
    mean = np.concatenate([prior[0], np.zeros(clusters)])
    precision = np.concatenate([np.broadcast_to(prior[1], (points, len(prior[1]))), 1 / between], axis=1)
    x, w, variance = np.tile(mean, (points, 1)), np.zeros((points, len(y))), sd_w[:, None] ** 2
    x[:, 1] = np.log(max(y.sum(), 0.5) / exposure.sum())
    for _ in range(NEWTON_STEPS):
        expected = exposure * np.exp(x @ design.T + w)
        short = y - expected
        shrunk = 1 + expected * variance
        curved = (design.T * (expected / shrunk)[:, None]) @ design
        curved[:, np.arange(len(mean)), np.arange(len(mean))] += precision
        slope = (short - (short * variance - w) * expected / shrunk) @ design - precision * (x - mean)
        step = np.linalg.solve(curved, slope[..., None])[..., 0]
        move = (short * variance - w - expected * variance * (step @ design.T)) / shrunk
        size = max(np.abs(step).max(), np.abs(move).max())
        x, w = (old + new * min(1.0, LARGEST_STEP / size) for old, new in ((x, step), (w, move)))
        if size < SETTLED:
            break
    expected = exposure * np.exp(x @ design.T + w)
    fit = y @ (x @ design.T + w).T - expected.sum(axis=1)
    fit -= (precision * (x - mean) ** 2).sum(axis=1) / 2 + (w**2 / variance).sum(axis=1) / 2
    volume = np.linalg.slogdet(curved)[1] + np.log1p(expected * variance).sum(axis=1)
    inverse = np.linalg.solve(curved, np.eye(len(mean))[:1].T[None])[:, 0, 0]
    return x[:, 0], np.sqrt(inverse), fit - (volume + np.log(between).sum(axis=1)) / 2


def _design(dose: "Floats") -> "Floats":
    """Give the columns of θ, intercept, periods and clusters, one row per cell."""
    clusters, periods = dose.shape
    return np.column_stack(
        [
            dose.ravel(),
            np.ones(dose.size),
            np.tile(np.eye(periods), (clusters, 1)),
            np.repeat(np.eye(clusters), periods, axis=0),
        ]
    )
