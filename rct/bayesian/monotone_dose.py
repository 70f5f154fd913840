"""The marginal model with an effect that grows with the dose, in steps of any size.

Of the effect of the highest dose, the k-th of the observed doses has the share z_1 + … + z_k, where z is a
simplex with a Dirichlet prior (Bürkner & Charpentier 2020, "Modelling monotonic effects of ordinal
predictors", equation 3). The doses' order counts, not their distances; several dose arms share one curve.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.log_rate import log_rate, outcome_totals
from rct.bayesian.marginal_poisson import MARGINAL, add_likelihood
from rct.bayesian.model_inputs import Inputs, numbers
from rct.bayesian.priors import Priors
from rct.errors import EstimationError


def rows_by_dose(rows: CountRows) -> CountRows:
    """Put all arms under one curve, and add the column ``level``: the place of the dose, 0 for none."""
    doses = rows.doses
    if len(doses) < 2:
        raise EstimationError(
            f'the model "dose" needs at least two doses; the panel has {", ".join(f"{d:g}" for d in doses)}. '
            'The model "marginal" gives the effect of one.'
        )
    arm = rows.arms[0] if len(rows.arms) == 1 else f"dose {doses[-1]:g}"
    levelled = {
        name: one.assign(
            level=np.searchsorted([0.0, *doses], one["treated"].to_numpy(float)),
            arm=one["arm"].where(~one["arm"].isin(rows.arms), arm),
        )
        for name, one in rows.rows.items()
    }
    return replace(rows, rows=levelled, arms=[arm])


def dose_tables(rows: CountRows, priors: Priors) -> Mapping[str, NDArray]:
    """Add up the rows, the place of the dose among the marks."""
    tables = outcome_totals(rows, priors, extra=("level",)).tables
    return tables | {"doses": np.array(rows.doses)}


def build_dose(inputs: Inputs) -> None:
    """Declare the terms and add the likelihood."""
    import pymc as pm
    import pytensor.tensor as pt

    (concentration,) = numbers(inputs, "dose_share")  # type: ignore[misc]
    outcomes, steps = len(inputs.coords["outcome"]), inputs.tables["doses"].type.shape[0]
    simplex = pm.Dirichlet("dose_share", concentration * pt.ones(steps), dims=(*inputs.outer, "dose"))
    share = inputs.by_outcome(simplex).cumsum(axis=1)
    share = pt.concatenate([pt.zeros((outcomes, 1)), share], axis=1)
    share = share[np.arange(outcomes)[:, None, None], inputs.tables["level"]]
    add_likelihood(inputs, log_rate(inputs, lambda _, effect: effect * share))


def highest_dose(rows: CountRows) -> str:
    """Name the estimand."""
    return f"ITT incidence rate ratio at dose {rows.doses[-1]:g}, the highest"


DOSE = replace(
    MARGINAL,
    words="the marginal model with an effect that grows with the dose in steps of any size",
    terms=(*MARGINAL.terms, "dose_share"),
    tables=dose_tables,
    build=build_dose,
    judged=(*MARGINAL.judged, "dose_share"),
    kept=(*MARGINAL.kept, "dose_share"),
    prepare=rows_by_dose,
    estimand=highest_dose,
)
