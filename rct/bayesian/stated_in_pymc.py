"""The models as PyMC states them: to read, to draw from their priors, and to hold the sampled density to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.compilerless import import_pymc
from rct.bayesian.fitting import prepared
from rct.bayesian.model_inputs import CountModel, Inputs

if TYPE_CHECKING:
    from rct.panel import Panel


def pymc_model(
    panel: "Panel",
    outcomes: str | Sequence[str],
    *,
    model: str = "marginal",
    priors: Mapping[str, object] | None = None,
    refresher: str | None = None,
) -> Any:
    """Give the PyMC model whose posterior :func:`rct.bayesian.fit` samples, officers integrated out.

    For reading, for ``pymc.sample_prior_predictive`` and for whatever else PyMC does with a model. The fit
    itself samples the same density from code of its own, which need not be compiled for every panel.

    Parameters
    ----------
    panel, outcomes, model, priors, refresher
        As in :func:`rct.bayesian.fit`; any model but ``agencies``.

    Returns
    -------
    pymc.Model

    Raises
    ------
    EstimationError
        As :func:`rct.bayesian.fit`.
    """
    chosen, _, inputs = prepared(panel, outcomes, model=model, priors=priors, refresher=refresher)
    return stated(chosen, inputs)


def stated(model: CountModel, inputs: Inputs) -> Any:
    """Build the PyMC model; its dimensions are numbered, since their labels change from fit to fit."""
    pm = import_pymc()
    coords = {name: np.arange(len(labels)) for name, labels in inputs.coords.items()}
    with pm.Model(coords=coords) as built:
        data = {
            name: pm.Data(f"data_{name}", values, shape=values.shape)
            for name, values in inputs.tables.items()
        }
        model.build(replace(inputs, tables=data))
    return built
