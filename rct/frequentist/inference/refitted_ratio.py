"""The maximum-likelihood log rate ratio under every re-randomization, all draws together.

With an effect for every unit, equal exposure and a treatment that the drawn sequence alone decides, units of
one block that draw the same sequence enter only through their sum, so a draw is a small table of sequences ×
periods. One margin of the table is concentrated out, Newton's method runs on the other and the log ratio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.inference.null_model import NullModel
    from rct.frequentist.inference.redrawn_assignments import Redrawn

CHUNK = 200_000
MAX_ITERATIONS = 50
# Newton's error after a step is of the order of the step's square: the last one is taken and needs no check.
STEP_TOLERANCE = 1e-5
EMPTY = -800.0


def refitted_ratios(
    model: NullModel, redrawn: Redrawn, sequences: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Log rate ratio (draws,) if units had followed these sequences (draws, units)."""
    if model.is_table:
        return np.concatenate(
            [two_way_fits(tables, redrawn.dose)[0] for tables in _tables(model, redrawn, sequences)]
        )
    return np.array([_general_fit(model, redrawn.dose[drawn]) for drawn in sequences])


def _tables(
    model: NullModel, redrawn: Redrawn, sequences: NDArray[np.integer]
) -> Iterator[NDArray[np.float64]]:
    """Totals by block, drawn sequence and period, (draws, blocks, sequences, periods), chunk by chunk."""
    counts = model.counts_table
    blocks, n_sequences = int(model.block.max()) + 1, len(redrawn.dose)
    step = max(1, CHUNK // max(blocks * n_sequences * counts.shape[1], counts.size))
    for first in range(0, len(sequences), step):
        code = model.block * n_sequences + sequences[first : first + step]
        member = code[:, None, :] == np.arange(blocks * n_sequences)[:, None]
        yield (member.astype(float) @ counts).reshape(len(code), blocks, n_sequences, -1)


def two_way_fits(
    counts: NDArray[np.float64], dose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit row effects, column effects within blocks, and one slope in the dose, in every draw.

    Parameters
    ----------
    counts : (draws, blocks, rows, columns)
    dose : (rows, columns)

    Returns
    -------
    slope, information : (draws,)
        The information of the slope after both margins are swept out.

    Raises
    ------
    EstimationError
        A draw without a finite maximum (no event under treatment, or none without it).
    """
    if counts.shape[2] < counts.shape[3]:
        counts, dose = counts.swapaxes(2, 3), dose.T
    totals = counts.sum(axis=3, keepdims=True)
    # From the fit without an effect, which is the product of the margins; e^-800 of an empty one is no rate.
    slope = np.zeros(len(counts))
    margin = counts.sum(axis=2)
    effects = np.where(margin > 0, np.log(np.where(margin > 0, margin, 1.0)), EMPTY)
    for _ in range(MAX_ITERATIONS):
        linear = effects[:, :, None, :] + slope[:, None, None, None] * dose
        weight = np.exp(linear - linear.max(axis=3, keepdims=True))
        fitted = weight * (totals / weight.sum(axis=3, keepdims=True))
        step, steps, information = _newton_step(counts, fitted, dose)
        slope, effects = slope + step, effects + steps
        if not np.isfinite(slope).all() or np.abs(slope).max() > 30:
            break
        if np.abs(step).max() < STEP_TOLERANCE:
            return slope, information
    raise EstimationError(
        "the log rate ratio has no finite estimate in some draws (no event under treatment, or none without);"
        ' use statistic="score", which needs none'
    )


def _newton_step(
    counts: NDArray[np.float64], fitted: NDArray[np.float64], dose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    residual = counts - fitted
    matrix, cross, own = _swept_information(fitted, np.broadcast_to(dose, fitted.shape))
    right = np.stack([residual.sum(axis=2), cross], axis=3)
    solved = np.linalg.solve(matrix, right)
    explained = (cross[..., None] * solved).sum(axis=2)  # draws, blocks, (score, cross)
    information = own - explained[..., 1].sum(axis=1)
    step = ((residual * dose).sum(axis=(1, 2, 3)) - explained[..., 0].sum(axis=1)) / information
    return step, solved[..., 0] - step[:, None, None] * solved[..., 1], information


def _swept_information(
    fitted: NDArray[np.float64], dose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Information of the columns, of columns and slope, and of the slope, rows swept out.

    Columns without events get a one on the diagonal, and a constant over all columns is added, which the
    rows explain: neither changes the slope.
    """
    row_totals = fitted.sum(axis=3)
    safe = np.where(row_totals > 0, row_totals, 1.0)
    dosed = fitted * dose
    row_doses = dosed.sum(axis=3) / safe
    column_totals = fitted.sum(axis=2)
    matrix = -fitted.swapaxes(2, 3) @ (fitted / safe[..., None])
    scale = np.where(column_totals > 0, column_totals, 0.0).mean(axis=2)[..., None, None] + 1e-300
    matrix += scale * (column_totals > 0)[..., :, None] * (column_totals > 0)[..., None, :]
    diagonal = np.einsum("...ii->...i", matrix)
    diagonal += np.where(column_totals > 0, column_totals, 1.0)
    cross = dosed.sum(axis=2) - (fitted * row_doses[..., None]).sum(axis=2)
    own = (dosed * dose).sum(axis=(1, 2, 3)) - (row_doses**2 * row_totals).sum(axis=(1, 2))
    return matrix, cross, own


def slope_information(
    fitted: NDArray[np.float64], dose: NDArray[np.float64], *, row_effects: bool
) -> NDArray[np.float64]:
    """Information (draws,) of a slope in the dose beside column effects, and row effects where asked.

    Parameters
    ----------
    fitted, dose : (draws, rows, columns)
    """
    if not row_effects:
        column_totals = fitted.sum(axis=1)
        doses = (fitted * dose).sum(axis=1)
        swept = np.divide(doses**2, column_totals, out=np.zeros_like(doses), where=column_totals > 0)
        return np.asarray((fitted * dose**2).sum(axis=(1, 2)) - swept.sum(axis=1))
    if fitted.shape[1] < fitted.shape[2]:
        fitted, dose = fitted.swapaxes(1, 2), dose.swapaxes(1, 2)
    matrix, cross, own = _swept_information(fitted[:, None], dose[:, None])
    solved = np.linalg.solve(matrix, cross[..., None])[..., 0]
    return np.asarray(own - (cross * solved).sum(axis=(1, 2)))


def _general_fit(model: NullModel, dose: NDArray[np.float64]) -> float:
    """Fit one draw row by row: any exposure, covariates and effects."""
    treated = dose.ravel()[model.place]
    rows = replace(
        model.sample.rows, term=np.where(treated > 0, 0, -1).astype(np.intp), dose=treated, n_terms=1
    )
    fit = fit_fixed_effects(collapse(rows).cells)
    if fit.collinear:
        raise EstimationError("treatment is explained by the fixed effects in some draws")
    return float(fit.coefficients[0])
