"""What another prior of the effect would have said, from the same draws by importance weights.

Power-scaling raises the prior, or the likelihood, to a power alpha near one; how fast the posterior then
moves is its sensitivity (Kallioinen, Paananen, Bürkner & Vehtari 2024, "Detecting and diagnosing prior and
likelihood sensitivity with power-scaling", equations 5 to 11). Draws of the effect are weighted by the ratio
of priors.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.cell_rates import Floats
from rct.bayesian.evidence_priors import reference_priors
from rct.bayesian.pareto_smoothing import LARGEST_K, pareto_k
from rct.bayesian.priors import effect_prior
from rct.bayesian.unit_likelihood import unit_log_likelihood

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior

ALPHA = 1.01
SENSITIVE = 0.05
LIKELIHOOD_DRAWS = 2000


def prior_table(
    posterior: "Posterior", *, outcome: str, arm: str, ratio: float = 0.8
) -> list[dict[str, Any]]:
    """Give the effect under other priors of it: weaker, stronger, a sceptic's, an enthusiast's.

    Parameters
    ----------
    ratio : float
        The rate ratio hoped for, which makes the two reference priors (:func:`reference_priors`).

    Returns
    -------
    list of dict
        ``prior`` (its name), ``mean``, ``sd`` (of the normal prior), ``estimate``, ``conf_low``,
        ``conf_high`` (log scale), ``probability_reduced``, ``pareto_k`` and ``reliable``: whether k is below
        .7, so that these draws can answer for that prior at all.
    """
    draws = posterior.effect_draws(outcome, arm=arm)
    mean, sd = effect_prior(posterior.priors, posterior.outcomes.index(outcome))
    named = {
        "as fitted": (mean, sd),
        "half as strong": (mean, sd * math.sqrt(2)),
        "twice as strong": (mean, sd / math.sqrt(2)),
    } | {name: tuple(prior["effect"]["normal"]) for name, prior in reference_priors(ratio=ratio).items()}
    return [_under(name, other, (mean, sd), draws, posterior.level) for name, other in named.items()]


def _under(
    name: str, other: tuple[float, ...], own: tuple[float, float], draws: Floats, level: float
) -> dict[str, Any]:
    log_weights = _log_normal(draws, *other) - _log_normal(draws, *own)
    k = -math.inf if other == own else pareto_k(log_weights)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    order = draws.argsort()
    # Of equal weights these are numpy's quantiles, those of the posterior itself.
    below = (np.cumsum(weights[order]) - weights[order]) / (1 - weights[order[-1]])
    low, high = np.interp([(1 - level) / 2, (1 + level) / 2], below, draws[order])
    return {
        "prior": name,
        "mean": other[0],
        "sd": other[1],
        "estimate": float(weights @ draws),
        "conf_low": float(low),
        "conf_high": float(high),
        "probability_reduced": float(weights @ (draws < 0)),
        "pareto_k": k if math.isfinite(k) else None,
        "reliable": bool(k < LARGEST_K),
    }


def _log_normal(values: Floats, mean: float, sd: float) -> Floats:
    return -(((values - mean) / sd) ** 2) / 2


def power_scaling(posterior: "Posterior", panel: "Panel", *, outcome: str, arm: str) -> Mapping[str, float]:
    """Give how fast the posterior of an effect moves when its prior, or the likelihood, is scaled.

    Returns
    -------
    dict
        ``prior`` and ``likelihood``: above .05 the one matters. Of an injury in the model "joint" the prior
        is that of both parts of its effect. A prior that matters beside a likelihood
        that does not is a posterior made by its prior.
    """
    likelihood = unit_log_likelihood(posterior, panel, outcome, most_draws=LIKELIHOOD_DRAWS).sum(axis=1)
    draws = rates_effect(posterior, outcome, arm, len(likelihood))
    first = posterior.outcomes[0]
    prior = np.zeros(len(draws))
    if posterior.model == "joint" and outcome != first:
        on_force = rates_effect(posterior, first, arm, len(likelihood))
        prior += _log_normal(draws - on_force, *posterior.priors["effect_given"]["normal"])
    else:
        on_force = draws
    prior += _log_normal(on_force, *posterior.priors["effect"]["normal"])
    return {
        "prior": scaling_sensitivity(draws, prior),
        "likelihood": scaling_sensitivity(draws, likelihood),
    }


def rates_effect(posterior: "Posterior", outcome: str, arm: str, size: int) -> Floats:
    """Give the draws of an effect, thinned as the units' rates were."""
    draws = posterior.effect_draws(outcome, arm=arm)
    sizes = posterior.groups["posterior"].sizes
    by_chain = draws.reshape(sizes["chain"], sizes["draw"])
    step = -(-sizes["draw"] // (size // sizes["chain"]))
    return by_chain[:, ::step].ravel()


def scaling_sensitivity(draws: Floats, log_density: Floats) -> float:
    """Give the mean distance, per doubling, that scaling a log-density by 1.01 and 1 / 1.01 brings about."""
    apart = [
        _distance(draws, (alpha - 1) * (log_density - log_density.mean())) for alpha in (1 / ALPHA, ALPHA)
    ]
    return float(sum(apart) / 2 / math.log2(ALPHA))


def _distance(draws: Floats, log_weights: Floats) -> float:
    """Give the symmetric cumulative Jensen-Shannon distance between plain and weighted draws."""
    order = draws.argsort()
    x = draws[order]
    weights = np.exp(log_weights - log_weights.max())[order]
    found = max(_one_way(x, weights / weights.sum()), _one_way(-x[::-1], (weights / weights.sum())[::-1]))
    return math.sqrt(max(found, 0.0))


def _one_way(x: Floats, weights: Floats) -> float:
    step = np.diff(x)
    p = np.arange(1, len(x)) / len(x)
    q = np.cumsum(weights)[:-1]
    p_area, q_area = step @ p, step @ q
    middle = (p + q) / 2
    p_q = step @ (p * (np.log2(p) - np.log2(middle))) + 0.5 / math.log(2) * (q_area - p_area)
    q_p = step @ (q * (np.log2(q) - np.log2(middle))) + 0.5 / math.log(2) * (p_area - q_area)
    return float((p_q + q_p) / (p_area + q_area))
