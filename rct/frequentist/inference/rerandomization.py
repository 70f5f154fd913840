"""Randomization inference for a rate ratio: p-value of the sharp null, estimate and interval by inversion.

Valid by the randomization alone (Fisher 1935; Rosenbaum 2002, ch. 2): the draws are made by the mechanism
that made the allocation. The default statistic is the score of `score_randomization`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_draws, require_level, require_seed
from rct.frequentist.inference.chosen_statistic import STATISTICS, Chosen, chosen_statistic
from rct.frequentist.inference.inverted_test import limits, root
from rct.frequentist.inference.null_model import NullModel, null_model
from rct.frequentist.inference.redrawn_assignments import Redrawn, redraw_allocation, redraw_array
from rct.frequentist.inference.score_randomization import share_as_extreme

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel
    from rct.randomization import Allocation


def randomization_test(
    panel: Panel,
    outcome: str,
    *,
    allocation: Allocation | NDArray[np.integer] | None = None,
    statistic: Literal["score", "poisson", "difference", "staggered"] | Callable[..., Any] = "score",
    draws: int | Literal["exact"] = 9999,
    seed: int | None = None,
    fixed_effects: Sequence[str] | None = None,
    covariates: Sequence[str] = (),
    level: float = 0.95,
) -> Estimate | Estimates:
    """Test the sharp null of no effect by re-randomizing.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count; fractions are refused unless the panel declares them.
    allocation : Allocation or array (draws, randomized units)
        The mechanism; or, for a trial that was randomized elsewhere, first treated periods of
        re-randomizations (0 = never), columns in the order of `panel.randomized_units`.
    statistic : "score", "poisson", "difference", "staggered" or callable
        "score": sum of dose × (count − fitted under the null), centred at its mean under the mechanism; with
        transition periods also studentized, rows in transition under the given or the drawn assignment left
        out and the null fitted again. The others give an estimate and no interval: "poisson" the log rate
        ratio, fitted again in every draw; "difference" the studentized difference of rates within blocks and
        periods; "staggered" the studentized efficient estimate of `staggered`.
        A callable(counts, exposure, doses, arms, null) → (draws,): counts and exposure (units, periods) of
        the randomized units, doses (draws, units, periods) in chunks, arms (draws, units), null the ratio
        under test; a callable without `null` gets no interval.
    draws : int or "exact"
        Number of draws, or the whole space. An array sets the number itself.
    seed : int, optional
        Of the draws; required for a number of draws from an Allocation.
    fixed_effects : sequence of str, optional
        Of the null model. Where absent: periods within blocks, and units where the dose varies within a unit.
    covariates : sequence of str
        Numeric columns of the null model.
    level : float
        Of the interval.

    Returns
    -------
    Estimate or Estimates
        One for each treatment arm, on the log scale; `null_draws` holds the centred statistic of each draw,
        `draws_hash` the hash of the draws. The estimate is the root of the centred score.

    Raises
    ------
    EstimationError
        A panel whose assignment differs from the allocation's, a statistic that is the same in every draw,
        or one that does not allow for transition periods.
    """
    _check(panel, outcome, allocation, statistic, draws, seed, level)
    panel.require_counts(outcome, asked_by="the score test")
    if isinstance(allocation, np.ndarray):
        redrawn = [redraw_array(panel, allocation, exact=draws == "exact")]
    else:
        assert allocation is not None  # refused by _check
        redrawn = redraw_allocation(panel, allocation, draws, seed)
    rows = panel.rows(outcome)
    tested = [
        _tested(panel, outcome, rows, one, statistic, fixed_effects, covariates, level) for one in redrawn
    ]
    return tested[0] if len(tested) == 1 else Estimates(tuple(tested))


def _check(
    panel: Panel,
    outcome: str,
    allocation: object,
    statistic: object,
    draws: int | str,
    seed: int | None,
    level: float,
) -> None:
    if allocation is None:
        raise EstimationError(
            "a randomization test needs the mechanism: pass allocation=, or an array of first treated periods"
            " of re-randomizations (draws × panel.randomized_units)"
        )
    if not callable(statistic) and statistic not in STATISTICS:
        raise EstimationError(
            f"statistic must be one of {', '.join(STATISTICS)} or a callable, not {statistic!r}"
        )
    require_draws(draws)
    require_seed(seed)
    if not isinstance(allocation, np.ndarray) and draws != "exact" and seed is None:
        raise EstimationError("draws are random: give a seed with them")
    require_level(level)
    if panel.frame["treated"].isna().any() and statistic != "score":
        raise EstimationError(
            f"{outcome}: other rows are in transition in every draw, which statistic={statistic!r} does not"
            ' allow for; use statistic="score", which leaves them out'
        )


def _tested(
    panel: Panel,
    outcome: str,
    rows: pd.DataFrame,
    redrawn: Redrawn,
    statistic: str | Callable[..., Any],
    fixed_effects: Sequence[str] | None,
    covariates: Sequence[str],
    level: float,
) -> Estimate:
    kept = np.isin(rows["randomized"].to_numpy(dtype=str), redrawn.units)
    rows = rows.loc[kept].reset_index(drop=True)
    model = null_model(rows, redrawn.units, panel.periods, fixed_effects, covariates)
    chosen = chosen_statistic(statistic, panel, outcome, rows, model, redrawn)
    observed, null = chosen.at.observed(0.0), chosen.at.null(0.0)
    _require_varying(null, observed)
    p_value = float(share_as_extreme(np.array(observed), null, exact=redrawn.exact))
    estimate, low, high = chosen.estimate, float("nan"), float("nan")
    if chosen.inverted:
        estimate = root(chosen.at.observed)
        low, high = limits(chosen.at, estimate, level, exact=redrawn.exact)
    return _dressed(
        _Description(panel, outcome, redrawn, model, chosen, level),
        p_value,
        estimate,
        low,
        high,
        observed,
        null,
    )


def _require_varying(null: NDArray[np.float64], observed: float) -> None:
    everything = np.r_[null, observed]
    if not np.isfinite(everything).all():
        raise EstimationError(
            "the statistic is not a finite number in every draw, so draws cannot be compared"
        )
    if np.ptp(everything) <= 1e-12 * max(1.0, float(np.abs(everything).max())):
        raise EstimationError(
            "the statistic is the same in every draw, so the test cannot tell them apart: the null model"
            " explains treatment whatever is drawn (unit effects where the dose does not vary within a"
            " unit?), or nothing is randomized"
        )


@dataclass(frozen=True)
class _Description:
    panel: Panel
    outcome: str
    redrawn: Redrawn
    model: NullModel
    chosen: Chosen
    level: float


def _dressed(
    about: _Description,
    p_value: float,
    estimate: float,
    low: float,
    high: float,
    observed: float,
    null: NDArray[np.float64],
) -> Estimate:
    redrawn, rows = about.redrawn, about.model.sample.rows
    number = f"{len(null)} draws" if not redrawn.exact else f"all {len(null)} assignments"
    return Estimate(
        outcome=about.outcome,
        term=redrawn.arm,
        arm=redrawn.arm,
        reference=about.panel.control,
        estimand=about.chosen.estimand,
        method=about.chosen.method,
        inference=f"randomization test ({about.chosen.name}, {number})",
        scale=about.chosen.scale,
        level=about.level,
        estimate=estimate,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        n_units=int(rows.unit.max()) + 1,
        n_clusters=len(redrawn.units),
        n_events=float(rows.counts.sum()),
        std_error=about.chosen.std_error,
        warning=_warning(about, len(null), estimate),
        null_draws=null,
        draws_hash=redrawn.hash,
        notes={
            "statistic": observed,
            "draws": len(null),
            "exact": redrawn.exact,
            "dropped_units": about.model.sample.dropped_units,
            "smallest_p": redrawn.smallest_p,
        },
    )


def _warning(about: _Description, n_draws: int, estimate: float) -> str:
    parts = []
    redrawn, alpha = about.redrawn, 1 - about.level
    smallest = max(
        redrawn.smallest_p if np.isfinite(redrawn.smallest_p) else 0.0,
        0.0 if redrawn.exact else 1 / (1 + n_draws),
    )
    if smallest > alpha * (1 + 1e-9):
        parts.append(
            f"the smallest p-value that this design and number of draws can give is {smallest:.3g}, above"
            f" {alpha:.3g}: the test can never reject"
        )
    if about.chosen.inverted and not np.isfinite(estimate):
        parts.append("the statistic has no root, so there is no estimate and no interval")
    return "; ".join(parts)
