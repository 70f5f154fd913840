"""The marginal model in milliseconds: a normal posterior around the mode, checked by importance weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.count_rows import count_rows
from rct.bayesian.fitting import fit_warnings
from rct.bayesian.identified_effects import require_identified
from rct.bayesian.log_rate import outcome_totals
from rct.bayesian.marginal_mode import (
    Mode,
    ModePrior,
    ProfileTotals,
    find_mode,
    log_density,
    profile_totals,
)
from rct.bayesian.marginal_poisson import MARGINAL
from rct.bayesian.pareto_smoothing import LARGEST_K, pareto_k
from rct.bayesian.priors import Priors, complete_priors
from rct.bayesian.totals import Floats
from rct.errors import DataError, EstimationError

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel

NO_MODE = ("cluster_sd", "cluster_period_sd", "block")
DRAWS = 2000
CELLS = 4e6  # draws × profiles × periods held at once


@dataclass(frozen=True, eq=False, repr=False)
class LaplaceFit:
    """A normal approximation of the marginal model's posterior.

    Attributes
    ----------
    outcome, arms, reference
        What was fitted; an effect for each arm, compared with the reference.
    priors
        As used.
    mean, covariance
        Of (log rate of each period, log rate ratio of each arm, log of the heterogeneity).
    pareto_k
        Of the importance weights that lead from the normal to the posterior: below .7 it may be believed.
    level
        Probability inside the intervals.
    warning
        What the reader has to know, or nothing.
    """

    outcome: str
    arms: tuple[str, ...]
    reference: str
    priors: Priors
    mean: Floats
    covariance: Floats
    pareto_k: float
    level: float
    warning: str

    def probability(self, *, below: float = 1.0, arm: str | None = None) -> float:
        """Give the posterior probability that the rate ratio is below a value."""
        if not below > 0:
            raise DataError(f"below = {below}: a rate ratio is above 0; below = 0.9 asks for a fall of 10 %.")
        if arm not in self.arms and not (arm is None and len(self.arms) == 1):
            raise DataError(f"name one of the arms {', '.join(self.arms)}, not {arm!r}.")
        at = 0 if arm is None else self.arms.index(arm)
        mean, sd = (values[at] for values in self._effects)
        return math.erfc((mean - math.log(below)) / sd / math.sqrt(2)) / 2

    @cached_property
    def _effects(self) -> tuple[Floats, Floats]:
        mode = Mode(self.mean[None], self.covariance[None], len(self.arms))
        return mode.effect[0], mode.effect_sd[0]

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per arm: estimate, std_error and limits on the log scale, probability_reduced."""
        import pandas as pd
        from scipy.special import ndtri

        width = float(ndtri((1 + self.level) / 2))
        rows: list[dict[str, Any]] = [
            {
                "outcome": self.outcome,
                "arm": arm,
                "reference": self.reference,
                "estimate": mean,
                "std_error": sd,
                "conf_low": mean - width * sd,
                "conf_high": mean + width * sd,
                "irr": math.exp(mean),
                "percent_change": 100 * math.expm1(mean),
                "probability_reduced": self.probability(arm=arm),
                "pareto_k": self.pareto_k,
                "warning": self.warning,
            }
            for arm, mean, sd in zip(self.arms, *self._effects, strict=True)
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lines = [f"Laplace, marginal Poisson, {100 * self.level:g} % intervals, Pareto k {self.pareto_k:.2f}"]
        for row in self.frame.to_dict("records"):
            low, high = (100 * math.expm1(row[end]) for end in ("conf_low", "conf_high"))
            lines.append(
                f"  {row['outcome']}, {row['arm']}: {row['percent_change']:+.1f} % "
                f"({low:+.1f} to {high:+.1f}), probability of a reduction {row['probability_reduced']:.3f}"
            )
        return "\n".join([*lines, *([f"  {self.warning}"] if self.warning else [])])


def mode_prior(priors: Priors, periods: int) -> ModePrior:
    """Turn priors of intercept and period effects into one of each period's log rate.

    Raises
    ------
    EstimationError
        For a model without heterogeneity.
    """
    if not priors["heterogeneity"]:
        raise EstimationError("the Laplace fit needs a prior of heterogeneity; without it, use poisson.")
    (mean, sd), effect, heterogeneity = (
        next(iter(dict(priors[term]).values()))  # type: ignore[arg-type]
        for term in ("intercept", "effect", "heterogeneity")
    )
    if not priors["period"]:
        return ModePrior(
            np.ones((periods, 1)),
            np.array([mean]),
            np.array([[1 / sd**2]]),
            _pair(effect),
            _pair(heterogeneity),
        )
    covariance = np.full((periods, periods), sd**2) + _period_covariance(priors["period"], periods)
    return ModePrior(
        np.eye(periods),
        np.full(periods, mean),
        np.linalg.inv(covariance).astype(float),
        _pair(effect),
        _pair(heterogeneity),
    )


def _pair(numbers: list[float]) -> tuple[float, float]:
    first, second = numbers
    return first, second


def _period_covariance(prior: Any, periods: int) -> Floats:
    """Give the covariance of period effects that sum to zero."""
    ((kind, (sd,)),) = prior.items()
    centring = np.eye(periods) - 1 / periods
    if kind == "zero-sum-normal":
        return sd**2 * centring
    walk = np.minimum.outer(np.arange(1, periods + 1), np.arange(1, periods + 1))
    return sd**2 * centring @ walk @ centring


def importance_k(totals: ProfileTotals, prior: ModePrior, mode: Mode, *, seed: int) -> float:
    """Give Pareto k of the weights from the normal approximation of one data set to its posterior."""
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(mode.covariance[0])
    standard = rng.standard_normal((DRAWS, factor.shape[0]))
    at = mode.mean[0] + standard @ factor.T
    size = max(1, int(CELLS / totals.exposure[0].size))
    exact = np.concatenate(
        [log_density(totals, prior, at[first : first + size]) for first in range(0, DRAWS, size)]
    )
    return pareto_k(exact + (standard**2).sum(axis=1) / 2)


def laplace(
    panel: "Panel",
    outcome: str,
    *,
    priors: Mapping[str, object] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> LaplaceFit:
    """Fit the marginal model by its mode and the curvature there, in milliseconds.

    The posterior of (log rates of the periods, log rate ratios, log heterogeneity) is taken as normal around
    its mode, which Newton's method finds with the exact Hessian (Tierney & Kadane 1986 give the order of the
    error). Meant for thousands of fits (assurance, power); ``fit`` draws from the posterior itself.

    Parameters
    ----------
    panel : Panel
    outcome : str
    priors : mapping, optional
        As in :func:`rct.bayesian.fit`, without block and cluster terms.
    seed : int
        Of the draws behind ``pareto_k``; nothing else depends on it.
    level : float
        Probability inside the intervals.

    Raises
    ------
    EstimationError
        As :func:`rct.bayesian.fit`; for a prior of block and cluster terms; where clusters of units were
        randomized, whose effects the model lacks; and where blocks differ in the share of treated units, each
        with its own time trend.
    ConvergenceError
        When there is no mode. (A Pareto k of .7 or more is said in the warning.)
    DataError
        For an unknown outcome, and for fractional counts.
    """
    if not 0 < level < 1:
        raise EstimationError(f"level = {level}: a probability between 0 and 1 is needed, such as 0.95.")
    totals, used, arms, warning = _sample(panel, outcome, priors)
    prior = mode_prior(used, totals.counts.shape[2])
    mode = find_mode(totals, prior)
    k = importance_k(totals, prior, mode, seed=seed)
    if not k < LARGEST_K:
        warning = "; ".join(
            [*([warning] if warning else []),
             f"Pareto k is {k:.2f}, not below {LARGEST_K}: the posterior is not normal; use fit"]
        )  # fmt: skip
    return LaplaceFit(
        outcome, tuple(arms), panel.control, used, mode.mean[0], mode.covariance[0], k, level, warning
    )


def _sample(
    panel: "Panel", outcome: str, priors: Mapping[str, object] | None
) -> tuple[ProfileTotals, Priors, list[str], str]:
    rows = count_rows(panel, [outcome])
    one = rows.rows[outcome]
    if one["randomized"].nunique() < one["unit"].nunique():
        raise EstimationError(
            f"{one['randomized'].nunique()} clusters were randomized, and the Laplace fit has no cluster "
            f'terms: its interval would be too narrow. Use fit(panel, "{outcome}"), which has them.'
        )
    if rows.blocked_periods:
        raise EstimationError(
            "the share of treated units differs between blocks, each of which then needs a time trend of its "
            "own; the Laplace fit has one. Use fit."
        )
    impossible = dict.fromkeys(NO_MODE, "the Laplace fit has no such term")
    if len(rows.periods) == 1:
        impossible["period"] = "the panel has one period"
    used = complete_priors(priors, terms=MARGINAL.terms, impossible=impossible)
    require_identified(rows, used)
    totals = profile_totals(outcome_totals(rows, used), len(rows.arms))
    return totals, used, rows.arms, "; ".join(fit_warnings(outcome, rows, used, MARGINAL))
