"""Many small Poisson fits at once: cluster × period counts of simulated trials, with CR2 variances.

The model of `poisson` on cluster totals (an effect for every cluster and period), Newton steps and variances
carried out for all replicates together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.inference.cluster_robust import EIGENVALUE_TOLERANCE
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

    Returns
    -------
    ReplicateFits
        As in `poisson`, a term of the contrast without any event shares a neighbour's coefficient, and
        another one is left out with its rows; a replicate without an event under treatment, or in which
        fewer than two clusters have events, is NaN.
    """
    design, wanted_terms = _pooled(np.asarray(counts, dtype=float), design, contrast)
    weight, terms, active = _estimable(np.asarray(counts, dtype=float), design, exposure)
    counts = np.where(weight > 0, counts, 0.0)
    periods = counts.shape[2]
    columns = np.concatenate(
        [np.broadcast_to(np.eye(periods), (*counts.shape, periods)), terms], axis=3
    )  # replicates, clusters, periods, columns
    coefficients, fitted, converged = _newton(counts, weight, columns, active)
    full = np.concatenate([np.zeros((len(counts), periods)), wanted_terms], axis=1)
    estimate = (coefficients * full).sum(axis=1)
    std_error, df, identified = _bell_mccaffrey(counts, fitted, columns, active, full)
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
    columns: NDArray[np.float64],
    active: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    totals = counts.sum(axis=2, keepdims=True)
    coefficients = np.zeros(active.shape)
    fitted = _expected(weight, columns, coefficients, totals)
    converged = np.zeros(len(counts), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        information, _sums = _information(fitted, columns, active)
        _diagonal(information)[...] *= 1 + RIDGE
        score = np.einsum("rct,rctq->rq", counts - fitted, columns) * active
        step = _solved(information, score)
        longest = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(longest, LONGEST_STEP))[:, None]
        coefficients = coefficients + step
        fitted = _expected(weight, columns, coefficients, totals)
        converged = longest < STEP_TOLERANCE
        if converged.all():
            break
    return coefficients, fitted, converged


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
    condition: NDArray[np.float64] = np.asarray(np.linalg.cond(own / scale[:, :, None] / scale[:, None, :]))
    return np.asarray(np.logical_and(finite, condition < INFLATION))


def _expected(
    weight: NDArray[np.float64],
    columns: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> NDArray[np.float64]:
    linear = np.einsum("rctq,rq->rct", columns, np.clip(coefficients, -50, 50))
    rate = weight * np.exp(linear - linear.max(axis=2, keepdims=True))
    sums = rate.sum(axis=2, keepdims=True)
    return np.asarray(rate * (totals / np.where(sums > 0, sums, 1.0)))


def _information(
    fitted: NDArray[np.float64], columns: NDArray[np.float64], active: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Information (replicates, columns, columns), inactive columns set to one; sums of mu × columns."""
    replicates, clusters, periods, width = columns.shape
    weighted = columns * fitted[..., None]
    sums = weighted.sum(axis=2)
    totals = fitted.sum(axis=2)[..., None]
    flat = (replicates, clusters * periods, width)
    information = columns.reshape(flat).transpose(0, 2, 1) @ weighted.reshape(flat)
    information = information - sums.transpose(0, 2, 1) @ (sums / np.where(totals > 0, totals, 1.0))
    both = active[:, :, None] & active[:, None, :]
    information = np.where(both, information, 0.0)
    _diagonal(information)[...] += ~active
    return information, sums


def _bell_mccaffrey(
    counts: NDArray[np.float64],
    fitted: NDArray[np.float64],
    columns: NDArray[np.float64],
    active: NDArray[np.bool_],
    contrast: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """CR2 standard error and Satterthwaite df of each contrast; formulas as in `cluster_robust`."""
    information, sums = _information(fitted, columns, active)
    sound = _sound(information)
    information[~sound] = np.eye(active.shape[1])
    inverse = np.linalg.inv(information) * (active[:, :, None] & active[:, None, :])
    totals = fitted.sum(axis=2)
    safe = np.where(totals > 0, totals, 1.0)[..., None]
    swept = columns - (sums / safe)[:, :, None, :]
    influence = np.einsum("rctq,rq->rct", swept, np.einsum("rpq,rq->rp", inverse, contrast))
    core = np.einsum("rctq,rqp,rcsp->rcts", swept, inverse, swept, optimize=True) + 1 / safe[..., None]
    influence = _response_scale_root(fitted, core, influence)
    variance = ((influence * (counts - fitted)).sum(axis=2) ** 2).sum(axis=1)
    weighted = influence * fitted
    loading = np.einsum("rct,rctq->rcq", weighted, swept)
    covariance = -loading @ inverse @ loading.transpose(0, 2, 1)
    own = (influence * weighted).sum(axis=2) - weighted.sum(axis=2) ** 2 / safe[..., 0]
    _diagonal(covariance)[...] += own
    mean = np.trace(covariance, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = mean**2 / (covariance**2).sum(axis=(1, 2))
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
