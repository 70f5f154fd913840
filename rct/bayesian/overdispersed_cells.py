"""Negative binomial counts of single unit-periods, with or without surplus zeros: for sensitivity analyses.

A unit-period has y ~ NegativeBinomial with mean mu = E exp(eta) and size phi, and with probability pi a zero
besides (Lambert 1992, "Zero-inflated Poisson regression", with the negative binomial in the Poisson's place):

    log p(y) = log Gamma(phi + y) - log Gamma(phi) + phi log phi - (phi + y) log(phi + mu) + y log mu - log y!

Units differ from period to period only, not for good: where officers do, the marginal model fits far better.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.log_rate import TERMS, log_rate, outcome_totals
from rct.bayesian.marginal_poisson import MARGINAL, rates_of_strips
from rct.bayesian.model_inputs import Inputs, numbers
from rct.bayesian.priors import Priors


def cell_tables(rows: CountRows, priors: Priors) -> Mapping[str, NDArray]:
    """Add up unit-periods of the same profile and period."""
    tables = outcome_totals(rows, priors, cells=True).tables
    return {name: values for name, values in tables.items() if name not in ("total", "total_units")}


def build_cells(inputs: Inputs) -> None:
    """Declare the terms and add the likelihood."""
    import pymc as pm

    eta = log_rate(inputs)
    shape, rate = numbers(inputs, "dispersion")  # type: ignore[misc]
    size = inputs.by_outcome(pm.Gamma("dispersion", alpha=shape, beta=rate, dims=inputs.outer or None))
    surplus = None
    if "zero_share" in inputs.priors:
        a, b = numbers(inputs, "zero_share")  # type: ignore[misc]
        surplus = inputs.by_outcome(pm.Beta("zero_share", a, b, dims=inputs.outer or None))
    pm.Potential("log_likelihood", cell_log_likelihood(inputs.tables, eta, size, surplus).sum())


def cell_log_likelihood(tables: Mapping[str, Any], eta: Any, size: Any, surplus: Any | None) -> Any:
    """Give the log-likelihood of all unit-periods, (outcomes,).

    Parameters
    ----------
    tables
        Arrays of :class:`rct.bayesian.totals.Totals`, those of the cells among them.
    eta
        Log rate per unit of exposure, (outcomes, paths, periods).
    size, surplus
        Size of the negative binomial and probability of a surplus zero, (outcomes,); None: no surplus.
    """
    import pytensor.tensor as pt

    mean = tables["exposure"] * rates_of_strips(tables, eta)
    phi = size[:, None, None, None]
    log_ratio = pt.log(phi) - pt.log(phi + mean)
    times = tables["cell_times"] * (1.0 if surplus is None else pt.gt(tables["cell_total"], 0))
    ordinary = tables["cell_units"] - (0.0 if surplus is None else tables["cell_zeros"])
    value = (
        (tables["counts"] * eta).sum(axis=(1, 2))
        + tables["constant"]
        + (times * (pt.gammaln(size[:, None] + tables["cell_total"]) - pt.gammaln(size)[:, None])).sum(axis=1)
        + (phi * ordinary * log_ratio - tables["cell_events"] * pt.log(phi + mean)).sum(axis=(1, 2, 3))
    )
    if surplus is None:
        return value
    pi = surplus[:, None, None, None]
    zeros = tables["cell_zeros"] * pt.log(pi + (1 - pi) * pt.exp(phi * log_ratio))
    return value + zeros.sum(axis=(1, 2, 3)) + ordinary.sum(axis=(1, 2, 3)) * pt.log1p(-surplus)


NEGATIVE_BINOMIAL = replace(
    MARGINAL,
    words="negative binomial counts of unit-periods without unit effects (sensitivity only)",
    terms=(*TERMS, "dispersion"),
    tables=cell_tables,
    build=build_cells,
    judged=("effect", "dispersion", "cluster_sd", "cluster_period_sd"),
    kept=(
        "effect",
        "intercept",
        "block",
        "period",
        "dispersion",
        "cluster_sd",
        "cluster",
        "cluster_period_sd",
        "cluster_period",
    ),
    caution="a sensitivity analysis: lasting differences between units are not in this model",
)  # fmt: skip
ZERO_INFLATED = replace(
    NEGATIVE_BINOMIAL,
    words="zero-inflated negative binomial counts of unit-periods without unit effects (sensitivity only)",
    terms=(*NEGATIVE_BINOMIAL.terms, "zero_share"),
    judged=(*NEGATIVE_BINOMIAL.judged, "zero_share"),
    kept=(*NEGATIVE_BINOMIAL.kept, "zero_share"),
)
