"""The model without a treatment effect, or with a stated one: its residuals are what the score test uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import DataError, EstimationError
from rct.frequentist.asked_options import require_names
from rct.frequentist.collapsed_cells import Collapse, UnitRows, collapse
from rct.frequentist.estimation_sample import Sample, likelihood_rows
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects, less_explained
from rct.frequentist.integer_codes import sums_by_code
from rct.frequentist.panel_columns import centred_covariates, column_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

COLLINEAR = 1e-9


@dataclass(frozen=True)
class NullModel:
    """Rows, collapsed, and where each belongs in the table of randomized units × periods.

    sample : rows with a likelihood
    collapsed : the same with alike units added up; the first column of its design is the dose
    place : (rows,) randomized unit × periods + period − 1
    shape : (randomized units, periods)
    effects : names of the fixed effects
    block : (randomized units,) codes of the blocks within which periods have effects of their own
    """

    sample: Sample
    collapsed: Collapse
    place: NDArray[np.intp]
    shape: tuple[int, int]
    effects: tuple[str, ...]
    block: NDArray[np.intp]

    @property
    def is_table(self) -> bool:
        """Whether sums over units of one block and sequence hold all that an effect's estimate needs."""
        rows = self.sample.rows
        equal = not rows.covariates.shape[1] and np.ptp(rows.exposure) == 0
        whole = len(rows.counts) == (int(rows.unit.max()) + 1) * len(np.unique(self.place % self.shape[1]))
        unmoved = len(np.unique(rows.unit * self.shape[0] + self.place // self.shape[1])) == (
            int(rows.unit.max()) + 1
        )
        return bool(
            equal and whole and unmoved and self.effects in (("unit", "period"), ("unit", "block:period"))
        )

    @property
    def counts_table(self) -> NDArray[np.float64]:
        """Counts with a likelihood, (randomized units, periods)."""
        size = self.shape[0] * self.shape[1]
        return sums_by_code(self.place, self.sample.rows.counts, size).reshape(self.shape)

    def residual(self, log_ratio: float) -> NDArray[np.float64]:
        """Count less expectation, (randomized units, periods), if treatment had this effect."""
        return self.counts_table - self.expected(log_ratio)

    def expected(self, log_ratio: float) -> NDArray[np.float64]:
        """Expected counts, (randomized units, periods), if treatment had this effect."""
        cells = self.collapsed.cells
        offset = np.exp(log_ratio * cells.design[:, 0])
        fit = fit_fixed_effects(replace(cells, exposure=cells.exposure * offset, design=cells.design[:, 1:]))
        if fit.collinear:
            raise EstimationError(
                "a covariate of the null model is explained by its fixed effects; leave it out"
            )
        expected = self.collapsed.share * fit.fitted[self.collapsed.cell]
        size = self.shape[0] * self.shape[1]
        return sums_by_code(self.place, expected, size).reshape(self.shape)


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
    require_names("fixed_effects", fixed_effects or ())
    values, complete = centred_covariates(rows, covariates)
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
    shape = (len(units), periods)
    collapsed = collapse(treated)
    if len(covariates):
        _require_unexplained(collapsed)
    return NullModel(sample, collapsed, place, shape, effects, _blocks(rows, units, effects))


def _require_unexplained(collapsed: Collapse) -> None:
    """Refuse covariates that hold the assignment that was made: its score is zero, not so a draw's."""
    cells, dose = collapsed.cells, collapsed.cells.design[:, 0]
    fit = fit_fixed_effects(replace(cells, design=cells.design[:, 1:]))
    if not fit.collinear and less_explained(dose, cells.group, fit) ** 2 @ fit.fitted <= (
        COLLINEAR * (dose**2 @ fit.fitted)
    ):
        raise EstimationError(
            "the covariates and fixed effects of the null model explain the treatment that was assigned, so"
            " nothing is left to test; leave out the covariate that stands for treatment"
        )


def _blocks(rows: pd.DataFrame, units: list[str], effects: tuple[str, ...]) -> NDArray[np.intp]:
    if "block:period" not in effects:
        return np.zeros(len(units), dtype=np.intp)
    block = rows.drop_duplicates("randomized").set_index("randomized")["block"]
    return np.unique(block.reindex(units).fillna("").to_numpy(dtype=str), return_inverse=True)[1]


def default_effects(rows: pd.DataFrame) -> tuple[str, ...]:
    """Periods within blocks, and units where the dose varies within a unit."""
    blocked = rows["block"].nunique() > 1
    dose = rows.groupby("unit", sort=False)["treated"]
    varies = bool((dose.max() != dose.min()).any())
    return (*(("unit",) if varies else ()), "block:period" if blocked else "period")
