"""A linear trend in time for every cluster or unit, as columns of a rate model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import ConvergenceError, EstimationError
from rct.frequentist.collapsed_cells import collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects
from rct.identifiers import listed

if TYPE_CHECKING:
    from rct.frequentist.collapsed_cells import UnitRows
    from rct.frequentist.model_sample import ModelSample

Trends = Literal["unit", "cluster"]
MOST_TRENDS = 200


def with_trends(model: ModelSample, trends: Trends) -> UnitRows:
    """Add the trends to the covariates, without those that the fixed effects and other trends explain.

    Treatment is not asked when a trend is left out, so a treatment that trends explain is refused later.

    Raises
    ------
    EstimationError
        More trends than a model can carry.
    """
    rows = model.sample.rows
    owner = rows.unit if trends == "unit" else model.clusters("cluster")
    n = int(owner.max()) + 1
    if n > MOST_TRENDS:
        raise EstimationError(
            f"trends={trends!r} asks for {n} trends, more than the {MOST_TRENDS} that a model can carry; give"
            " clusters trends, or leave them out"
        )
    period = model.rows["period"].to_numpy(dtype=float)[model.sample.kept]
    time = (period - period.mean()) / max(1.0, float(np.ptp(period)))
    columns = (owner[:, None] == np.arange(n)) * time[:, None]
    alone = replace(rows, term=np.full(len(owner), -1), n_terms=0, covariates=columns)
    explained = fit_fixed_effects(collapse(alone).cells).collinear
    return replace(rows, covariates=np.hstack([rows.covariates, np.delete(columns, explained, axis=1)]))


def require_finite_trends(model: ModelSample, trends: Trends) -> None:
    """Name the trends where they are why a fit has no finite maximum: without them there is one.

    A trend is infinite where all events of its owner lie in the first, or all in the last, of the periods in
    which its units are seen, whatever the other parameters are.

    Raises
    ------
    ConvergenceError
    """
    try:
        fit_fixed_effects(collapse(model.sample.rows).cells)
    except ConvergenceError:
        return  # the trends are not at fault, or not alone
    rows = model.rows.loc[model.sample.kept, ["unit", "cluster", "period", "count"]]
    of_unit = rows.groupby("unit")["period"]
    inside = {end: rows["count"].where(rows["period"] != of_unit.transform(end), 0) for end in ("min", "max")}
    events = {end: own.groupby(rows[trends]).sum() for end, own in inside.items()}
    owners = events["min"].index[(events["min"] == 0) | (events["max"] == 0)].astype(str).tolist()
    whose = (
        f"all events of {len(owners)} {trends}{'s' * (len(owners) > 1)} ({listed(owners)}) lie in their first"
        " or their last period"
        if owners
        else f"some {trends}s have too few events"
    )
    mend = (
        "give clusters the trends, make the panel of longer periods"
        if trends == "unit"
        else "make the panel of longer periods"
    )
    raise ConvergenceError(
        f"trends={trends!r}: {whose}, so a linear trend of their own has no finite estimate (separation);"
        f" {mend}, or leave trends out: without them the model has an estimate"
    )
