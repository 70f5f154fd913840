"""The randomization test of a rate ratio by the score: one null fit serves every re-randomization.

The score of a Poisson model in the treatment coefficient, at the null, is sum dose × (y − mu_0). Under the
sharp null the residuals do not depend on the assignment, so each unit's contribution under each sequence is
one entry of a table and a draw is a sum of look-ups. The statistic is centred at its mean under the
mechanism: where probabilities differ between blocks the raw score is not zero in expectation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIE_TOLERANCE = 1e-9
SCALING_TOLERANCE = 1e-12
MAX_SCALINGS = 1000


def score_table(residual: NDArray[np.float64], dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Contribution of each unit under each sequence.

    Parameters
    ----------
    residual : (…, units, periods) count less its expectation under the null
    dose : (sequences, periods)

    Returns
    -------
    (…, units, sequences)
    """
    return np.asarray(residual @ dose.T)


def draw_statistics(table: NDArray[np.float64], draws: NDArray[np.integer]) -> NDArray[np.float64]:
    """Statistic of each draw.

    Parameters
    ----------
    table : (units, sequences) or (replicates, units, sequences)
    draws : (draws, units) sequence numbers, fastest where columns lie together (Fortran order)

    Returns
    -------
    (draws,) or (replicates, draws)
    """
    by_unit = np.moveaxis(table.reshape(-1, *table.shape[-2:]), 0, -1)
    total = np.zeros((len(draws), by_unit.shape[-1]))
    for unit in np.flatnonzero(by_unit.any(axis=(1, 2))):
        total += by_unit[unit].take(draws[:, unit], axis=0)
    return np.ascontiguousarray(total.T).reshape(*table.shape[:-2], len(draws))


def observed_statistics(table: NDArray[np.float64], observed: NDArray[np.integer]) -> NDArray[np.float64]:
    """Statistic of the assignment that was made: table (…, units, sequences), observed (…, units)."""
    return np.asarray(
        np.take_along_axis(table, observed[..., None].astype(np.intp), axis=-1)[..., 0].sum(axis=-1)
    )


def share_as_extreme(
    statistic: NDArray[np.float64], null: NDArray[np.float64], *, exact: bool
) -> NDArray[np.float64]:
    """Two-sided p-value of centred statistics.

    Parameters
    ----------
    statistic : (…)
    null : (…, draws)
    exact : bool
        The draws are the whole space: the share of them; else (1 + number) / (1 + draws).
    """
    reached = np.abs(null)
    if not (np.isfinite(reached).all() and np.isfinite(statistic).all()):
        raise EstimationError("the test statistic is not a finite number in every draw: no p-value exists")
    tolerance = TIE_TOLERANCE * np.maximum(reached.max(axis=-1), np.abs(statistic))
    number = np.count_nonzero(reached >= (np.abs(statistic) - tolerance)[..., None], axis=-1)
    n = null.shape[-1]
    return np.asarray(number / n if exact else (1 + number) / (1 + n))


def score_p_values(
    counts: NDArray[np.float64],
    dose: NDArray[np.float64],
    observed: NDArray[np.integer],
    draws: NDArray[np.integer],
    *,
    exposure: NDArray[np.float64] | None = None,
    block: NDArray[np.integer] | None = None,
    unit_effects: bool = True,
    probabilities: NDArray[np.float64] | None = None,
    exact: bool = False,
) -> NDArray[np.float64]:
    """Randomization p-values of many simulated trials at once.

    Parameters
    ----------
    counts, dose, observed, draws, exposure, block, unit_effects, probabilities
        As in `centred_scores`.
    exact : bool
        The draws are the whole space.

    Returns
    -------
    (replicates,)
    """
    statistic, null = centred_scores(
        counts, dose, observed, draws, exposure=exposure, block=block, unit_effects=unit_effects,
        probabilities=probabilities,
    )  # fmt: skip
    return share_as_extreme(statistic, null, exact=exact)


def centred_scores(
    counts: NDArray[np.float64],
    dose: NDArray[np.float64],
    observed: NDArray[np.integer],
    draws: NDArray[np.integer],
    *,
    exposure: NDArray[np.float64] | None = None,
    block: NDArray[np.integer] | None = None,
    unit_effects: bool = True,
    probabilities: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Statistics of many simulated trials, and those of every draw.

    The null model has period effects within blocks and, where asked, unit effects.

    Parameters
    ----------
    counts : (replicates, units, periods)
        Events of the randomized units.
    dose : (sequences, periods)
    observed : (replicates, units)
        Sequence that each unit followed.
    draws : (draws, units)
        Re-randomizations, the same for all replicates.
    exposure : (units, periods) or (replicates, units, periods), optional
        A null ratio other than one enters as a factor ratio^dose of the observed assignment.
    block : (units,), optional
        Codes of the blocks.
    unit_effects : bool
        Whether the null model has an effect for each unit (it should where the dose varies within a unit).
    probabilities : (units, sequences), optional
        Of each sequence under the mechanism; the mean over the draws takes their place where absent.

    Returns
    -------
    (replicates,) and (replicates, draws)
    """
    counts = np.asarray(counts, dtype=float)
    weight = np.broadcast_to(np.ones(1) if exposure is None else exposure, counts.shape)
    residual = np.empty_like(counts)
    codes = np.zeros(counts.shape[1], dtype=np.intp) if block is None else np.asarray(block)
    for code in np.unique(codes):
        rows = codes == code
        expected = null_expectation(counts[:, rows], weight[:, rows], unit_effects=unit_effects)
        residual[:, rows] = counts[:, rows] - expected
    table = score_table(residual, dose)
    null = draw_statistics(table, draws)
    statistic = observed_statistics(table, observed)
    centre = null.mean(axis=-1) if probabilities is None else (table * probabilities).sum(axis=(-2, -1))
    return statistic - centre, null - centre[..., None]


def null_expectation(
    counts: NDArray[np.float64], exposure: NDArray[np.float64], *, unit_effects: bool
) -> NDArray[np.float64]:
    """Fitted counts of one block without treatment: period effects, and unit effects where asked.

    With exposure that is a product of a unit's and a period's part the fit is a ratio of totals, else
    margins are scaled in turn until both are met (Deming & Stephan 1940), which is maximum likelihood.

    Parameters
    ----------
    counts : (replicates, units, periods)
    exposure : (units, periods) or (replicates, units, periods)
    """
    by_period = counts.sum(axis=1, keepdims=True)
    if not unit_effects:
        return np.asarray(exposure * ratio_of_totals(by_period, exposure.sum(axis=-2, keepdims=True)))
    by_unit = counts.sum(axis=2, keepdims=True)
    fitted = np.broadcast_to(exposure, counts.shape)
    for _ in range(MAX_SCALINGS):
        fitted = fitted * ratio_of_totals(by_unit, fitted.sum(axis=2, keepdims=True))
        factor = ratio_of_totals(by_period, fitted.sum(axis=1, keepdims=True))
        fitted = fitted * factor
        if np.max(np.abs(fitted.sum(axis=2, keepdims=True) - by_unit), initial=0.0) <= (
            SCALING_TOLERANCE * by_unit.max(initial=1.0)
        ):
            break
    return fitted


def ratio_of_totals(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; nothing where there is nothing below."""
    return np.asarray(
        np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)
    )
