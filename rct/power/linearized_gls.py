"""Generalized least squares of a clusters × periods design, on any scale that makes the model linear."""

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


def gls_information(
    doses: "NDArray[np.float64]",
    covariance: "NDArray[np.float64]",
    slopes: "NDArray[np.float64] | None" = None,
) -> float:
    """Give the information about the coefficient of the dose, period effects estimated too.

    The Schur complement of the period effects in Σ Xᵢ' Vᵢ⁻¹ Xᵢ over independent clusters (Hussey & Hughes
    2007, their section 3, for any V): the inverse of the variance of the effect.

    Parameters
    ----------
    doses : array, clusters × periods
        NaN: not observed.
    covariance : array, clusters × periods × periods
        V, of the cell means of one cluster.
    slopes : array, clusters × periods, optional
        Derivative of the cell's mean by the linear predictor; 1 where absent.

    Raises
    ------
    RctError
        If the dose is a sum of period effects, so that no data tell them apart, or V is singular.
    """
    slopes = np.ones_like(doses) if slopes is None else slopes
    whitened, treatment = [], []
    for dose, V, slope in zip(doses, covariance, slopes, strict=True):
        seen = np.flatnonzero(~np.isnan(dose))
        columns = np.zeros((len(seen), len(dose) + 1))
        columns[np.arange(len(seen)), seen] = slope[seen]
        columns[:, -1] = slope[seen] * dose[seen]
        root = _root(V[np.ix_(seen, seen)])
        solved = np.linalg.solve(root, columns)
        whitened.append(solved[:, :-1])
        treatment.append(solved[:, -1])
    columns = np.concatenate(treatment)
    rest = _left_over(np.vstack(whitened), columns, float(columns @ columns))
    return float(rest @ rest)


def weighted_residuals(
    doses: "NDArray[np.float64]", weights: "NDArray[np.float64]"
) -> tuple["NDArray[np.float64]", float]:
    """Sweep cluster and period effects out of the doses, by weighted least squares.

    Parameters
    ----------
    doses, weights : array, clusters × periods

    Returns
    -------
    residuals : array, clusters × periods
        0 where not observed.
    information : float
        Σ weight residual².
    """
    counted = np.where(np.isnan(doses), 0, weights)
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    dose, roots = np.nan_to_num(doses), np.sqrt(counted)
    within = dose - (share * dose).sum(axis=1, keepdims=True)
    periods = np.eye(doses.shape[1]) - share[:, np.newaxis, :]  # period indicators less their cluster means
    effects = (periods * roots[:, :, np.newaxis]).reshape(-1, doses.shape[1])
    rest = _left_over(effects, (within * roots).ravel(), float((counted * dose**2).sum()))
    residuals = np.zeros_like(doses)
    np.divide(rest.reshape(doses.shape), roots, out=residuals, where=roots > 0)
    return residuals, float(rest @ rest)


def _root(V: "NDArray[np.float64]") -> "NDArray[np.float64]":
    try:
        return np.asarray(np.linalg.cholesky(V), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise RctError(
            "the covariance of one cluster's cells is not positive definite: with cac = 1 (or iac = 1) and "
            "no other noise the cells of a cluster repeat each other exactly"
        ) from None


def _left_over(
    effects: "NDArray[np.float64]", treatment: "NDArray[np.float64]", total: float
) -> "NDArray[np.float64]":
    """Give what the effects do not explain of the treatment, whose whole sum of squares is `total`."""
    rest = treatment
    if len(treatment):
        rest = treatment - effects @ np.linalg.lstsq(effects, treatment, rcond=None)[0]
    if not rest @ rest > LEAST_INFORMATION * total:
        raise RctError(
            "this design has no information about the effect: the dose is the same in every observed cluster "
            "of a period, so that training and calendar time cannot be told apart"
        )
    return rest
