"""Generalized least squares of a clusters × periods design, on any scale that makes the model linear."""

import math
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import RctError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEAST_INFORMATION = 1e-10


def read_design(design: "ArrayLike") -> "NDArray[np.float64]":
    """Turn rows of doses into an array; None and NaN are cells that are not observed.

    Raises
    ------
    RctError
        If it is no clusters × periods table, or a dose lies outside 0…1.
    """
    try:
        doses = np.array(design, dtype=float)
    except (TypeError, ValueError):
        raise RctError(
            "a design is a table of doses, clusters × periods: every row needs as many numbers"
        ) from None
    if doses.ndim != 2 or doses.size == 0:
        raise RctError(f"a design is a table of doses, clusters × periods, not of shape {doses.shape}")
    wrong = np.argwhere((doses < 0) | (doses > 1))
    if len(wrong):
        cluster, period = wrong[0]
        raise RctError(
            f"doses lie between 0 and 1, not {doses[cluster, period]:g} (row {cluster + 1}, "
            f"column {period + 1} of the design); write None where a cell is not observed"
        )
    return doses


def as_given(values: "ArrayLike | None") -> "float | NDArray[np.float64]":
    """Keep one number for all cells as a number; NaN where it is to be solved for."""
    if values is None:
        return math.nan
    return float(values) if np.ndim(values) == 0 else np.array(values, dtype=float)  # type: ignore[arg-type]


def per_cell(values: "ArrayLike", doses: "NDArray[np.float64]", name: str) -> "NDArray[np.float64]":
    """Spread one number, one per cluster, or clusters × periods over all cells.

    Raises
    ------
    RctError
        If the shape fits no such reading, or an observed cell's value is not positive.
    """
    given = np.array(values, dtype=float)
    if given.ndim == 1 and len(given) == len(doses):
        given = given[:, np.newaxis]
    if given.ndim > 0 and given.shape not in {(len(doses), 1), doses.shape}:
        raise RctError(
            f"{name} is one number, one per cluster ({len(doses)}) or clusters × periods {doses.shape}, "
            f"not of shape {given.shape}"
        )
    spread = np.broadcast_to(given, doses.shape)
    if not (spread[~np.isnan(doses)] > 0).all():
        raise RctError(f"{name} must be positive in every observed cell")
    return np.array(spread)


def observed_clusters(doses: "NDArray[np.float64]") -> int:
    """Count the clusters with a cell that is observed."""
    return int((~np.isnan(doses)).any(axis=1).sum())


def treatment_terms(
    doses: "NDArray[np.float64]", average: tuple[int, int] | None
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Give the treatment columns of a model and the combination of their coefficients that is the effect.

    Parameters
    ----------
    doses : array, clusters × periods
    average : (int, int), optional
        None: one column, the dose. First and last exposure time of a mean effect: a column for every exposure
        time (1 = the first treated period, unobserved periods counted), as Kenny et al. (2022) advise.

    Returns
    -------
    terms : array, clusters × periods × columns
        0 where not observed.
    weights : array, columns
    """
    treated = np.nan_to_num(doses)
    if average is None:
        return treated[:, :, np.newaxis], np.ones(1)
    if not np.isin(treated, (0, 1)).all() or (np.fmax.accumulate(doses, axis=1) > doses).any():
        raise RctError("an average over exposure times needs doses of 0 and 1 that do not return to 0")
    start = np.where(treated.any(axis=1), treated.argmax(axis=1), doses.shape[1])[:, np.newaxis]
    exposure = np.where(treated > 0, np.arange(doses.shape[1]) - start + 1, 0)
    times, (first, last) = np.arange(1, int(exposure.max()) + 1), average
    if not 1 <= first <= last <= len(times):
        raise RctError(f"exposure times here run from 1 to {len(times)}: average cannot be {average}")
    weights = ((times >= first) & (times <= last)) / (last - first + 1)
    return (exposure[:, :, np.newaxis] == times).astype(float), weights


def gls_variance(
    doses: "NDArray[np.float64]",
    covariance: "NDArray[np.float64]",
    *,
    slopes: "NDArray[np.float64] | None" = None,
    average: tuple[int, int] | None = None,
) -> float:
    """Give the variance of the effect, period effects estimated too.

    The inverse of the Schur complement of the period effects in Σ Xᵢ' Vᵢ⁻¹ Xᵢ over independent clusters
    (Hussey & Hughes 2007, their section 3, for any V).

    Parameters
    ----------
    doses : array, clusters × periods
        NaN: not observed.
    covariance : array, clusters × periods × periods
        V, of the cell means of one cluster.
    slopes : array, clusters × periods, optional
        Derivative of the cell's mean by the linear predictor; 1 where absent.
    average : (int, int), optional
        As in `treatment_terms`.

    Raises
    ------
    RctError
        If the treatment is a sum of period effects, so that no data tell them apart, or V is singular.
    """
    terms, weights = treatment_terms(doses, average)
    slopes = np.ones_like(doses) if slopes is None else slopes
    whitened, treatment = [], []
    for dose, V, slope, term in zip(doses, covariance, slopes, terms, strict=True):
        seen = np.flatnonzero(~np.isnan(dose))
        periods = np.zeros((len(seen), len(dose)))
        periods[np.arange(len(seen)), seen] = slope[seen]
        columns = np.hstack([periods, slope[seen, np.newaxis] * term[seen]])
        solved = np.linalg.solve(_root(V[np.ix_(seen, seen)]), columns)
        whitened.append(solved[:, : len(dose)])
        treatment.append(solved[:, len(dose) :])
    columns = np.vstack(treatment)
    solution = _solved(_left_over(np.vstack(whitened), columns), columns, weights)
    return float(weights @ solution)


def fixed_effects_variance(
    doses: "NDArray[np.float64]",
    weights: "NDArray[np.float64]",
    covariance: "NDArray[np.float64]",
    *,
    average: tuple[int, int] | None = None,
) -> float:
    """Give the sandwich variance of weighted least squares with cluster and period effects.

    Parameters
    ----------
    doses, weights : array, clusters × periods
    covariance : array, clusters × periods × periods
        Of the cells of one cluster, on the scale of the linear predictor.
    average : (int, int), optional
        As in `treatment_terms`.

    Raises
    ------
    RctError
        As in `gls_variance`.
    """
    terms, combination = treatment_terms(doses, average)
    counted = np.where(np.isnan(doses), 0, weights)
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    roots = np.sqrt(counted)[:, :, np.newaxis]
    within = (terms - np.einsum("kt,ktj->kj", share, terms)[:, np.newaxis]) * roots
    periods = (np.eye(doses.shape[1]) - share[:, np.newaxis, :]) * roots
    columns = within.shape[-1]
    rest = _left_over(periods.reshape(-1, doses.shape[1]), within.reshape(-1, columns))
    solution = _solved(rest, (terms * roots).reshape(-1, columns), combination)
    influence = (rest @ solution).reshape(doses.shape) * roots[..., 0]
    return float(np.einsum("ks,kst,kt->", influence, covariance, influence))


def _root(V: "NDArray[np.float64]") -> "NDArray[np.float64]":
    try:
        return np.asarray(np.linalg.cholesky(V), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise RctError(
            "the covariance of one cluster's cells is not positive definite: with cac = 1 (or iac = 1) and "
            "no other noise the cells of a cluster repeat each other exactly"
        ) from None


def _left_over(effects: "NDArray[np.float64]", treatment: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Give what the effects do not explain of the treatment's columns."""
    if not len(treatment):
        return treatment
    return np.asarray(treatment - effects @ np.linalg.lstsq(effects, treatment, rcond=None)[0])


def _solved(
    rest: "NDArray[np.float64]", treatment: "NDArray[np.float64]", weights: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Give J⁻¹ weights with J = rest' rest, where J tells this combination of the coefficients."""
    information = rest.T @ rest
    values, vectors = np.linalg.eigh(information)
    known = values > LEAST_INFORMATION * float((treatment**2).sum())
    along = vectors.T @ weights
    if not known.any() or (np.abs(along[~known]) > 1e-6).any():
        raise RctError(
            "this design has no information about the effect: the dose is the same in every observed cluster "
            "of a period, so that training and calendar time cannot be told apart"
        )
    return np.asarray(vectors[:, known] @ (along[known] / values[known]))
