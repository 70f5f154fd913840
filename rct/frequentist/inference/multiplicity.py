"""Adjustment of p-values for several outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_one_of
from rct.frequentist.inference.score_randomization import TIE_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray


def adjust(estimates: Estimates, *, method: Literal["holm", "westfall-young"] = "holm") -> Estimates:
    """Adjust p-values over the outcomes, effect by effect.

    Rows of the same term, arm, event time and exposure time form a family, one row an outcome. Rows without
    a p-value stay as they are.

    Parameters
    ----------
    estimates : Estimates
    method : {"holm", "westfall-young"}
        "holm" (Holm 1979): the i-th smallest of m p-values times m − i + 1, made monotone and at most one.
        Valid whatever the dependence between the outcomes. "westfall-young" (Westfall & Young 1993, algorithm
        2.8): step-down with the smallest p-value of every draw, which uses that outcomes move together; the
        rows must have kept the statistics of the same draws.

    Returns
    -------
    Estimates
        The same rows with `p_adjusted`.

    Raises
    ------
    EstimationError
        An outcome that stands twice in a family; "westfall-young" with rows that kept no draws, or not the
        same ones.
    """
    require_one_of("method", method, ("holm", "westfall-young"))
    families: dict[tuple[str, str, str, str], list[int]] = {}
    for number, row in enumerate(estimates):
        if row.p_value == row.p_value:
            families.setdefault(_family(row), []).append(number)
    rows = list(estimates)
    for members in families.values():
        own = [rows[number] for number in members]
        _require_different_outcomes(own)
        adjusted = holm([row.p_value for row in own]) if method == "holm" else westfall_young(own)
        for number, p in zip(members, adjusted, strict=True):
            rows[number] = replace(rows[number], p_adjusted=p)
    return replace(estimates, rows=tuple(rows))


def holm(p_values: list[float]) -> list[float]:
    """Give Holm's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for place, number in enumerate(order):
        running = max(running, (len(p_values) - place) * p_values[number])
        adjusted[number] = min(1.0, running)
    return adjusted


def westfall_young(rows: list[Estimate]) -> list[float]:
    """Give the step-down smallest-p adjusted p-values, in the order given."""
    _require_common_draws(rows)
    p_of_draws = np.stack([_p_of_every_draw(row) for row in rows])
    return [float(p) for p in step_down(np.array([row.p_value for row in rows]), p_of_draws)]


def step_down(observed: NDArray[np.float64], p_of_draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values (outcomes,) with those of every draw (outcomes, draws); Westfall & Young 1993, 2.8."""
    order = np.argsort(observed, kind="stable")
    # The smallest p-value of each draw among this outcome and those with larger observed ones.
    smallest = np.minimum.accumulate(p_of_draws[order][::-1], axis=0)[::-1]
    share = np.mean(smallest <= observed[order][:, None] * (1 + TIE_TOLERANCE), axis=1)
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate(share)
    return adjusted


def _require_different_outcomes(rows: list[Estimate]) -> None:
    names = [row.outcome for row in rows]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise EstimationError(
            f"{', '.join(twice)} stands more than once for {rows[0].term}: p-values are adjusted over the"
            " outcomes of one analysis; give the rows of one method at a time"
        )


def _require_common_draws(rows: list[Estimate]) -> None:
    without = [row.outcome for row in rows if row.null_draws is None or "statistic" not in row.notes]
    if without:
        raise EstimationError(
            f"westfall-young needs the statistic of every draw, which {', '.join(without)} did not keep:"
            ' use a randomization test or a wild bootstrap, or method="holm"'
        )
    if len({row.draws_hash for row in rows}) > 1 or not rows[0].draws_hash:
        clusters = {row.n_clusters for row in rows}
        where = (
            "test all of them with one allocation and one seed"
            if len(clusters) == 1
            else "a bootstrap draws signs for clusters with events, and these outcomes have them in"
            f" {', '.join(map(str, sorted(clusters)))} clusters: use a randomization test, or"
            ' method="holm"'
        )
        raise EstimationError(
            f"westfall-young needs the same draws for every outcome, but those of"
            f" {', '.join(row.outcome for row in rows)} differ (draws_hash): {where}"
        )


def _p_of_every_draw(row: Estimate) -> NDArray[np.float64]:
    assert row.null_draws is not None  # refused by _require_common_draws
    exact = bool(row.notes["exact"])
    return p_of_every_draw(0.0 if exact else float(row.notes["statistic"]), row.null_draws, exact=exact)


def p_of_every_draw(statistic: float, null: NDArray[np.float64], *, exact: bool) -> NDArray[np.float64]:
    """p-value of each draw among the draws (draws,); a sample counts the observed statistic among them."""
    size = np.abs(null) if exact else np.r_[abs(statistic), np.abs(null)]
    ranked = np.sort(size)
    finite = size[np.isfinite(size)]
    tolerance = TIE_TOLERANCE * finite.max(initial=0.0)
    return np.asarray((len(size) - np.searchsorted(ranked, size - tolerance)) / len(size))


def _family(row: Estimate) -> tuple[str, str, str, str]:
    return row.term, row.arm, str(row.event_time), str(row.exposure_time)
