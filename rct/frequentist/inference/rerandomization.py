"""Randomization inference for a rate ratio: p-value of the sharp null, estimate and interval by inversion.

Valid by the randomization alone (Fisher 1935; Rosenbaum 2002, ch. 2): the draws are made by the mechanism
that made the allocation. The default statistic is the score of `score_randomization`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.inference.inverted_test import Statistic, limits, root
from rct.frequentist.inference.null_model import NullModel, null_model
from rct.frequentist.inference.redrawn_assignments import Redrawn, redraw_allocation, redraw_array
from rct.frequentist.inference.score_randomization import (
    draw_statistics,
    observed_statistics,
    score_table,
    share_as_extreme,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel
    from rct.randomization import Allocation

CHUNK = 4_000_000


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
    statistic : "score" or callable
        "score": sum of dose × (count − fitted under the null), centred at its mean under the mechanism.
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
        or transition periods, which differ between draws.
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
    if not callable(statistic) and statistic != "score":
        raise EstimationError(f'statistic={statistic!r} is not built yet; use "score" or a callable')
    if (isinstance(draws, str) and draws != "exact") or (not isinstance(draws, str) and draws < 1):
        raise EstimationError(f'draws must be a positive number or "exact", not {draws!r}')
    if not isinstance(allocation, np.ndarray) and draws != "exact" and seed is None:
        raise EstimationError("draws are random: give a seed with them")
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level}")
    if panel.frame["treated"].isna().any():
        raise EstimationError(
            f"{outcome}: a randomization test with transition periods is not built yet, because other rows"
            " are in transition in every draw; use poisson with cluster-robust errors"
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
    if callable(statistic):
        at, name, has_interval = _callable_statistic(statistic, rows, redrawn, panel.periods)
    else:
        at, name, has_interval = _score_statistic(model, redrawn), "score", True
    observed, null = at.observed(0.0), at.null(0.0)
    _require_varying(null, observed)
    p_value = float(share_as_extreme(np.array(observed), null, exact=redrawn.exact))
    estimate = root(at.observed) if has_interval else float("nan")
    low, high = limits(at, estimate, level, exact=redrawn.exact)
    return _dressed(
        _Description(panel, outcome, redrawn, model, name, level),
        p_value, estimate, low, high, observed, null, has_interval=has_interval,
    )  # fmt: skip


def _score_statistic(model: NullModel, redrawn: Redrawn) -> Statistic:
    def table(log_ratio: float) -> tuple[NDArray[np.float64], float]:
        contributions = score_table(model.residual(log_ratio), redrawn.dose)
        return contributions, float((contributions * redrawn.frequencies).sum())

    def observed(log_ratio: float) -> float:
        contributions, centre = table(log_ratio)
        return float(observed_statistics(contributions, redrawn.observed) - centre)

    def null(log_ratio: float) -> NDArray[np.float64]:
        contributions, centre = table(log_ratio)
        return draw_statistics(contributions, redrawn.by_unit) - centre

    return Statistic(observed, null)


def _callable_statistic(
    statistic: Callable[..., Any], rows: pd.DataFrame, redrawn: Redrawn, periods: int
) -> tuple[Statistic, str, bool]:
    """Evaluate a user's statistic on the randomized units' totals, chunk by chunk."""
    shape = (len(redrawn.units), periods)
    unit = np.searchsorted(np.array(redrawn.units), rows["randomized"].to_numpy(dtype=str))
    place = unit * periods + rows["period"].to_numpy() - 1
    counts, exposure = (
        np.bincount(place, rows[column].to_numpy(dtype=float), shape[0] * shape[1]).reshape(shape)
        for column in ("count", "exposure")
    )
    takes_null = "null" in inspect.signature(statistic).parameters

    def evaluate(sequences: NDArray[np.integer], log_ratio: float) -> NDArray[np.float64]:
        given = {"null": float(np.exp(log_ratio))} if takes_null else {}
        step = max(1, CHUNK // (shape[0] * shape[1]))
        parts = [
            np.asarray(
                statistic(counts, exposure, redrawn.dose[chunk], redrawn.arms[chunk], **given), dtype=float
            ).reshape(len(chunk))
            for chunk in (sequences[first : first + step] for first in range(0, len(sequences), step))
        ]
        return np.concatenate(parts)

    at = Statistic(
        lambda log_ratio: float(evaluate(redrawn.observed[None], log_ratio)[0]),
        lambda log_ratio: evaluate(redrawn.draws, log_ratio),
    )
    return at, getattr(statistic, "__name__", "own statistic"), takes_null


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
    statistic: str
    level: float


def _dressed(
    about: _Description,
    p_value: float,
    estimate: float,
    low: float,
    high: float,
    observed: float,
    null: NDArray[np.float64],
    *,
    has_interval: bool,
) -> Estimate:
    redrawn, rows = about.redrawn, about.model.sample.rows
    number = f"{len(null)} draws" if not redrawn.exact else f"all {len(null)} assignments"
    return Estimate(
        outcome=about.outcome,
        term=redrawn.arm,
        arm=redrawn.arm,
        reference=about.panel.control,
        estimand="ITT incidence rate ratio, constant effect",
        method=f"score of a Poisson model with {' and '.join(about.model.effects)} effects"
        if about.statistic == "score"
        else f"statistic {about.statistic}",
        inference=f"randomization test ({about.statistic}, {number})",
        scale="log",
        level=about.level,
        estimate=estimate,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        n_units=int(rows.unit.max()) + 1,
        n_clusters=len(redrawn.units),
        n_events=float(rows.counts.sum()),
        warning=_warning(about, len(null), estimate, has_interval=has_interval),
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


def _warning(about: _Description, n_draws: int, estimate: float, *, has_interval: bool) -> str:
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
    if has_interval and not np.isfinite(estimate):
        parts.append("the statistic has no root, so there is no estimate and no interval")
    return "; ".join(parts)
