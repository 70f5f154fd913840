"""Expected events of every unit at every draw, from the draws and the rows that they were fitted to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.cell_changes import COURSE, fitted_rows, log_change, log_probability
from rct.errors import DataError, EstimationError

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

    from rct.panel import Panel
    from rct.posterior import Posterior

Floats = NDArray[np.float64]
# Dimension of the posterior → column of the rows.
COLUMNS = {"period_number": "period", "cluster_name": "cluster", "block_name": "block"}
LEVELS = ("block", "period", "cluster", "cluster_period")
# Models whose log rate is a sum of these levels and a change by treatment.
MODELS = frozenset(
    {
        "marginal",
        "stepped-wedge",
        "fading",
        "dose",
        "joint",
        "negative-binomial",
        "zero-inflated",
        "agencies",
    }
)


@dataclass(frozen=True, eq=False)
class UnitRates:
    """Rows of one outcome seen from the units.

    Attributes
    ----------
    units
        Names, in order.
    row_unit, row_cell
        Unit and cell of each row; rows of a cell share arm, dose and what the model has levels of: period,
        cluster, block.
    row_cluster
        Cluster of each row.
    exposure, count
        Of each row.
    cells
        One row per cell: arm, treated, and those of period, cluster and block that the model has levels of.
    log_rate
        Log rate per unit of exposure without treatment, and what treatment adds, each (draws, cells).
    heterogeneity
        Gamma shape of the units' effects, (draws,); None: no such effects.
    dispersion, surplus
        Gamma shape of the unit-periods' effects and probability of a surplus zero, (draws,); None: none.
    change_sd
        Standard deviation between units of what treatment adds, (draws,); None: it is the same for all.
    """

    units: tuple[str, ...]
    row_unit: NDArray[np.int64]
    row_cell: NDArray[np.int64]
    row_cluster: NDArray[Any]
    exposure: Floats
    count: Floats
    cells: "pd.DataFrame"
    log_rate: Floats
    log_effect: Floats
    heterogeneity: Floats | None
    dispersion: Floats | None = None
    surplus: Floats | None = None
    change_sd: Floats | None = None

    @property
    def treated(self) -> Floats:
        """The dose of each cell, (cells,)."""
        return self.cells["treated"].to_numpy(float)

    @property
    def events(self) -> Floats:
        """All events of each unit, (units,)."""
        return np.bincount(self.row_unit, self.count, len(self.units)).astype(float)

    def at_risk(self) -> "csr_array":
        """Give the exposure of each unit in each cell, (units, cells)."""
        from scipy.sparse import coo_array

        shape = (len(self.units), len(self.cells))
        found = coo_array((self.exposure, (self.row_unit, self.row_cell)), shape=shape).tocsr()
        found.sort_indices()
        return found

    def expected(self) -> Floats:
        """Give the expected events of a unit whose own rate is average, (draws, units)."""
        return (self.at_risk() @ np.exp(self.log_rate + self.log_effect).T).T


def has_unit_rates(posterior: "Posterior") -> bool:
    """Whether the fit holds all that the units' expected events are made of."""
    terms = posterior.priors
    lacking = terms.get("cluster_period_sd") and "cluster_period" not in posterior.groups["posterior"]
    return posterior.model in MODELS and not lacking


def unit_rates(posterior: "Posterior", panel: "Panel", outcome: str, *, most_draws: int) -> UnitRates:
    """Join draws and rows; of more draws than asked for, evenly spaced ones are taken from each chain.

    Raises
    ------
    EstimationError
        For a model that is no sum of levels and a change.
    DataError
        For an outcome that the panel or the fit does not hold.
    """
    if not has_unit_rates(posterior):
        raise EstimationError(
            f"this fit of the model {posterior.model!r} gives no expected events of single units; "
            f"fits of {', '.join(sorted(MODELS))} do."
        )
    posterior.effect_draws(outcome, arm=posterior.arms[0])  # an unknown outcome is refused
    require_same_panel(posterior, panel, outcome)
    rows = fitted_rows(posterior, panel, outcome)
    draws = _thinned(posterior, outcome, most_draws)
    # Only what the model has levels of: without cluster effects, officers randomized alone share their cells.
    levels = {dim for name in LEVELS if name in draws for dim in draws[name].dims}
    by = [column for dim, column in COLUMNS.items() if dim in levels]
    by += [column for column in ("arm", "treated", *COURSE) if column in rows]
    cells = rows[by].drop_duplicates().reset_index(drop=True)
    row_cell = rows[by].merge(cells.assign(cell=np.arange(len(cells))), on=by, how="left")["cell"].to_numpy()
    row_unit, units = rows["unit"].factorize(sort=True)
    log_rate, log_effect = _levels(draws, cells), log_change(posterior, panel, draws, cells)
    if posterior.model == "joint" and outcome != posterior.outcomes[0]:
        force = _thinned(posterior, posterior.outcomes[0], most_draws)
        injured = log_probability(log_rate)
        given = log_change(posterior, panel, draws, cells) - log_change(posterior, panel, force, cells)
        changed = log_probability(log_rate + given)
        log_effect = log_change(posterior, panel, force, cells) + changed - injured
        log_rate = _levels(force, cells) + injured
    return UnitRates(
        units=tuple(str(unit) for unit in units),
        row_unit=row_unit.astype(np.int64),
        row_cell=row_cell.astype(np.int64),
        row_cluster=rows["cluster"].to_numpy(str),
        exposure=rows["exposure"].to_numpy(float),
        count=rows["count"].to_numpy(float),
        cells=cells,
        log_rate=log_rate,
        log_effect=log_effect,
        **{
            field: draws[name].to_numpy() if name in draws else None
            for field, name in (
                ("heterogeneity", "heterogeneity"), ("dispersion", "dispersion"), ("surplus", "zero_share"),
                ("change_sd", "agency_sd"),
            )
        },
    )  # fmt: skip


def _levels(draws: Any, cells: "pd.DataFrame") -> Floats:
    """Give the log rate without treatment, (draws, cells)."""
    log_rate = np.repeat(draws["intercept"].to_numpy()[:, None], len(cells), axis=1)
    for name in LEVELS:
        if name in draws:
            log_rate += _at_cells(draws[name], cells)
    return log_rate


def require_same_panel(posterior: "Posterior", panel: "Panel", outcome: str) -> None:
    """Refuse a panel that the fit was not made from: its draws would be joined to other units and places.

    Raises
    ------
    DataError
    """
    facts, rows = posterior.meta[outcome], panel.rows(outcome)
    found = {
        "n_units": int(rows["unit"].nunique()),
        "n_clusters": int(rows["cluster"].nunique()),
        "n_events": float(rows["count"].sum()),
    }
    if found != {name: facts[name] for name in found}:
        raise DataError(
            f"the panel is not the one that was fitted: {found['n_units']} units in {found['n_clusters']} "
            f"clusters with {found['n_events']:g} {outcome} events, where the fit had {facts['n_units']} in "
            f"{facts['n_clusters']} with {facts['n_events']:g}."
        )


def _thinned(posterior: "Posterior", outcome: str, most: int) -> Any:
    """Give the draws of one outcome along one dimension, sample, chain after chain."""
    found = posterior.groups["posterior"]
    if "outcome" in found.dims:
        found = found.isel(outcome=posterior.outcomes.index(outcome))
    step = max(1, -(-found.sizes["chain"] * found.sizes["draw"] // most))
    found = found.isel(draw=slice(0, None, step))
    return found.stack(sample=("chain", "draw")).transpose("sample", ...)


def _at_cells(level: Any, cells: "pd.DataFrame") -> Floats:
    import pandas as pd

    places: list[Any] = [slice(None)]
    for dim in level.dims[1:]:
        labels = cells[COLUMNS[dim]]
        index = pd.Index(level[dim].to_numpy())
        at = index.get_indexer(labels if dim == "period_number" else labels.astype(str))
        if (at < 0).any():
            raise DataError(f"the panel is not the one that was fitted: it has another {COLUMNS[dim]}.")
        places.append(at)
    return level.to_numpy()[tuple(places)]
