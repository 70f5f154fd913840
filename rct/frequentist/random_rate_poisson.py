"""Poisson regression with random rates of units, from a panel to dressed estimates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.asked_options import require_one_of
from rct.frequentist.overdispersed_counts import poisson_start
from rct.frequentist.pooled_rates import Inference, pooled_rates, rate_estimates
from rct.frequentist.random_intercepts import fit_random_intercepts, unit_totals

if TYPE_CHECKING:
    from rct.estimates import Estimate, Estimates
    from rct.frequentist.random_intercepts import Distribution
    from rct.frequentist.treatment_terms import Effect
    from rct.panel import Panel

MOST_POINTS = 100


def random_rate_poisson(
    panel: Panel,
    outcome: str,
    *,
    distribution: Distribution,
    quadrature: int,
    fixed_effects: Sequence[str],
    covariates: Sequence[str],
    effect: Effect,
    average: tuple[int, int] | None,
    level: float,
) -> Estimate | Estimates:
    """Fit random rates in place of unit effects; standard errors from the observed information.

    Raises
    ------
    EstimationError
        Quadrature that the distribution does not need, or a design in which the effect does not exist.
    """
    require_one_of("random_effects", distribution, ("gamma", "normal"))
    if not 1 <= quadrature <= MOST_POINTS or (distribution == "gamma" and quadrature != 1):
        raise EstimationError(
            f"quadrature={quadrature}: a normal distribution takes 1 (Laplace) to {MOST_POINTS} points; with"
            " gamma rates the likelihood is exact, so leave quadrature out"
        )
    approximation = "exact likelihood" if distribution == "gamma" else _approximation(quadrature)
    pooled = pooled_rates(
        panel,
        outcome,
        model=f"Poisson, {distribution} random effects of unit ({approximation})",
        fixed_effects=[name for name in fixed_effects if name != "unit"],
        covariates=covariates,
        effect=effect,
        average=average,
        level=level,
    )
    data = unit_totals(pooled.counts, pooled.exposure, pooled.unit, pooled.pattern, pooled.design)
    fit = fit_random_intercepts(data, distribution, quadrature, poisson_start(pooled))
    units = int(pooled.unit.max()) + 1
    warnings = []
    if int(pooled.sample.clusters("cluster").max()) + 1 < units:
        warnings.append("model-based standard errors ignore that units of a cluster move together")
    if fit.spread == 0:
        warnings.append("the variance of the random effects is estimated at zero: this is the Poisson model")
    inference = Inference(
        covariance=fit.covariance,
        name="model-based (observed information), normal",
        n_clusters=units,
        warning="; ".join(warnings),
    )
    notes = {"random_effects_sd": fit.spread, "log_likelihood": fit.log_likelihood}
    return rate_estimates(pooled, np.asarray(fit.coefficients), inference, notes)


def _approximation(quadrature: int) -> str:
    return "Laplace" if quadrature == 1 else f"adaptive Gauss–Hermite, {quadrature} points"
