"""Several trials' log rate ratios in one model: a grid over the heterogeneity, the rest in closed form.

Trial j reports y_j with standard error s_j: y_j ~ N(theta_j, s_j²), theta_j ~ N(mu, tau²), mu ~ N(m, v²).
Given tau everything is normal: with w_j = 1 / (s_j² + tau²) and P = 1 / v² + sum w_j,

    mu | tau, y ~ N((m / v² + sum w_j y_j) / P, 1 / P),      y | tau ~ N(m 1, diag(s² + tau²) + v² 1 1')

so that the one integral left, over tau, is done by quadrature and every posterior is a mixture of normals
(Röver 2020, "Bayesian random-effects meta-analysis using the bayesmeta R package", sections 2.3 to 2.6;
Higgins, Thompson & Spiegelhalter 2009, section 4, for the prediction of a new place).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.normal_mixture import Floats, NormalMixture
from rct.bayesian.priors import Prior, checked_prior
from rct.bayesian.robust_trials import student_t_posterior
from rct.errors import DataError, EstimationError

if TYPE_CHECKING:
    import pandas as pd

DISTRIBUTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "effect": {"normal": ("mean", "sd")},
    "tau": {"half-normal": ("sd",), "half-cauchy": ("scale",)},
    "trials": {"normal": (), "student-t": ("df",)},
}
# Half-normal(0.5) is what Friede, Röver, Wandel & Neuenschwander (2017, "Meta-analysis of few small studies
# in orphan diseases", section 2.3) advise for log ratios when the trials are few.
DEFAULTS: dict[str, Prior] = {
    "effect": {"normal": [0.0, 0.5]},
    "tau": {"half-normal": [0.5]},
    "trials": {"normal": []},
}
NODES = 800
NODES_OF_T = 100
FEW = 5


@dataclass(frozen=True, eq=False, repr=False)
class Meta:
    """What several trials say together.

    Attributes
    ----------
    trials, estimates, std_errors
        Names, log rate ratios and their standard errors.
    priors
        As used: effect, tau (the standard deviation between trials), trials (how effects differ).
    level
        Probability inside the intervals of :attr:`frame`.
    effect
        The mean effect of the places that such trials are run in.
    new_agency
        The effect to expect in one place more, which is another question.
    own
        The effect in each trial's own place, drawn towards the others.
    tau, tau_weights
        The grid over the heterogeneity and its posterior weights.
    warning
        What the reader has to know, or nothing.
    """

    trials: tuple[str, ...]
    estimates: Floats
    std_errors: Floats
    priors: Mapping[str, Prior]
    level: float
    effect: NormalMixture
    new_agency: NormalMixture
    own: tuple[NormalMixture, ...]
    tau: Floats
    tau_weights: Floats
    warning: str

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """One row for the mean effect, for a new agency and for each trial.

        ``estimate`` and ``std_error`` are mean and standard deviation on the log scale, ``conf_low`` and
        ``conf_high`` quantiles; ``reported`` and ``reported_std_error`` what the trial itself said.
        """
        import pandas as pd

        named = [("mean effect", self.effect), ("new agency", self.new_agency)]
        rows = [self._row(name, of) | {"reported": math.nan, "reported_std_error": math.nan}
                for name, of in named]  # fmt: skip
        own = zip(self.trials, self.own, self.estimates, self.std_errors, strict=True)
        rows += [
            self._row(name, of) | {"reported": float(y), "reported_std_error": float(s)}
            for name, of, y, s in own
        ]
        return pd.DataFrame(rows)

    def _row(self, term: str, of: NormalMixture) -> dict[str, Any]:
        return {
            "term": term,
            "estimate": of.mean,
            "std_error": of.sd,
            "conf_low": of.quantile((1 - self.level) / 2),
            "conf_high": of.quantile((1 + self.level) / 2),
            "irr": math.exp(of.mean),
            "percent_change": 100 * math.expm1(of.mean),
            "probability_reduced": of.below(0.0),
        }

    def probability(self, *, below: float = 1.0, new_agency: bool = False) -> float:
        """Give the probability that the rate ratio, on average or in a new agency, is below a value."""
        if not below > 0:
            raise DataError(f"below = {below}: a rate ratio is above 0; below = 0.9 asks for a fall of 10 %.")
        return (self.new_agency if new_agency else self.effect).below(math.log(below))

    def tau_quantile(self, probability: float) -> float:
        """Give a quantile of the heterogeneity, the standard deviation of log rate ratios between trials."""
        below = np.cumsum(self.tau_weights) - self.tau_weights / 2
        return float(np.interp(probability, below, self.tau))

    def as_prior(self) -> dict[str, Prior]:
        """Give the prior of a new agency's effect, for ``fit`` and for ``[analysis.priors]``.

        A normal distribution with the mean and the standard deviation of :attr:`new_agency`: earlier trials
        count for less the more they differ (the meta-analytic-predictive prior of Neuenschwander, Capkun-
        Niggli, Branson & Spiegelhalter 2010).
        """
        return {"effect": {"normal": [self.new_agency.mean, self.new_agency.sd]}}

    def __repr__(self) -> str:
        lines = [f"{len(self.trials)} trials, {100 * self.level:g} % intervals"]
        for row in self.frame.to_dict("records"):
            low, high = (100 * math.expm1(row[end]) for end in ("conf_low", "conf_high"))
            lines.append(
                f"  {row['term']}: {row['percent_change']:+.1f} % ({low:+.1f} to {high:+.1f}), "
                f"probability of a reduction {row['probability_reduced']:.3f}"
            )
        ends = [self.tau_quantile(p) for p in (0.5, (1 - self.level) / 2, (1 + self.level) / 2)]
        lines.append("  standard deviation between trials: {:.2f} ({:.2f} to {:.2f})".format(*ends))
        return "\n".join([*lines, *([f"  {self.warning}"] if self.warning else [])])


def meta(
    effects_frame: "pd.DataFrame", *, priors: Mapping[str, object] | None = None, level: float = 0.95
) -> Meta:
    """Combine trials' log rate ratios, and predict the effect in a new agency.

    Parameters
    ----------
    effects_frame : DataFrame
        One row per trial: ``estimate`` (log rate ratio), ``std_error``, and ``trial`` (its name; absent: the
        index). Of an :class:`~rct.Estimates`' frame, one row and the name of the trial beside it.
    priors : mapping, optional
        ``{"effect": {"normal": [mean, sd]}, "tau": {"half-normal": [sd]} or {"half-cauchy": [scale]},
        "trials": {"normal": []} or {"student-t": [df]}}``. With Student's t, a trial that stands apart moves
        the mean less. Defaults: effect normal(0, 0.5), tau half-normal(0.5), trials normal.
    level : float
        Probability inside the intervals.

    Returns
    -------
    Meta
        Exact for normal trials, up to quadrature; for Student's t, standard deviations hold to .2 %.

    Raises
    ------
    DataError
        When a column is missing, an estimate is no number or a standard error is not above 0.
    EstimationError
        For an unknown term or distribution.
    """
    if not 0 < level < 1:
        raise EstimationError(f"level = {level}: a probability between 0 and 1 is needed, such as 0.95.")
    names, y, s = trials_of(effects_frame)
    used = _complete(priors)
    mean, sd = used["effect"]["normal"]
    ((kind, numbers),) = used["trials"].items()
    log_prior = _log_prior_of_tau(used["tau"])
    if kind == "normal":
        found = normal_posterior(y, s, mean, sd, log_prior)
    else:
        found = student_t_posterior(y, s, mean, sd, numbers[0], *tau_grid(y, s, log_prior, NODES_OF_T))
    return Meta(names, y, s, used, level, *found, _warning(len(y)))


def trials_of(frame: "pd.DataFrame") -> tuple[tuple[str, ...], Floats, Floats]:
    """Give names, log rate ratios and standard errors; refuse what is no frame of effects."""
    lacking = [column for column in ("estimate", "std_error") if column not in frame.columns]
    if lacking:
        raise DataError(
            f"the frame of effects lacks {', '.join(lacking)}; it needs estimate (a log rate ratio) and "
            "std_error, one row per trial."
        )
    if not len(frame):
        raise DataError("the frame of effects has no row; one per trial is needed.")
    _require_one_effect_a_trial(frame)
    names = tuple(str(name) for name in (frame["trial"] if "trial" in frame.columns else frame.index))
    try:
        y, s = (frame[column].to_numpy(float) for column in ("estimate", "std_error"))
    except (TypeError, ValueError) as wrong:
        raise DataError(
            f"the frame of effects holds an estimate or std_error that is no number: {wrong}."
        ) from None
    for name, estimate, error in zip(names, y, s, strict=True):
        if not math.isfinite(estimate) or not (error > 0 and math.isfinite(error)):
            raise DataError(
                f"trial {name}: estimate {estimate:g} with std_error {error:g}; a log rate ratio and a "
                "standard error above 0 are needed (no standard error: leave the trial out and say so)."
            )
    return names, y, s


def _require_one_effect_a_trial(frame: "pd.DataFrame") -> None:
    """Refuse rows that are not one independent estimate a trial, such as all of a trial's estimates."""
    if "trial" not in frame.columns and "outcome" in frame.columns and len(frame) > 1:
        raise DataError(
            "the frame of effects has outcomes but no column trial: several rows of one trial share their "
            "officers. Keep one row per trial, and name the trial of each."
        )
    if "scale" in frame.columns and (frame["scale"] != "log").any():
        raise DataError("the frame of effects holds differences of rates; log rate ratios are needed.")
    if "trial" in frame.columns and frame["trial"].duplicated().any():
        twice = frame["trial"][frame["trial"].duplicated()].iloc[0]
        raise DataError(f"trial {twice!r} stands in several rows, as if they were trials; keep one of them.")


def _complete(asked: Mapping[str, object] | None) -> dict[str, Prior]:
    asked = dict(asked or {})
    known = {term: checked_prior(term, prior, DISTRIBUTIONS) for term, prior in asked.items()}
    (df,) = known.get("trials", {}).get("student-t", (math.inf,))
    if not df > 2:
        raise EstimationError(
            f"priors: trials, student-t: df = {df:g}, but up to 2 the effects of trials have no standard "
            "deviation; 4 is usual."
        )
    return {term: known.get(term, default) for term, default in DEFAULTS.items()}


def _log_prior_of_tau(prior: Prior) -> Callable[[Floats], Floats]:
    ((kind, (scale,)),) = prior.items()
    if kind == "half-normal":
        return lambda tau: -((tau / scale) ** 2) / 2
    return lambda tau: -np.log1p((tau / scale) ** 2)


def tau_grid(
    y: Floats, s: Floats, log_prior: Callable[[Floats], Floats], nodes: int
) -> tuple[Floats, Floats]:
    """Give nodes of tau on (0, inf) and the log of quadrature weight times prior.

    Gauss-Legendre in x = tau / (tau + scale), under which algebraic tails vanish at x = 1.
    """
    scale = float(np.median(s) + np.std(y))
    at, weight = np.polynomial.legendre.leggauss(nodes)
    x = (at + 1) / 2
    tau = scale * x / (1 - x)
    return tau, np.log(weight) - 2 * np.log1p(-x) + log_prior(tau)


def normal_posterior(
    y: Floats, s: Floats, mean: float, sd: float, log_prior: Callable[[Floats], Floats]
) -> tuple[NormalMixture, NormalMixture, tuple[NormalMixture, ...], Floats, Floats]:
    """Give the mean effect, a new place's, each trial's own, and tau with its weights."""
    tau, log_weight = tau_grid(y, s, log_prior, NODES)
    w = 1 / (s**2 + tau[:, None] ** 2)
    precision = 1 / sd**2 + w.sum(axis=1)
    centre = (mean / sd**2 + w @ y) / precision
    # log p(y | tau) = log p(y | mu = centre) + log p(centre) - log p(centre | y)
    fit = (np.log(w) - w * (y - centre[:, None]) ** 2).sum(axis=1) - ((centre - mean) / sd) ** 2
    log_weight = log_weight + (fit - np.log(precision)) / 2
    weights = np.exp(log_weight - log_weight.max())
    weights /= weights.sum()
    variance = 1 / precision
    own = []
    for j in range(len(y)):
        trust = tau**2 * w[:, j]  # share of the trial's own estimate
        at = trust * y[j] + (1 - trust) * centre
        own.append(NormalMixture(weights, at, np.sqrt(trust * s[j] ** 2 + (1 - trust) ** 2 * variance)))
    return (
        NormalMixture(weights, centre, np.sqrt(variance)),
        NormalMixture(weights, centre, np.sqrt(variance + tau**2)),
        tuple(own),
        tau,
        weights,
    )


def _warning(trials: int) -> str:
    if trials == 1:
        return "one trial says nothing about differences between places: tau is its prior alone"
    if trials < FEW:
        return f"{trials} trials say little about differences between places: the prior of tau decides much"
    return ""
