"""Priors of the effect with a source: earlier trials, discounted; a sceptic's and an enthusiast's."""

import math
from typing import TYPE_CHECKING

from rct.bayesian.priors import DISTRIBUTIONS, Prior, checked_prior
from rct.bayesian.trial_synthesis import trials_of
from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

# The upper 5 % point of the normal distribution.
Z95 = 1.6448536269514722


def earlier_trials(
    effects_frame: "pd.DataFrame", *, discount: float, start: tuple[float, float] = (0.0, 0.5)
) -> dict[str, Prior]:
    """Turn earlier trials into a prior of the effect, each counting for a share of its size.

    The power prior of Ibrahim & Chen (2000): the earlier likelihood is raised to the power ``discount``, so
    that a trial with standard error s counts as one with s / sqrt(discount), on top of a starting prior. It
    supposes one effect everywhere; where places differ, :meth:`Meta.as_prior` lets the trials say how much.

    Parameters
    ----------
    effects_frame : DataFrame
        ``estimate`` (log rate ratio), ``std_error`` and, if wanted, ``trial``: one row per trial.
    discount : float
        From 0 (earlier trials are ignored) to 1 (they count like the new one's own data).
    start : (float, float)
        Mean and standard deviation of the normal prior before any trial.

    Returns
    -------
    dict
        ``{"effect": {"normal": [mean, sd]}}``, for ``fit(priors=…)`` and for ``[analysis.priors]``.

    Raises
    ------
    DataError
        When the frame is not one of effects.
    EstimationError
        When the discount is not between 0 and 1, or the starting prior has no spread.
    """
    _, estimates, errors = trials_of(effects_frame)
    mean, sd = checked_prior("effect", {"normal": start}, DISTRIBUTIONS)["normal"]
    if not 0 <= discount <= 1:
        raise EstimationError(f"discount = {discount!r}: a share between 0 and 1 is needed, such as 0.5.")
    weights = discount / errors**2
    precision = 1 / sd**2 + weights.sum()
    centre = (mean / sd**2 + weights @ estimates) / precision
    return {"effect": {"normal": [float(centre), float(precision**-0.5)]}}


def reference_priors(*, ratio: float = 0.8) -> dict[str, dict[str, Prior]]:
    """Give the priors of a sceptic and of an enthusiast, to see whether the data convince both.

    The sceptic thinks no effect most likely and gives 5 % to an effect larger than hoped for; the enthusiast
    expects the effect hoped for and gives 5 % to no benefit at all (Spiegelhalter, Freedman & Parmar 1994,
    "Bayesian approaches to randomized trials", section 4.2).

    Parameters
    ----------
    ratio : float
        The incidence rate ratio hoped for.

    Returns
    -------
    dict
        ``{"sceptical": {"effect": {"normal": [0, sd]}}, "enthusiastic": {"effect": {"normal": [log ratio,
        sd]}}}``, each for ``fit(priors=…)``.

    Raises
    ------
    EstimationError
        For a ratio that is 1 or not above 0.
    """
    if not ratio > 0 or ratio == 1:
        raise EstimationError(f"ratio = {ratio}: the rate ratio hoped for is above 0 and not 1, such as 0.8.")
    hoped = math.log(ratio)
    sd = abs(hoped) / Z95
    return {
        "sceptical": {"effect": {"normal": [0.0, sd]}},
        "enthusiastic": {"effect": {"normal": [hoped, sd]}},
    }
