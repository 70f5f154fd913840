"""Whether each inference method rejects a log rate ratio at 5 %, on many simulated wedges at once.

The methods of `rct.frequentist` in batch form; a test holds each against the public function, trial by
trial.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtri, stdtrit

from rct.frequentist.inference.score_randomization import null_expectation, score_p_values, share_as_extreme
from rct.frequentist.inference.sign_weights import POINTS, sign_weights
from rct.frequentist.replicate_fits import fit_batch

NORMAL = ndtri(0.975)
DRAWS = 999


def rejections(trials, log_ratios):
    """For each of these log ratios and for each method whether it rejects it, (replicates,)."""
    counts, dose, clusters = trials.counts, trials.given, trials.followed.shape[1]
    fits = fit_batch(counts, dose[..., None], np.ones(1))
    model, officers, divisions = sandwiches(trials, counts, dose, fits.estimate)
    t, factor = stdtrit(clusters - 1, 0.975), np.sqrt(clusters / (clusters - 1))
    margins = {
        "model-based, normal": NORMAL * model,
        "plain sandwich by officer (CR0), normal": NORMAL * officers,
        "plain sandwich by division (CR0), normal": NORMAL * divisions,
        "CR1, t(G-1)": t * factor * divisions,
        "CR2, Satterthwaite": stdtrit(fits.df, 0.975) * fits.std_error,
    }
    return [
        {name: np.abs(fits.estimate - log_ratio) > margin for name, margin in margins.items()}
        | {
            "wild score bootstrap": bootstrap_p_values(counts, dose, log_ratio, DRAWS) <= 0.05,
            "randomization test": rerandomization_p_values(trials, counts, log_ratio) <= 0.05,
        }
        for log_ratio in log_ratios
    ]


def sandwiches(trials, counts, dose, estimate):
    """Model-based standard errors, and plain sandwiches clustered on officers and on divisions.

    A score of officer i is Σ_t x_t (y_it − Y_i p_t), p_t the share of month t in the fitted total of his
    division and x_t the dose there less what division and month effects explain.
    """
    mean = null_expectation(counts, np.exp(estimate[:, None, None] * dose), unit_effects=True)
    swept = less_explained(mean, dose)
    information = (mean * swept * dose).sum(axis=(1, 2))
    centre = (mean * swept).sum(axis=2) / np.maximum(mean.sum(axis=2), 1e-300)
    by_division = ((counts - mean) * swept).sum(axis=2)
    weight = (swept - centre[..., None])[:, trials.member]
    by_officer = np.einsum("rit,rit->ri", trials.officers, weight)
    plain = [np.sqrt((score**2).sum(axis=1)) / information for score in (by_officer, by_division)]
    return information**-0.5, *plain


def less_explained(mean, dose):
    """Residual (replicates, clusters, periods) of the dose after cluster and period effects."""
    in_cluster = np.maximum(mean.sum(axis=2, keepdims=True), 1e-300)
    within = dose - (mean * dose).sum(axis=2, keepdims=True) / in_cluster
    matrix = -mean.swapaxes(1, 2) @ (mean / in_cluster)
    in_period = mean.sum(axis=1)
    np.einsum("rtt->rt", matrix)[...] += in_period
    # The periods' effects are known up to a constant, which the clusters' take up: any will do.
    matrix += in_period.mean(axis=1)[:, None, None]
    slopes = np.linalg.solve(matrix, (mean * within).sum(axis=1)[..., None])[..., 0]
    of_cluster = (mean * slopes[:, None]).sum(axis=2, keepdims=True) / in_cluster
    return within - slopes[:, None] + of_cluster


def bootstrap_p_values(counts, dose, log_ratio, draws):
    """P-values of the wild cluster bootstrap of the score, `weights="auto"`."""
    mean = null_expectation(counts, np.exp(log_ratio * dose), unit_effects=True)
    contributions = ((counts - mean) * less_explained(mean, dose)).sum(axis=2)
    points, exact = _points(counts.shape[1], draws)
    return share_as_extreme(contributions.sum(axis=1), contributions @ points.T, exact=exact)


@lru_cache(maxsize=1)
def _points(clusters, draws):
    signs = sign_weights(clusters, "auto", draws, seed=1)
    return POINTS[signs.name][signs.codes], signs.exact


def rerandomization_p_values(trials, counts, log_ratio):
    """P-values of the randomization test; those of the true ratio give its interval's coverage."""
    return score_p_values(
        counts,
        trials.dose,
        trials.followed,
        trials.draws,
        exposure=np.exp(log_ratio * trials.given),
        probabilities=trials.probabilities,
        exact=trials.exact,
    )
