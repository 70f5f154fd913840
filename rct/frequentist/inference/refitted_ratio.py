"""The maximum-likelihood log rate ratio under every re-randomization, all draws together.

With an effect for every unit, equal exposure and a treatment that the drawn sequence alone decides, units of
one block that draw the same sequence enter only through their sum, so a draw is a small table of sequences ×
periods, and its margins say all. Elsewhere every draw is fitted row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects
from rct.frequentist.inference.ratio_from_margins import Margins, ratios_from_margins
from rct.frequentist.inference.score_randomization import draw_statistics, score_table
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.inference.null_model import NullModel
    from rct.frequentist.inference.redrawn_assignments import Redrawn

CHUNK = 40_000


def refitted_ratios(
    model: NullModel, redrawn: Redrawn, sequences: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Log rate ratio (draws,) if units had followed these sequences (draws, units)."""
    if model.is_table:
        return np.concatenate(
            [ratios_from_margins(own, redrawn.dose)[0] for own in _margins(model, redrawn, sequences)]
        )
    return np.array([_general_fit(model, redrawn.dose[drawn]) for drawn in sequences])


def _margins(model: NullModel, redrawn: Redrawn, sequences: NDArray[np.integer]) -> Iterator[Margins]:
    """Margins of the tables of drawn sequences × periods, chunk by chunk."""
    counts, n_sequences = model.counts_table, len(redrawn.dose)
    dosed = draw_statistics(score_table(counts, redrawn.dose), sequences)
    blocks, periods = int(model.block.max()) + 1, counts.shape[1]
    by_block = np.array([counts[model.block == code].sum(axis=0) for code in range(blocks)])
    totals = counts.sum(axis=1)
    active = np.flatnonzero(totals)
    step = max(1, CHUNK // (blocks * (n_sequences + periods)))
    for first in range(0, len(sequences), step):
        row = model.block[active] * n_sequences + sequences[first : first + step, active]
        n, size = len(row), blocks * n_sequences
        code = np.arange(n)[:, None] * size + row
        rows = sums_by_code(code.ravel(), np.broadcast_to(totals[active], row.shape).ravel(), n * size)
        yield Margins(
            np.ascontiguousarray(rows.reshape(n, size).T).reshape(blocks, n_sequences, n),
            np.repeat(by_block[..., None], n, axis=-1),
            dosed[first : first + step],
        )


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
