"""The Poisson model of officers' counts with gamma officer effects integrated out.

Unit i in period t has y_it ~ Poisson(u_i E_it exp(eta_it)) events, with u_i ~ Gamma(phi, phi). The gamma
distribution is conjugate to the Poisson, so that u_i integrates to a closed form (Hausman, Hall & Griliches
1984, "Econometric models for count data", equation 2.3 in random-effects form): with Y_i the unit's events
and S_i the sum of E_it exp(eta_it),

    log p(y_i) = log Gamma(phi + Y_i) - log Gamma(phi) + phi log phi - (phi + Y_i) log(phi + S_i)
                 + sum_t [y_it eta_it + y_it log E_it - log y_it!]

which is exact, and leaves tens of parameters where there were thousands.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.log_rate import TERMS, log_rate, outcome_totals
from rct.bayesian.model_inputs import CountModel, Inputs, numbers
from rct.bayesian.priors import Priors


def marginal_tables(rows: CountRows, priors: Priors) -> Mapping[str, NDArray]:
    """Add up the rows."""
    return outcome_totals(rows, priors).tables


def build_marginal(inputs: Inputs) -> None:
    """Declare one independent block of parameters for each outcome, and the likelihood."""
    add_likelihood(inputs, log_rate(inputs))


def add_likelihood(inputs: Inputs, eta: Any) -> None:
    """Declare the heterogeneity of the units and add the likelihood of their counts."""
    import pymc as pm

    shape = None
    if gamma := numbers(inputs, "heterogeneity"):
        variable = pm.Gamma("heterogeneity", alpha=gamma[0], beta=gamma[1], dims=inputs.outer or None)
        shape = inputs.by_outcome(variable)
    pm.Potential("log_likelihood", marginal_log_likelihood(inputs.tables, eta, shape).sum())


def marginal_log_likelihood(tables: Mapping[str, Any], eta: Any, shape: Any | None) -> Any:
    """Give the log-likelihood of all units, with their gamma effects integrated out, (outcomes,).

    Parameters
    ----------
    tables
        Arrays of :class:`rct.bayesian.totals.Totals`, by name.
    eta
        Log rate per unit of exposure, (outcomes, paths, periods).
    shape
        The gamma shape phi of the officers' effects, (outcomes,); None: no officer effects, a plain Poisson.
    """
    import pytensor.tensor as pt

    units, events = tables["units"], tables["events"]
    in_cells = (tables["counts"] * eta).sum(axis=(1, 2)) + tables["constant"]
    expected = expected_events(tables, eta)
    if shape is None:
        return in_cells - (units * expected).sum(axis=(1, 2))
    phi = shape[:, None]
    each = pt.gammaln(phi + tables["total"]) - pt.gammaln(phi) + phi * pt.log(phi)
    return (
        in_cells
        + (tables["total_units"] * each).sum(axis=1)
        - ((phi[..., None] * units + events) * pt.log(phi[..., None] + expected)).sum(axis=(1, 2))
    )


def expected_events(tables: Mapping[str, Any], eta: Any) -> Any:
    """Give S, the expected events of one unit of each profile, (outcomes, strips, width)."""
    return (tables["exposure"] * rates_of_strips(tables, eta)).sum(axis=-1)


def rates_of_strips(tables: Mapping[str, Any], eta: Any) -> Any:
    """Give the rates of each strip's path, (outcomes, strips, 1, periods)."""
    import pytensor.tensor as pt

    outcomes, paths, periods = tables["counts"].type.shape
    path = tables["path"]
    if outcomes > 1:
        path = path + paths * np.arange(outcomes)[:, None]
    rates = pt.exp(eta).reshape((outcomes * paths, periods))[path.ravel()]
    return rates.reshape((outcomes, -1, 1, periods))


MARGINAL = CountModel(
    words="Poisson with gamma officer effects integrated out, period, block and cluster effects",
    terms=(*TERMS, "heterogeneity"),
    tables=marginal_tables,
    build=build_marginal,
    judged=("effect", "heterogeneity", "cluster_sd", "cluster_period_sd"),
    kept=(
        "effect", "intercept", "block", "period", "heterogeneity", "cluster_sd", "cluster",
        "cluster_period_sd", "cluster_period",
    ),
)  # fmt: skip
