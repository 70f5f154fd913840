"""Trials whose effects follow Student's t: one that stands apart counts for less.

theta_j ~ t_df(mu, tau) is N(mu, tau² / q_j) with q_j ~ Gamma(df / 2, df / 2). Given mu and tau the q_j are
integrated by the trapezoidal rule in log q, where the integrand is smooth and falls off fast at both ends;
mu lies on a grid, for each tau its own (after Baker & Jackson 2008, "A new approach to outliers in
meta-analysis", with quadrature instead of their maximum).
"""

import numpy as np

from rct.bayesian.normal_mixture import Floats, NormalMixture

NODES_OF_Q = 48
STEPS_OF_MU = 20  # to a standard deviation
REACH = 7.0


def student_t_posterior(
    y: Floats, s: Floats, mean: float, sd: float, df: float, tau: Floats, log_weight: Floats
) -> tuple[NormalMixture, NormalMixture, tuple[NormalMixture, ...], Floats, Floats]:
    """Give the mean effect, a new place's, each trial's own, and tau with its weights.

    Parameters
    ----------
    y, s
        Estimates and standard errors, (trials,).
    mean, sd
        Of the normal prior of mu.
    df
        Degrees of freedom of the t distribution.
    tau, log_weight
        Grid of tau, and the log of its quadrature weight times prior.
    """
    q, log_q = _mixing(df)
    parts = []
    for t, lw in zip(tau, log_weight, strict=True):
        mu, step = _grid_of_mu(y, s, mean, sd, float(t))
        likelihood = _by_q(y, s, mu, t, q, log_q)
        each = np.logaddexp.reduce(likelihood, axis=2)
        log_mass = lw + np.log(step / sd) + each.sum(axis=1) - ((mu - mean) / sd) ** 2 / 2
        parts.append((np.full(len(mu), t), mu, np.full(len(mu), step), log_mass))
    taus, mus, steps, log_masses = (np.concatenate(column) for column in zip(*parts, strict=True))
    mass = np.exp(log_masses - log_masses.max())
    mass /= mass.sum()
    keep = mass > mass.max() * 1e-9
    taus, mus, steps, kept = taus[keep], mus[keep], steps[keep], mass[keep] / mass[keep].sum()
    node = np.concatenate([np.full(len(mu), i) for i, (_, mu, _, _) in enumerate(parts)])
    return (
        NormalMixture(kept, mus, steps).compressed(),
        _new_place(kept, mus, steps, taus, q, log_q),
        tuple(_own(j, y, s, kept, mus, steps, taus, q, log_q) for j in range(len(y))),
        tau,
        np.bincount(node, mass, minlength=len(tau)).astype(float),
    )


def _mixing(df: float) -> tuple[Floats, Floats]:
    """Give nodes of q and the logs of their weights, which sum to one."""
    half = df / 2
    x = np.linspace(-25 / half, np.log1p(25 / half), NODES_OF_Q)
    log_q = half * (x - np.exp(x))
    return np.exp(x), log_q - np.logaddexp.reduce(log_q)


def _grid_of_mu(y: Floats, s: Floats, mean: float, sd: float, tau: float) -> tuple[Floats, float]:
    """Give a grid over all that the trials and the prior allow, in steps of the least possible spread."""
    spread = (1 / sd**2 + (1 / (s**2 + tau**2)).sum()) ** -0.5
    low, high = (end(y) + side * REACH * spread for end, side in ((np.min, -1), (np.max, 1)))
    low, high = min(low, mean), max(high, mean)
    points = int(np.ceil((high - low) / spread * STEPS_OF_MU)) + 1
    return np.linspace(low, high, points), float((high - low) / (points - 1))


def _by_q(y: Floats, s: Floats, mu: Floats, tau: float, q: Floats, log_q: Floats) -> Floats:
    """Give log p(y_j, q_j | mu, tau), (mu, trials, q)."""
    variance = s[:, None] ** 2 + tau**2 / q
    apart = (y - mu[:, None])[:, :, None] ** 2 / variance
    return log_q - (np.log(2 * np.pi * variance) + apart) / 2


def _new_place(
    mass: Floats, mu: Floats, step: Floats, tau: Floats, q: Floats, log_q: Floats
) -> NormalMixture:
    sds = np.sqrt(step[:, None] ** 2 + tau[:, None] ** 2 / q)
    weights = mass[:, None] * np.exp(log_q)
    return NormalMixture(weights.ravel(), np.repeat(mu, len(q)), sds.ravel()).compressed()


def _own(
    j: int,
    y: Floats,
    s: Floats,
    mass: Floats,
    mu: Floats,
    step: Floats,
    tau: Floats,
    q: Floats,
    log_q: Floats,
) -> NormalMixture:
    between = tau[:, None] ** 2 / q
    variance = s[j] ** 2 + between
    log_given = log_q - (np.log(variance) + (y[j] - mu[:, None]) ** 2 / variance) / 2
    given = np.exp(log_given - np.logaddexp.reduce(log_given, axis=1, keepdims=True))
    trust = between / variance
    at = trust * y[j] + (1 - trust) * mu[:, None]
    sds = np.sqrt(trust * s[j] ** 2 + ((1 - trust) * step[:, None]) ** 2)
    return NormalMixture((mass[:, None] * given).ravel(), at.ravel(), sds.ravel()).compressed()
