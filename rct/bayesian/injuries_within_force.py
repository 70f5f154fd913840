"""Force and the injuries within it, together: the rate of injury is force times injury given force.

The first outcome counts incidents of force; its officers' gamma effects are integrated out as in the marginal
model. Each further outcome counts those of the same incidents in which somebody was injured, so that given
force they are binomial: with F force incidents of a path and period, C of them with an injury,

    C ~ Binomial(F, p),  p = (1 + exp(-k nu)) ** (-1 / k),  k = 8,
    nu = intercept + period + cluster + cluster_period + effect_given x dose .

The link is the log link, p = exp(nu), bent below 1 (the type I generalized logistic distribution function;
Johnson, Kotz & Balakrishnan 1995, "Continuous univariate distributions" 2, chapter 23). Up to p = .5 log p
differs from nu by less than 5e-4 and moves with it at a slope of .996 or more, at p = .7 of .94: so the log
rate ratio of injuries is that of force plus ``effect_given``, the log ratio of the probabilities of injury
given force. The log link itself ends at nu = 0, a wall at which the sampler's steps diverge.

An officer's rate of injuries is in proportion to the rate of force. Effects of divisions on force and on
injury given force are correlated (LKJ).
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.log_rate import (
    TERMS,
    change_of_log_rate,
    outcome_totals,
    signed_sd,
    untreated_log_rate,
)
from rct.bayesian.marginal_poisson import marginal_log_likelihood
from rct.bayesian.model_inputs import CountModel, Inputs, numbers
from rct.bayesian.priors import Priors
from rct.errors import EstimationError
from rct.prior_words import LINK_BEND


def nested_rows(rows: CountRows) -> CountRows:
    """Refuse outcomes that are no parts of the first one's incidents."""
    first, *others = rows.outcomes
    if not others:
        raise EstimationError(
            'the model "joint" takes the outcome that counts force and then those that count injuries in it; '
            f"only {first!r} was given."
        )
    whole = rows.rows[first].set_index(["unit", "period"])
    for name in others:
        part = rows.rows[name].set_index(["unit", "period"])
        if not part.index.equals(whole.index) or not (part["exposure"] == whole["exposure"]).all():
            raise EstimationError(
                f'the model "joint": {name!r} and {first!r} are not observed in the same units and periods '
                "with the same exposure."
            )
        above = part.index[part["count"] > whole["count"]]
        if len(above):
            unit, period = above[0]
            raise EstimationError(
                f'the model "joint": {name!r} is above {first!r} in {len(above)} rows (first: unit {unit}, '
                f"period {period}). It has to count incidents of {first!r}, not persons: name the outcome "
                'that contains it first, or use the model "marginal".'
            )
    return rows


def require_equal_trends(priors: Priors) -> None:
    """Refuse different distributions of the period effects."""
    period, given = priors["period"], priors["period_given"]
    if isinstance(period, bool) != isinstance(given, bool) or (
        isinstance(period, dict) and isinstance(given, dict) and set(period) != set(given)
    ):
        raise EstimationError("priors: period and period_given need the same distribution, or both false.")


def joint_tables(rows: CountRows, priors: Priors) -> Mapping[str, NDArray]:
    """Add up force by officers, and injuries by path and period."""
    totals = outcome_totals(rows, priors)
    return {name: values[:1] for name, values in totals.tables.items()} | {"injuries": totals.counts[1:]}


def build_joint(inputs: Inputs) -> None:
    """Declare the terms of force and of injury given force, and both likelihoods."""
    import pymc as pm

    effects = _effects(inputs)
    own = _correlated_clusters if inputs.priors["cluster_correlation"] else None
    eta = untreated_log_rate(inputs, _numbers, own) + change_of_log_rate(inputs, effects)
    shape = None
    if gamma := numbers(inputs, "heterogeneity"):
        shape = pm.Gamma("heterogeneity", alpha=gamma[0], beta=gamma[1])[None]
    tables = inputs.tables
    pm.Potential("log_likelihood", marginal_log_likelihood(tables, eta[:1], shape).sum())
    pm.Potential("log_likelihood_given", thinned(tables["injuries"], tables["counts"], eta[1:]).sum())


def _numbers(inputs: Inputs, term: str) -> list[Any] | None:
    """Give the numbers of force and of every injury given force, one below the other."""
    import pytensor.tensor as pt

    of_force, given = numbers(inputs, term), f"{term}_given"
    if given not in inputs.priors or not of_force:
        return of_force
    others = [numbers(inputs, given)] * (len(inputs.coords["outcome"]) - 1)
    stacked = [pt.stack(column) for column in zip(of_force, *others, strict=True)]
    if term != "period":
        return stacked
    return [column[(slice(None), *[None] * (2 if inputs.blocked_periods else 1))] for column in stacked]


def _effects(inputs: Inputs) -> Any:
    """Declare the effect on force and on injury given force; give both, (outcomes, arms)."""
    import pymc as pm
    import pytensor.tensor as pt

    several_arms = len(inputs.coords["arm"]) > 1
    inner = ("arm",) if several_arms else ()
    mean, sd = numbers(inputs, "effect")  # type: ignore[misc]
    on_force = pm.Normal("effect_on_force", mean, sd, dims=inner or None)
    mean, sd = numbers(inputs, "effect_given")  # type: ignore[misc]
    given = pm.Normal("effect_given", mean, sd, dims=("injury", *inner))
    effects = pt.concatenate([on_force[None], given])
    total = pt.concatenate([on_force[None], on_force[None] + given])
    pm.Deterministic("effect", total, dims=("outcome", *inner))
    return effects if several_arms else effects[:, None]


def _correlated_clusters(inputs: Inputs) -> Any:
    import pymc as pm
    import pytensor.tensor as pt

    (scale,), (eta,) = numbers(inputs, "cluster_sd"), numbers(inputs, "cluster_correlation")  # type: ignore[misc]
    outcomes = len(inputs.coords["outcome"])
    sd = signed_sd("cluster", scale, ("outcome",))
    factor = _correlation_factor(outcomes, eta)
    beside, sign = np.array(list(combinations(range(outcomes), 2))).T, pt.sign(sd)
    correlation = pt.dot(factor, factor.T) * pt.outer(sign, sign)
    pm.Deterministic("cluster_correlation", correlation[beside[0], beside[1]], dims="outcome_pair")
    standard = pm.Normal("cluster_standard", 0, 1, dims=("outcome", "cluster_name"))
    return pm.Deterministic(
        "cluster", sd[:, None] * pt.dot(factor, standard), dims=("outcome", "cluster_name")
    )


def _correlation_factor(size: int, eta: Any) -> Any:
    """Declare partial correlations that make the matrix LKJ(eta), and give its Cholesky factor.

    Lewandowski, Kurowicka & Joe 2009, section 2.4 (C-vine): the partial correlation of row i and column j
    given the columns before is 2 Beta(b, b) - 1 with b = eta + (size - 2 - j) / 2, j from 0.
    """
    import pymc as pm
    import pytensor.tensor as pt

    pairs = [(i, j) for i in range(size) for j in range(i)]
    b = eta + np.array([(size - 2 - j) / 2 for _, j in pairs])
    half = pm.Beta("cluster_partial_correlation", b, b, shape=len(pairs))
    partial = dict(zip(pairs, [2 * half[k] - 1 for k in range(len(pairs))], strict=True))
    rows = []
    for i in range(size):
        left, row = pt.constant(1.0), []
        for j in range(i):
            row.append(partial[i, j] * left)
            left = left * pt.sqrt(1 - partial[i, j] ** 2)
        rows.append(pt.stack([*row, left, *[pt.constant(0.0)] * (size - i - 1)]))
    return pt.stack(rows)


def thinned(injuries: Any, force: Any, nu: Any) -> Any:
    """Give the binomial log-likelihood up to its coefficient, (injuries, paths, periods)."""
    import pytensor.tensor as pt

    log_probability = -pt.softplus(-LINK_BEND * nu) / LINK_BEND
    return injuries * log_probability + (force - injuries) * pt.log(-pt.expm1(log_probability))


JOINT = CountModel(
    words="force with gamma officer effects integrated out, and the injuries within it as binomial thinning",
    terms=(
        *TERMS, "heterogeneity", "effect_given", "intercept_given", "period_given", "cluster_correlation",
    ),
    tables=joint_tables,
    build=build_joint,
    judged=("effect", "effect_given", "heterogeneity", "cluster_sd", "cluster_period_sd"),
    kept=(
        "effect", "effect_given", "intercept", "block", "period", "heterogeneity", "cluster_sd", "cluster",
        "cluster_correlation", "cluster_period_sd", "cluster_period",
    ),
    prepare=nested_rows,
    require=require_equal_trends,
)  # fmt: skip
