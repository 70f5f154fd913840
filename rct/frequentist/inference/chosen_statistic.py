"""The statistics of a randomization test, each for the assignment that was made and for every draw."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.errors import EstimationError
from rct.estimates import NAN, Scale
from rct.frequentist.inference.inverted_test import Statistic
from rct.frequentist.inference.masked_score import masked_statistic
from rct.frequentist.inference.null_model import NullModel
from rct.frequentist.inference.rate_difference import rate_differences
from rct.frequentist.inference.refitted_ratio import refitted_ratios
from rct.frequentist.inference.score_randomization import (
    draw_statistics,
    observed_statistics,
    score_table,
)
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.frequentist.inference.redrawn_assignments import Redrawn
    from rct.panel import Panel

STATISTICS = ("score", "poisson", "difference", "staggered")
CHUNK = 4_000_000
RATIO = "ITT incidence rate ratio, constant effect"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A statistic and what it estimates.

    inverted : whether it is a function of the ratio under test, so that estimate and interval come from it
    estimate, std_error : of the assignment that was made, where the statistic is not inverted
    """

    at: Statistic
    name: str
    method: str
    estimand: str = RATIO
    scale: Scale = "log"
    inverted: bool = False
    estimate: float = NAN
    std_error: float = NAN


def chosen_statistic(
    statistic: str | Callable[..., Any],
    panel: Panel,
    outcome: str,
    rows: pd.DataFrame,
    model: NullModel,
    redrawn: Redrawn,
) -> Chosen:
    """Give the statistic by its name, or a user's own.

    Raises
    ------
    EstimationError
        A statistic that does not exist in this design.
    """
    if callable(statistic):
        return _own(statistic, rows, redrawn, panel.periods)
    if statistic == "poisson":
        return _poisson(model, redrawn)
    if statistic == "difference":
        return _difference(rows, model, redrawn)
    if statistic == "staggered":
        return _staggered(panel, outcome, redrawn)
    masked = bool(np.isnan(redrawn.dose).any())
    effects = " and ".join(model.effects)
    return Chosen(
        at=masked_statistic(model, redrawn) if masked else _score(model, redrawn),
        name="studentized score" if masked else "score",
        method=f"score of a Poisson model with {effects} effects"
        + (", transition periods of every draw left out" if masked else ""),
        inverted=True,
    )


def _poisson(model: NullModel, redrawn: Redrawn) -> Chosen:
    estimate = float(refitted_ratios(model, redrawn, redrawn.observed[None])[0])
    return Chosen(
        at=Statistic(lambda _: estimate, lambda _: refitted_ratios(model, redrawn, redrawn.by_unit)),
        name="poisson",
        method=f"Poisson with {' and '.join(model.effects)} effects, fitted again in every draw",
        estimate=estimate,
    )


def _difference(rows: pd.DataFrame, model: NullModel, redrawn: Redrawn) -> Chosen:
    if not np.isin(redrawn.dose, (0.0, 1.0)).all():
        raise EstimationError(
            'statistic="difference" compares treated with untreated, so it needs doses 0 and 1'
        )
    counts, exposure = _tables(rows, redrawn, model.shape)
    block = np.unique(_blocks(rows, redrawn), return_inverse=True)[1]

    def of(sequences: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        step = max(1, CHUNK // counts.size)
        parts = [
            rate_differences(counts, exposure, redrawn.dose[sequences[first : first + step]], block)
            for first in range(0, len(sequences), step)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def studentized(sequences: NDArray[np.integer]) -> NDArray[np.float64]:
        difference, std_error = of(sequences)
        return difference / std_error

    own = of(redrawn.observed[None])
    return Chosen(
        at=Statistic(
            lambda _: float(studentized(redrawn.observed[None])[0]), lambda _: studentized(redrawn.draws)
        ),
        name="studentized difference of rates",
        method="difference of rates within blocks and periods",
        estimand="ITT difference of rates, events per unit of exposure and period",
        scale="difference",
        estimate=float(own[0][0]),
        std_error=float(own[1][0]),
    )


def _staggered(panel: Panel, outcome: str, redrawn: Redrawn) -> Chosen:
    from rct.frequentist.redrawn_timing import redrawn_timing

    fit, null = redrawn_timing(panel, outcome, redrawn)
    return Chosen(
        at=Statistic(lambda _: fit.estimate / fit.std_error_neyman, lambda _: null),
        name="studentized efficient estimate",
        method="randomized timing, efficient",
        estimand="average effect of assigned timing, events per unit-period (simple)",
        scale="difference",
        estimate=fit.estimate,
        std_error=fit.std_error_neyman,
    )


def _blocks(rows: pd.DataFrame, redrawn: Redrawn) -> NDArray[np.str_]:
    block = rows.drop_duplicates("randomized").set_index("randomized")["block"]
    return block.reindex(redrawn.units).fillna("").to_numpy(dtype=str)


def _tables(
    rows: pd.DataFrame, redrawn: Redrawn, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts and exposure of the randomized units, (units, periods)."""
    unit = np.searchsorted(np.array(redrawn.units), rows["randomized"].to_numpy(dtype=str))
    place = unit * shape[1] + rows["period"].to_numpy() - 1
    counts, exposure = (
        sums_by_code(place, rows[column].to_numpy(dtype=float), shape[0] * shape[1]).reshape(shape)
        for column in ("count", "exposure")
    )
    return counts, exposure


def _score(model: NullModel, redrawn: Redrawn) -> Statistic:
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


def _own(statistic: Callable[..., Any], rows: pd.DataFrame, redrawn: Redrawn, periods: int) -> Chosen:
    """Evaluate a user's statistic on the randomized units' totals, chunk by chunk."""
    counts, exposure = _tables(rows, redrawn, (len(redrawn.units), periods))
    takes_null = "null" in inspect.signature(statistic).parameters

    def evaluate(sequences: NDArray[np.integer], log_ratio: float) -> NDArray[np.float64]:
        given = {"null": float(np.exp(log_ratio))} if takes_null else {}
        step = max(1, CHUNK // counts.size)
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
    name = getattr(statistic, "__name__", "own statistic")
    return Chosen(at=at, name=name, method=f"statistic {name}", inverted=takes_null)
