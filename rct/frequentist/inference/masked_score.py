"""The score where some periods are in transition: other rows are left out in every draw.

Rows in transition under the assignment that was made or under the drawn one are left out, the null model's
unit and period effects are fitted again on the rows that are left, and the score is divided by the square
root of its information, since draws leave out different amounts. It is centred at its mean over the draws
and the assignment that was made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.inference.inverted_test import Statistic
from rct.frequentist.inference.refitted_ratio import slope_information
from rct.frequentist.inference.score_randomization import null_expectation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.inference.null_model import NullModel
    from rct.frequentist.inference.redrawn_assignments import Redrawn

CHUNK = 200_000


def masked_statistic(model: NullModel, redrawn: Redrawn) -> Statistic:
    """Give the studentized score of the observed assignment and of every draw.

    Raises
    ------
    EstimationError
        A null model without period effects.
    """
    if not {"period", "block:period"} & set(model.effects):
        raise EstimationError(
            "with transition periods the null model is fitted again in every draw, for which it needs"
            ' "period" or "block:period" among its fixed effects'
        )

    @lru_cache(maxsize=4)
    def centred(log_ratio: float) -> tuple[float, NDArray[np.float64]]:
        expected = model.expected(log_ratio)
        everything = np.vstack([redrawn.observed[None], redrawn.draws])
        step = max(1, CHUNK // expected.size)
        values = np.concatenate(
            [
                studentized_scores(model, expected, redrawn.dose[everything[first : first + step]])
                for first in range(0, len(everything), step)
            ]
        )
        centre = values[1:].mean() if redrawn.exact else values.mean()
        return float(values[0] - centre), values[1:] - centre

    return Statistic(lambda log_ratio: centred(log_ratio)[0], lambda log_ratio: centred(log_ratio)[1])


def studentized_scores(
    model: NullModel, expected: NDArray[np.float64], dose: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Score over the root of its information, (draws,).

    Parameters
    ----------
    expected : (units, periods) under the null, zero in rows that are left out whatever is drawn
    dose : (draws, units, periods), NaN in transition
    """
    seen = ~np.isnan(dose)
    dose = np.where(seen, dose, 0.0)
    counts, unit_effects = model.counts_table, "unit" in model.effects
    score, information = np.zeros(len(dose)), np.zeros(len(dose))
    for code in np.unique(model.block):
        rows = model.block == code
        own = dose[:, rows]
        mean = null_expectation(
            counts[rows] * seen[:, rows], expected[rows] * seen[:, rows], unit_effects=unit_effects
        )
        score += (own * (counts[rows] * seen[:, rows] - mean)).sum(axis=(1, 2))
        information += slope_information(mean, own, row_effects=unit_effects)
    return np.asarray(score / np.sqrt(np.maximum(information, 1e-300)))
