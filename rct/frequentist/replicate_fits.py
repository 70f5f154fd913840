"""Many small Poisson fits at once: cluster × period counts of simulated trials, with CR2 variances.

The model of `poisson` on cluster totals (an effect for every cluster and period), Newton steps and variances
carried out for all replicates together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.inference.residual_covariance import EIGENVALUE_TOLERANCE
from rct.frequentist.treatment_terms import stand_ins

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ITERATIONS = 60
STEP_TOLERANCE = 1e-10
LONGEST_STEP = 3.0
RIDGE = 1e-13
INFLATION = 1e9


@dataclass(frozen=True)
class ReplicateFits:
    """One linear combination of treatment coefficients in every replicate; NaN where it has no estimate.

    estimate, std_error, df : (replicates,) log rate ratio, CR2 standard error, Satterthwaite df
    """

    estimate: NDArray[np.float64]
    std_error: NDArray[np.float64]
    df: NDArray[np.float64]

    def p_values(self) -> NDArray[np.float64]:
        """Two-sided p-values (replicates,) of no effect."""
        from scipy.special import stdtr

        return np.asarray(2 * stdtr(self.df, -np.abs(self.estimate / self.std_error)))


def exposure_time_design(starts: NDArray[np.integer], dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns for every exposure time.

    Parameters
    ----------
    starts : (…, clusters) first treated period (1…), 0 = never
    dose : (…, clusters, periods), NaN in transition

    Returns
    -------
    (…, clusters, periods, longest) with the dose where exposure time is 1, 2, …, longest
    """
    period = np.arange(1, dose.shape[-1] + 1)
    exposure_time = np.where(starts[..., None] > 0, period - starts[..., None] + 1, 0)
    longest = max(int(exposure_time.max(initial=1)), 1)
    member = exposure_time[..., None] == np.arange(1, longest + 1)
    return np.where(np.isnan(dose)[..., None], np.nan, member * dose[..., None])


def fit_batch(
    counts: NDArray[np.float64],
    design: NDArray[np.float64],
    contrast: NDArray[np.float64],
    *,
    exposure: NDArray[np.float64] | None = None,
    errors: bool = True,
) -> ReplicateFits:
    """Fit every replicate.

    Parameters
    ----------
    counts : (replicates, clusters, periods)
    design : (replicates, clusters, periods, terms)
        Treatment columns; NaN masks a cluster-period (transition).
    contrast : (terms,)
        Which combination is wanted: [1.] for the constant effect, twelve times 1/12 and then zeros for the
        mean over exposure times 1 to 12.
    exposure : (clusters, periods), optional
    errors : bool
        Whether standard errors and their df are wanted, which take most of the time; NaN where not.

    Returns
    -------
    ReplicateFits
        As in `poisson`, a term of the contrast without any event shares a neighbour's coefficient, and
        another one is left out with its rows; a replicate without an event under treatment, or in which
        fewer than two clusters have events, is NaN.
    """
    counts = np.asarray(counts, dtype=float)
    design, wanted_terms = _pooled(counts, design, contrast)
    weight, terms, active = _estimable(counts, design, exposure)
    counts = np.where(weight > 0, counts, 0.0)
    coefficients, fitted, converged = _newton(counts, weight, terms, active)
    full = np.concatenate([np.zeros((len(counts), counts.shape[2])), wanted_terms], axis=1)
    estimate = (coefficients * full).sum(axis=1)
    if errors:
        std_error, df, identified = _bell_mccaffrey(counts, fitted, terms, active, full)
    else:
        identified = _sound(_information(fitted, terms, active)[0])
        std_error = df = np.full(len(counts), np.nan)
    wanted = (active | (full == 0)).all(axis=1) & converged & identified
    wanted &= np.count_nonzero(counts.sum(axis=2), axis=1) >= 2
    return ReplicateFits(*(np.where(wanted, x, np.nan) for x in (estimate, std_error, df)))


def _pooled(
    counts: NDArray[np.float64], design: NDArray[np.float64], contrast: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the design in which wanted terms without an event have joined a neighbour, and each contrast."""
    window = np.flatnonzero(contrast)
    seen = ~np.isnan(design).any(axis=3)
    events = np.einsum("rct,rctk->rk", np.where(seen, counts, 0.0), np.nan_to_num(design) != 0)
    found = stand_ins(events[:, window] > 0)
    target = np.broadcast_to(np.arange(len(contrast)), events.shape).copy()
    target[:, window] = np.where(found >= 0, window[found], target[:, window])
    joins = (target[:, :, None] == np.arange(len(contrast))).astype(float)
    return design @ joins[:, None], contrast @ joins


def _estimable(
    counts: NDArray[np.float64], design: NDArray[np.float64], exposure: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Weights (zero where a row has no likelihood), terms without NaN, and which columns have a slope."""
    weight = np.broadcast_to(np.ones(1) if exposure is None else exposure, counts.shape)
    seen = np.asarray(~np.isnan(design).any(axis=3))
    terms = np.where(seen[..., None], design, 0.0)
    events = np.einsum("rct,rctk->rk", np.where(seen, counts, 0.0), terms != 0)
    lost = ((terms != 0) & (events <= 0)[:, None, None, :]).any(axis=3)
    weight = np.where(seen & ~lost, weight, 0.0)
    in_period = np.einsum("rct->rt", np.where(weight > 0, counts, 0.0)) > 0
    weight = weight * in_period[:, None, :]
    # The first period with events is the reference of the others.
    slopes = in_period & (np.cumsum(in_period, axis=1) > 1)
    return weight, terms, np.concatenate([slopes, events > 0], axis=1)


def _newton(
    counts: NDArray[np.float64],
    weight: NDArray[np.float64],
    terms: NDArray[np.float64],
    active: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Coefficients of periods and terms, fitted counts, and whether the steps came to an end.

    It starts where there is no treatment and the weights are equal, and goes on with the replicates that
    still move.
    """
    totals = counts.sum(axis=2, keepdims=True)
    coefficients = _without_treatment(counts, active)
    fitted = _expected(weight, terms, coefficients, totals)
    moving = np.arange(len(counts))
    for _ in range(MAX_ITERATIONS):
        own, x, on = fitted[moving], terms[moving], active[moving]
        information, _sums = _information(own, x, on)
        _diagonal(information)[...] *= 1 + RIDGE
        apart = counts[moving] - own
        score = np.concatenate([apart.sum(axis=1), np.einsum("rct,rctk->rk", apart, x)], axis=1) * on
        step = _solved(information, score)
        longest = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(longest, LONGEST_STEP))[:, None]
        coefficients[moving] += step
        fitted[moving] = _expected(weight[moving], x, coefficients[moving], totals[moving])
        moving = moving[~(longest < STEP_TOLERANCE)]
        if not len(moving):
            break
    return coefficients, fitted, ~np.isin(np.arange(len(counts)), moving)


def _without_treatment(counts: NDArray[np.float64], active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logs of the periods' totals relative to the first one that has any; no effect of any term."""
    by_period = counts.sum(axis=1)
    level = np.log(np.where(by_period > 0, by_period, 1.0))
    reference = np.take_along_axis(level, (by_period > 0).argmax(axis=1)[:, None], axis=1)
    start = np.zeros(active.shape)
    start[:, : counts.shape[2]] = level - reference
    return np.asarray(start * active)


def _solved(information: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newton steps (replicates, columns); none where the information is singular, which is judged later."""
    try:
        return np.asarray(np.linalg.solve(information, score[..., None])[..., 0], dtype=float)
    except np.linalg.LinAlgError:
        sound = _sound(information)
        safe = np.where(sound[:, None, None], information, np.eye(information.shape[1]))
        return np.asarray(np.linalg.solve(safe, (score * sound[:, None])[..., None])[..., 0], dtype=float)


def _sound(information: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say for each replicate whether its information is finite and, scaled, far from singular."""
    scale = np.diagonal(information, axis1=1, axis2=2)
    finite = np.asarray(np.isfinite(information).all(axis=(1, 2)) & (scale > 0).all(axis=1))
    own = np.where(finite[:, None, None], information, np.eye(information.shape[1]))
    scale = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    values = np.linalg.eigvalsh(own / scale[:, :, None] / scale[:, None, :])
    return np.asarray(finite & (values[:, 0] * INFLATION > values[:, -1]))


def _expected(
    weight: NDArray[np.float64],
    terms: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> NDArray[np.float64]:
    bounded, periods = np.clip(coefficients, -50, 50), weight.shape[2]
    linear = (terms @ bounded[:, None, periods:, None])[..., 0] + bounded[:, None, :periods]
    rate = weight * np.exp(linear - linear.max(axis=2, keepdims=True))
    sums = rate.sum(axis=2, keepdims=True)
    return np.asarray(rate * (totals / np.where(sums > 0, sums, 1.0)))


def _information(
    fitted: NDArray[np.float64], terms: NDArray[np.float64], active: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Information of periods and terms (replicates, columns, columns), one for each inactive column.

    The columns of periods are zeros and ones, so that their part needs no products. Also the sums of
    mu × column in each cluster (replicates, clusters, columns).
    """
    replicates, clusters, periods, width = terms.shape
    weighted = terms * fitted[..., None]
    sums = np.concatenate([fitted, weighted.sum(axis=2)], axis=2)
    totals = fitted.sum(axis=2)[..., None]
    information = -sums.transpose(0, 2, 1) @ (sums / np.where(totals > 0, totals, 1.0))
    _diagonal(information[:, :periods, :periods])[...] += fitted.sum(axis=1)
    shared = weighted.sum(axis=1)
    information[:, :periods, periods:] += shared
    information[:, periods:, :periods] += shared.transpose(0, 2, 1)
    flat = (replicates, clusters * periods, width)
    information[:, periods:, periods:] += terms.reshape(flat).transpose(0, 2, 1) @ weighted.reshape(flat)
    both = active[:, :, None] & active[:, None, :]
    information = np.where(both, information, 0.0)
    _diagonal(information)[...] += ~active
    return information, sums


def _bell_mccaffrey(
    counts: NDArray[np.float64],
    fitted: NDArray[np.float64],
    terms: NDArray[np.float64],
    active: NDArray[np.bool_],
    contrast: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """CR2 standard error and Satterthwaite df of each contrast; formulas as in `cluster_robust`.

    With the cluster effects swept out the columns of a cluster are [I − 1 m', z]: m its shares of events by
    period, z its terms less their means, so that products with them need no table of all columns.
    """
    periods = fitted.shape[2]
    information, sums = _information(fitted, terms, active)
    sound = _sound(information)
    information[~sound] = np.eye(active.shape[1])
    inverse = np.linalg.inv(information) * (active[:, :, None] & active[:, None, :])
    totals = fitted.sum(axis=2)
    safe = np.where(totals > 0, totals, 1.0)[..., None]
    mean = sums / safe
    share, z = mean[..., :periods], terms - mean[:, :, None, periods:]

    def swept(wide: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the columns of each cluster times a matrix, (replicates, clusters, periods, its columns)."""
        own = wide[:, :periods]
        return np.asarray(own[:, None] - (share @ own)[:, :, None] + z @ wide[:, None, periods:])

    influence = swept(inverse @ contrast[..., None])[..., 0]
    through = swept(inverse)
    core = through[..., :periods] + through[..., periods:] @ z.transpose(0, 1, 3, 2)
    core += 1 / safe[..., None] - through[..., :periods] @ share[..., None]
    influence = _response_scale_root(fitted, core, influence)
    variance = ((influence * (counts - fitted)).sum(axis=2) ** 2).sum(axis=1)
    weighted = influence * fitted
    whole = weighted.sum(axis=2)
    loading = np.concatenate(
        [weighted - whole[..., None] * share, (weighted[..., None, :] @ z)[..., 0, :]], axis=2
    )
    covariance = -loading @ inverse @ loading.transpose(0, 2, 1)
    _diagonal(covariance)[...] += (influence * weighted).sum(axis=2) - whole**2 / safe[..., 0]
    trace = np.trace(covariance, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = trace**2 / (covariance**2).sum(axis=(1, 2))
    return np.sqrt(variance), df, sound & (variance > 0)


def _response_scale_root(
    fitted: NDArray[np.float64], core: NDArray[np.float64], vector: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Apply A = D B^(-1/2) D of every cluster to a vector (replicates, clusters, periods)."""
    stretched = fitted**1.5
    residual = -stretched[..., :, None] * core * stretched[..., None, :]
    _diagonal(residual)[...] += fitted**2
    values, vectors = np.linalg.eigh(residual)
    tiny = np.finfo(float).tiny
    positive = values > EIGENVALUE_TOLERANCE * np.maximum(values[..., -1:], tiny)
    power = np.where(positive, np.where(positive, values, 1.0) ** -0.5, 0.0)
    root_mu = np.sqrt(fitted)
    rotated = np.einsum("rcts,rct->rcs", vectors, root_mu * vector)
    return np.asarray(root_mu * np.einsum("rcts,rcs->rct", vectors, power * rotated))


def _diagonal(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Writable view of the diagonals of the last two axes."""
    return np.einsum("...ii->...i", matrices)
