"""Rate models without unit effects: design, and the estimates dressed with their names.

Rows with the same effects, treatment and covariates share a row of the design, so that a model can be fitted
to as many rows as there are different ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_level
from rct.frequentist.inference.wald import wald
from rct.frequentist.integer_codes import dense_codes, sums_by_code
from rct.frequentist.model_sample import ModelSample, model_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.treatment_terms import Effect
    from rct.panel import Panel

COLLINEAR = 1e-10


@dataclass(frozen=True)
class PooledRates:
    """Counts with a log-linear mean.

    sample : the rows with a likelihood, their terms and contrasts
    design : (patterns, columns) terms first, then covariates, intercept and effects
    pattern : (rows,) row of the design that each row has
    """

    outcome: str
    reference: str
    method: str
    level: float
    sample: ModelSample
    design: NDArray[np.float64]
    pattern: NDArray[np.intp]

    @property
    def counts(self) -> NDArray[np.float64]:
        """Events of each row."""
        return self.sample.sample.rows.counts

    @property
    def exposure(self) -> NDArray[np.float64]:
        """Person-time of each row."""
        return self.sample.sample.rows.exposure

    @property
    def unit(self) -> NDArray[np.intp]:
        """Measured unit of each row, as codes 0…n−1."""
        return self.sample.sample.rows.unit


def pooled_rates(
    panel: Panel,
    outcome: str,
    *,
    model: str,
    fixed_effects: Sequence[str],
    covariates: Sequence[str],
    effect: Effect = "constant",
    average: tuple[int, int] | None = None,
    level: float,
) -> PooledRates:
    """Read the panel for a rate model without unit effects.

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or a covariate that is no number.
    EstimationError
        Unit effects, or a design in which the effect does not exist.
    """
    require_level(level)
    if "unit" in fixed_effects:
        raise EstimationError(
            f"{model} takes no unit effects: its own parameters cannot be estimated beside one for each unit."
            ' Leave "unit" out of fixed_effects, or use poisson, from which unit effects drop out exactly'
        )
    panel.require_counts(outcome, asked_by=f"{model}")
    sample = model_sample(panel, outcome, fixed_effects, covariates, effect, average)
    design, pattern = _design(sample, covariates)
    effects = f", {' and '.join(fixed_effects)} effects" if fixed_effects else ""
    named = f", covariates {', '.join(covariates)}" if covariates else ""
    return PooledRates(outcome, panel.control, model + effects + named, level, sample, design, pattern)


def _design(sample: ModelSample, covariates: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    rows = sample.sample.rows
    pattern = np.zeros(len(rows.counts), dtype=np.intp)
    dose = np.where(rows.term >= 0, rows.dose, 0.0)
    for own in (
        *rows.effects,
        rows.term + 1,
        *(np.unique(x, return_inverse=True)[1] for x in (dose, *rows.covariates.T)),
    ):
        pattern = dense_codes(pattern * (own.max() + 1) + own)
    example = np.empty(int(pattern.max()) + 1, dtype=np.intp)
    example[pattern] = np.arange(len(pattern))
    terms = (rows.term[example, None] == np.arange(rows.n_terms)) * dose[example, None]
    effects = [own[example, None] == np.arange(1, own.max() + 1) for own in rows.effects]
    nuisance = np.column_stack([np.ones(len(example)), *effects]).astype(float)
    wanted = np.column_stack([terms, rows.covariates[example]])
    columns = np.column_stack([nuisance, wanted])
    dependent = _dependent(columns, sums_by_code(pattern, rows.exposure))
    lost = [i - nuisance.shape[1] for i in dependent if i >= nuisance.shape[1]]
    if lost:
        names = [*(term.name for term in sample.terms), *covariates]
        raise EstimationError(
            f"{', '.join(names[i] for i in lost)}: explained by the fixed effects or the same in every row,"
            " so not identified. If everyone crosses in the same period, period effects and treatment are"
            " one. Leave out the effects or the covariate at fault."
        )
    return np.hstack([wanted, np.delete(nuisance, dependent, axis=1)]), pattern


def _dependent(columns: NDArray[np.float64], weight: NDArray[np.float64]) -> list[int]:
    """Give the columns of which those before them leave nothing but rounding."""
    left = (columns * weight[:, None]).T @ columns
    size = np.diag(left).copy()
    dependent = []
    for j in range(len(size)):
        if left[j, j] <= COLLINEAR * size[j]:
            dependent.append(j)
        else:
            left = left - np.outer(left[:, j], left[j]) / left[j, j]
    return dependent


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Where uncertainty comes from: covariance of the coefficients, its name, t's df, a warning."""

    covariance: NDArray[np.float64]
    name: str
    n_clusters: int
    df: float = np.inf
    warning: str = ""


def rate_estimates(
    pooled: PooledRates,
    coefficients: NDArray[np.float64],
    inference: Inference,
    notes: Mapping[str, float | str],
) -> Estimate | Estimates:
    """Dress the coefficients of the terms: one Estimate, or Estimates for several arms or exposure times."""
    sample = pooled.sample
    counted = {
        "rows": len(pooled.counts),
        "dropped_levels": sample.sample.dropped_levels,
        "incomplete_rows": sample.incomplete,
    }
    warning = [inference.warning] if inference.warning else []
    if sample.incomplete:
        warning.append(f"{sample.incomplete} rows without covariates were left out")
    if sample.sample.dropped_levels:
        warning.append(
            f"{sample.sample.dropped_levels} periods (or other effects) without an event were left out"
        )
    rows = []
    for term, weights in sample.contrasts():
        contrast = np.r_[weights, np.zeros(len(coefficients) - len(weights))]
        variance = contrast @ inference.covariance @ contrast
        if not variance > 0:
            raise EstimationError(f"{term.name}: the variance is not positive, so the fit means nothing")
        value, std_error = float(contrast @ coefficients), float(np.sqrt(variance))
        low, high, p_value = wald(value, std_error, inference.df, pooled.level)
        rows.append(
            Estimate(
                outcome=pooled.outcome,
                term=sample.name(term),
                arm=term.arm,
                reference=pooled.reference,
                exposure_time=float("nan") if term.exposure_time is None else float(term.exposure_time),
                estimand=sample.estimand(term),
                method=pooled.method,
                inference=inference.name,
                scale="log",
                level=pooled.level,
                estimate=value,
                std_error=std_error,
                df=inference.df if np.isfinite(inference.df) else float("nan"),
                conf_low=low,
                conf_high=high,
                p_value=p_value,
                n_units=int(pooled.unit.max()) + 1,
                n_clusters=inference.n_clusters,
                n_events=float(pooled.counts.sum()),
                warning="; ".join(warning),
                notes={**counted, **notes},
            )
        )
    return rows[0] if len(rows) == 1 else Estimates(tuple(rows))
