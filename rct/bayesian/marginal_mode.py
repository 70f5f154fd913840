"""The mode of the marginal Poisson model and its curvature there, by Newton's method on arrays.

Many data sets at once lie along the first axis (the outcomes of a fit, the replicates of a power study). With
alpha_k the log rates of the periods, beta_a the log rate ratios and l = log phi, the log-density of
(alpha, beta, l) is that of :mod:`rct.bayesian.marginal_poisson` plus the priors', and with S_p a profile's
expected events, c_p = phi n_p + Y_p, r_p = c_p / (phi + S_p) and V_p the gradient of S_p:

    gradient:  X' y - sum r_p V_p
    Hessian:   - sum r_p dV_p + sum r_p V_p V_p' / (phi + S_p)

The derivatives with respect to l use digamma and trigamma functions; all are exact.
"""

from dataclasses import dataclass

import numpy as np

from rct.bayesian.totals import Floats, Integers, Totals
from rct.errors import ConvergenceError

STEPS = 100
HALVINGS = 40
SMALL = 1e-10


@dataclass(frozen=True, eq=False)
class ProfileTotals:
    """Totals as Newton needs them, data sets along the first axis (:class:`rct.bayesian.totals.Totals`).

    Attributes
    ----------
    counts
        Events, (sets, paths, periods).
    doses
        Dose of each treatment arm, (arms, sets, paths, periods).
    path
        Path of each profile, (sets, profiles).
    exposure
        Exposure of one unit of the profile, (sets, profiles, periods).
    units, events
        Units and all their events, (sets, profiles).
    total, total_units
        The distinct numbers of events of a unit, and how many units have each, (sets, totals).
    """

    counts: Floats
    doses: Floats
    path: Integers
    exposure: Floats
    units: Floats
    events: Floats
    total: Floats
    total_units: Floats

    @property
    def one_profile_a_path(self) -> bool:
        """Whether profiles and paths are the same, in the same order, as with equal exposures."""
        paths = self.counts.shape[1]
        return self.path.shape[1] == paths and bool((self.path == np.arange(paths)).all())


def profile_totals(totals: Totals, arms: int) -> ProfileTotals:
    """Lay the strips of profiles end to end; places of a strip that hold no unit are left out if they can."""
    sets, strips, width, periods = totals.exposure.shape
    path, exposure, units, events = (
        np.repeat(totals.path, width, axis=1),
        totals.exposure.reshape(sets, strips * width, periods),
        totals.units.reshape(sets, -1),
        totals.events.reshape(sets, -1),
    )
    used = (units > 0).any(axis=0)
    return ProfileTotals(
        counts=totals.counts,
        doses=np.stack([totals.marks[f"dose_{arm}"] for arm in range(arms)]),
        path=path[:, used],
        exposure=exposure[:, used],
        units=units[:, used],
        events=events[:, used],
        total=totals.total,
        total_units=totals.total_units,
    )


@dataclass(frozen=True, eq=False)
class ModePrior:
    """Priors as Newton needs them.

    Attributes
    ----------
    periods
        Which log rate each period has, (periods, rates): the identity, or a column of ones.
    rate_mean, rate_precision
        Normal prior of the log rates, (rates,) and (rates, rates).
    effect
        Mean and standard deviation of each log rate ratio.
    heterogeneity
        Shape and rate of the gamma prior of phi.
    """

    periods: Floats
    rate_mean: Floats
    rate_precision: Floats
    effect: tuple[float, float]
    heterogeneity: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Mode:
    """Mode and covariance of (log rates, log rate ratios, log phi), (sets, parameters[, parameters])."""

    mean: Floats
    covariance: Floats
    arms: int

    @property
    def effect(self) -> Floats:
        """Log rate ratios, (sets, arms)."""
        return self.mean[:, -1 - self.arms : -1]

    @property
    def effect_sd(self) -> Floats:
        """Their standard deviations, (sets, arms)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)[:, -1 - self.arms : -1])


def find_mode(totals: ProfileTotals, prior: ModePrior) -> Mode:
    """Climb to the mode.

    Raises
    ------
    ConvergenceError
        When a data set has no mode that 100 steps find.
    """
    at = _start(totals, prior)
    value = log_density(totals, prior, at)
    for _ in range(STEPS):
        gradient, hessian = derivatives(totals, prior, at)
        step = _uphill(gradient, hessian)
        at, gained, value = _climb(totals, prior, at, step, value)
        if not (gained > SMALL).any():
            break
    else:
        raise ConvergenceError("the posterior mode was not found in 100 steps of Newton's method.")
    _, hessian = derivatives(totals, prior, at)
    covariance: Floats = np.linalg.inv(-hessian).astype(float)
    if not (np.diagonal(covariance, axis1=1, axis2=2) > 0).all():
        raise ConvergenceError("the posterior has no peak with curvature: the data say too little.")
    return Mode(at, covariance, len(totals.doses))


def _start(totals: ProfileTotals, prior: ModePrior) -> Floats:
    """Give the observed log rates, drawn to their mean where events are few; no effect; phi = 1."""
    sets = totals.counts.shape[0]
    exposure = (totals.exposure * totals.units[:, :, None]).sum(axis=1) @ prior.periods
    events = totals.counts.sum(axis=1) @ prior.periods
    overall = events.sum(axis=1, keepdims=True) / exposure.sum(axis=1, keepdims=True)
    rates = np.log((events + 1) / (exposure + 1 / overall))
    return np.hstack([rates, np.zeros((sets, len(totals.doses) + 1))])


def _expected(totals: ProfileTotals, prior: ModePrior, at: Floats) -> tuple[Floats, Floats, Floats]:
    """Give eta (sets, paths, periods), expected events (sets, profiles, periods) and phi (sets, 1)."""
    rates = prior.periods.shape[1]
    eta = (at[:, :rates] @ prior.periods.T)[:, None, :]
    for arm, dose in enumerate(totals.doses):
        eta = eta + at[:, rates + arm, None, None] * dose
    rate = np.exp(eta)
    if not totals.one_profile_a_path:
        rate = np.take_along_axis(rate, totals.path[:, :, None], axis=1)
    return eta, totals.exposure * rate, np.exp(at[:, -1:])


def log_density(totals: ProfileTotals, prior: ModePrior, at: Floats) -> Floats:
    """Give the log-density of parameters, (sets,), up to a constant."""
    from scipy.special import gammaln

    eta, expected, phi = _expected(totals, prior, at)
    rates = prior.periods.shape[1]
    total = expected.sum(axis=2)
    shape, rate = prior.heterogeneity
    mean, sd = prior.effect
    apart = at[:, :rates] - prior.rate_mean
    likelihood = (
        (totals.counts * eta).sum(axis=(1, 2))
        + (totals.total_units * gammaln(phi + totals.total)).sum(axis=1)
        + totals.units.sum(axis=1) * (phi * np.log(phi) - gammaln(phi))[:, 0]
        - ((phi * totals.units + totals.events) * np.log(phi + total)).sum(axis=1)
    )
    return (
        likelihood
        - np.einsum("ri,ij,rj->r", apart, prior.rate_precision, apart) / 2
        - (((at[:, rates:-1] - mean) / sd) ** 2).sum(axis=1) / 2
        + shape * at[:, -1]
        - rate * phi[:, 0]
    )


def derivatives(totals: ProfileTotals, prior: ModePrior, at: Floats) -> tuple[Floats, Floats]:
    """Give gradient (sets, parameters) and Hessian (sets, parameters, parameters)."""
    _, expected, phi = _expected(totals, prior, at)
    rates, arms = prior.periods.shape[1], len(totals.doses)
    linear = rates + arms
    whole = phi + expected.sum(axis=2)
    share = (phi * totals.units + totals.events) / whole
    doses = totals.doses
    if not totals.one_profile_a_path:
        doses = np.stack([np.take_along_axis(dose, totals.path[:, :, None], axis=1) for dose in doses])
    slope = np.concatenate(
        [expected @ prior.periods, *[(expected * d).sum(axis=2, keepdims=True) for d in doses]], axis=2
    )
    weighted = expected * share[:, :, None]

    gradient = np.empty((len(at), linear + 1))
    gradient[:, :rates] = totals.counts.sum(axis=1) @ prior.periods
    gradient[:, rates:-1] = np.stack([(totals.counts * d).sum(axis=(1, 2)) for d in totals.doses], axis=1)
    gradient[:, :-1] -= np.einsum("rp,rpi->ri", share, slope)

    hessian = np.zeros((len(at), linear + 1, linear + 1))
    by_period = weighted.sum(axis=1)
    hessian[:, :rates, :rates] = -(prior.periods.T * by_period[:, None, :]) @ prior.periods
    for a, dose in enumerate(doses):
        treated = weighted * dose
        hessian[:, rates + a, :rates] = -treated.sum(axis=1) @ prior.periods
        hessian[:, :rates, rates + a] = hessian[:, rates + a, :rates]
        for b in range(arms):
            hessian[:, rates + a, rates + b] = -(treated * doses[b]).sum(axis=(1, 2))
    scaled = slope * np.sqrt(share / whole)[:, :, None]
    hessian[:, :-1, :-1] += scaled.transpose(0, 2, 1) @ scaled
    cross = np.einsum("rp,rpi->ri", (share - totals.units) / whole, slope) * phi
    hessian[:, -1, :-1] = hessian[:, :-1, -1] = cross
    _add_heterogeneity(totals, phi, whole, share, gradient, hessian)
    _add_priors(prior, at, phi, gradient, hessian)
    return gradient, hessian


def _add_heterogeneity(
    totals: ProfileTotals, phi: Floats, whole: Floats, share: Floats, gradient: Floats, hessian: Floats
) -> None:
    from scipy.special import digamma, polygamma

    p, units = phi[:, 0], totals.units.sum(axis=1)
    first = (
        (totals.total_units * digamma(phi + totals.total)).sum(axis=1)
        + units * (np.log(p) + 1 - digamma(p))
        - (totals.units * np.log(whole) + share).sum(axis=1)
    )
    second = (
        (totals.total_units * polygamma(1, phi + totals.total)).sum(axis=1)
        + units * (1 / p - polygamma(1, p))
        + ((share - 2 * totals.units) / whole).sum(axis=1)
    )
    gradient[:, -1] = p * first
    hessian[:, -1, -1] = p * first + p**2 * second


def _add_priors(prior: ModePrior, at: Floats, phi: Floats, gradient: Floats, hessian: Floats) -> None:
    rates = prior.periods.shape[1]
    mean, sd = prior.effect
    shape, rate = prior.heterogeneity
    gradient[:, :rates] -= (at[:, :rates] - prior.rate_mean) @ prior.rate_precision
    gradient[:, rates:-1] -= (at[:, rates:-1] - mean) / sd**2
    gradient[:, -1] += shape - rate * phi[:, 0]
    hessian[:, :rates, :rates] -= prior.rate_precision
    diagonal = np.arange(rates, at.shape[1] - 1)
    hessian[:, diagonal, diagonal] -= 1 / sd**2
    hessian[:, -1, -1] -= rate * phi[:, 0]


def _uphill(gradient: Floats, hessian: Floats) -> Floats:
    """Give Newton's step; where the density is not yet concave, a scaled gradient's."""
    step: Floats = np.linalg.solve(-hessian, gradient[:, :, None])[:, :, 0].astype(float)
    down = ~((step * gradient).sum(axis=1) >= 0)
    if down.any():
        scale = np.abs(np.diagonal(hessian, axis1=1, axis2=2)[down]) + 1
        step[down] = gradient[down] / scale
    return step


def _climb(
    totals: ProfileTotals, prior: ModePrior, at: Floats, step: Floats, value: Floats
) -> tuple[Floats, Floats, Floats]:
    """Take the longest of the halved steps that does not lose; give place, gain and value."""
    length = np.ones(len(at))
    for _ in range(HALVINGS):
        there = at + length[:, None] * step
        with np.errstate(over="ignore", invalid="ignore"):
            found = log_density(totals, prior, there)
        worse = ~(found >= value - SMALL)
        if not worse.any():
            return there, found - value, found
        length = np.where(worse, length / 2, length)
    there = np.where(worse[:, None], at, there)
    found = np.where(worse, value, found)
    return there, found - value, found
