"""A linear trend in time for every cluster or unit, as columns of a rate model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects

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
