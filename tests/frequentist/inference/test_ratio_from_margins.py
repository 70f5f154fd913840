"""Log rate ratios from the margins of tables: what a regression on every cell gives, draw by draw."""

import numpy as np
import pytest
import statsmodels.api as sm

from rct.errors import EstimationError
from rct.frequentist.inference.ratio_from_margins import Margins, ratios_from_margins


def margins_of(tables, dose):
    """Margins of tables (draws, blocks, rows, columns)."""
    rows, columns = np.moveaxis(tables.sum(axis=3), 0, -1), np.moveaxis(tables.sum(axis=2), 0, -1)
    return Margins(rows, columns, (tables * dose).sum(axis=(1, 2, 3)))


def regression(table, dose):
    """Slope and its information by iteratively reweighted least squares on the cells of all blocks."""
    blocks, rows, columns = table.shape
    block, row, column = (index.ravel() for index in np.indices(table.shape))
    indicators = np.hstack([np.eye(blocks * rows)[block * rows + row],
                            np.eye(blocks * columns)[block * columns + column]])  # fmt: skip
    kept = np.linalg.qr(indicators)[1].diagonal()
    design = np.column_stack([np.broadcast_to(dose, table.shape).ravel(), indicators[:, np.abs(kept) > 1e-9]])
    fit = sm.GLM(table.ravel(), design, family=sm.families.Poisson()).fit(tol=1e-13, maxiter=200)
    return fit.params[0], 1 / fit.bse[0] ** 2


WEDGE = (np.arange(1, 8) >= np.array([[2], [3], [5], [6], [9]])).astype(float)
SEVERAL_DOSES = WEDGE * np.array([[0.5], [1.0], [2.0], [1.0], [1.0]])
SWITCHING = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1]], dtype=float)


@pytest.mark.parametrize("slope", [0.0, -0.7, 2.0])
@pytest.mark.parametrize("dose", [WEDGE, SEVERAL_DOSES, SWITCHING])
def test_slope_and_information_are_those_of_a_regression_on_the_cells(dose, slope):
    rng = np.random.default_rng(7)
    size = (4, 2, *dose.shape)
    tables = rng.poisson(rng.gamma(2, 8, (4, 2, dose.shape[0], 1)) * np.exp(slope * dose), size).astype(float)
    ours = ratios_from_margins(margins_of(tables, dose), dose)
    theirs = np.transpose([regression(table, dose) for table in tables])
    assert ours[0] == pytest.approx(theirs[0], abs=1e-10)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-7)


def test_empty_rows_and_columns_change_nothing():
    tables = np.random.default_rng(3).poisson(9.0, (5, 1, *WEDGE.shape)).astype(float)
    tables[:, :, 2], tables[..., 4] = 0, 0
    reduced = np.delete(np.delete(tables, 2, axis=2), 4, axis=3)
    dose = np.delete(np.delete(WEDGE, 2, axis=0), 4, axis=1)
    assert ratios_from_margins(margins_of(tables, WEDGE), WEDGE)[0] == pytest.approx(
        ratios_from_margins(margins_of(reduced, dose), dose)[0], abs=1e-12
    )


def test_a_draw_has_the_same_bits_whatever_is_fitted_beside_it():
    tables = np.random.default_rng(4).poisson(6.0, (40, 3, *WEDGE.shape)).astype(float)
    together = ratios_from_margins(margins_of(tables, WEDGE), WEDGE)
    for chosen in ([17], [3, 39], list(range(5, 40))):
        alone = ratios_from_margins(margins_of(tables[chosen], WEDGE), WEDGE)
        np.testing.assert_array_equal(alone, np.array(together)[:, chosen])


def test_what_has_no_finite_ratio_is_refused():
    rng = np.random.default_rng(5)
    tables = rng.poisson(9.0, (3, 1, *WEDGE.shape)).astype(float)
    without = tables.copy()
    without[1, 0][WEDGE == 1] = 0
    with pytest.raises(EstimationError, match="no finite estimate in some draws"):
        ratios_from_margins(margins_of(without, WEDGE), WEDGE)
    together = np.broadcast_to(np.arange(7) >= 3, WEDGE.shape).astype(float)
    with pytest.raises(EstimationError, match="explained by the fixed effects"):
        ratios_from_margins(margins_of(tables, together), together)
