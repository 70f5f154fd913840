"""The model without a treatment effect, or with a stated one: its residuals are what the score test uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import DataError, EstimationError
from rct.frequentist.collapsed_cells import Collapse, UnitRows, collapse
from rct.frequentist.estimation_sample import Sample, likelihood_rows
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects
from rct.frequentist.integer_codes import sums_by_code
from rct.frequentist.panel_columns import column_codes, covariate_columns

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class NullModel:
    """Rows, collapsed, and where each belongs in the table of randomized units × periods.

    sample : rows with a likelihood
    collapsed : the same with alike units added up; the first column of its design is the dose
    place : (rows,) randomized unit × periods + period − 1
    shape : (randomized units, periods)
    effects : names of the fixed effects
    """

    sample: Sample
    collapsed: Collapse
    place: NDArray[np.intp]
    shape: tuple[int, int]
    effects: tuple[str, ...]

    def residual(self, log_ratio: float) -> NDArray[np.float64]:
        """Count less expectation, (randomized units, periods), if treatment had this effect."""
        cells = self.collapsed.cells
        offset = np.exp(log_ratio * cells.design[:, 0])
        fit = fit_fixed_effects(replace(cells, exposure=cells.exposure * offset, design=cells.design[:, 1:]))
        if fit.collinear:
            raise EstimationError(
                "a covariate of the null model is explained by its fixed effects; leave it out"
            )
        expected = self.collapsed.share * fit.fitted[self.collapsed.cell]
        size = self.shape[0] * self.shape[1]
        difference = sums_by_code(self.place, self.sample.rows.counts - expected, size)
        return difference.reshape(self.shape)


def null_model(
    rows: pd.DataFrame,
    units: list[str],
    periods: int,
    fixed_effects: Sequence[str] | None,
    covariates: Sequence[str],
) -> NullModel:
    """Lay out the null model.

    Parameters
    ----------
    rows : pandas.DataFrame
        Usable rows of the units in the comparison.
    units : list of str
        Randomized units, in byte order.
    fixed_effects : sequence of str, optional
        Where absent: periods within blocks, and units where the dose varies within a unit.

    Raises
    ------
    DataError
        A covariate with missing values, which would leave out other rows in other draws.
    """
    values, complete = covariate_columns(rows, covariates)
    if not complete.all():
        raise DataError(
            f"{np.count_nonzero(~complete)} rows have no value of a covariate; complete or drop them first"
        )
    effects = tuple(fixed_effects) if fixed_effects is not None else default_effects(rows)
    blank = UnitRows(
        counts=rows["count"].to_numpy(dtype=float),
        exposure=rows["exposure"].to_numpy(dtype=float),
        unit=column_codes(rows, "unit"),
        effects=tuple(column_codes(rows, name) for name in effects if name != "unit"),
        term=np.full(len(rows), -1, dtype=np.intp),
        dose=np.zeros(len(rows)),
        n_terms=0,
        covariates=values,
        unit_effects="unit" in effects,
    )
    sample = likelihood_rows(blank)
    dose = rows["treated"].to_numpy(dtype=float)[sample.kept]
    treated = replace(sample.rows, term=np.where(dose > 0, 0, -1), dose=dose, n_terms=1)
    randomized = np.searchsorted(np.array(units), rows["randomized"].to_numpy(dtype=str)[sample.kept])
    place = randomized * periods + rows["period"].to_numpy()[sample.kept] - 1
    return NullModel(sample, collapse(treated), place, (len(units), periods), effects)


def default_effects(rows: pd.DataFrame) -> tuple[str, ...]:
    """Periods within blocks, and units where the dose varies within a unit."""
    blocked = rows["block"].nunique() > 1
    dose = rows.groupby("unit", sort=False)["treated"]
    varies = bool((dose.max() != dose.min()).any())
    return (*(("unit",) if varies else ()), "block:period" if blocked else "period")
