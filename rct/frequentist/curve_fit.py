"""Poisson fit of a curve in exposure time, its half-life by profile likelihood, its clustered variance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.clustered_fit import ClusteredFit, fit_clustered
from rct.frequentist.collapsed_cells import UnitRows, collapse
from rct.frequentist.fixed_effects_likelihood import (
    FixedEffectsFit,
    fit_fixed_effects,
    log_likelihood,
)
from rct.frequentist.half_life import HalfLife, maximize, profile_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.curve_shapes import Shape
    from rct.frequentist.inference.cluster_robust import Correction

POLISH = 30
POLISHED = 1e-10


@dataclass(frozen=True)
class CurveRows:
    """Rows with a likelihood, one treatment term for each arm, and their exposure times.

    rows : UnitRows
    arms : names, in the order of the terms
    time : (rows,) exposure time since the last session, 0 where untreated
    refreshed : (rows,) whether a refresher has been held; None where nobody asks for it
    """

    rows: UnitRows
    arms: tuple[str, ...]
    time: NDArray[np.float64]
    refreshed: NDArray[np.bool_] | None

    @property
    def longest(self) -> int:
        """The longest exposure time in the data."""
        return int(self.time.max())

    def longest_of(self, arm: int) -> int:
        """Give the longest exposure time of one arm."""
        return int(self.time[self.rows.term == arm].max())


@dataclass(frozen=True)
class CurveFit:
    """A fitted curve; coefficients: each arm's curve, each arm's refresher, the log half-life's change."""

    shape: Shape
    fitted: ClusteredFit
    half_life: HalfLife | None
    amplitudes: NDArray[np.float64]
    n_arms: int
    has_refresher: bool

    def at(self, arm: int, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the weights (coefficients,) of the mean over exposure times; a half-life enters linearized."""
        half_life = None if self.half_life is None else self.half_life.value
        own = self.shape.columns(times, half_life).mean(axis=0)
        weights = self._blank()
        weights[arm * len(own) : (arm + 1) * len(own)] = own
        if self._linearized:
            assert half_life is not None
            weights[-1] = self.amplitudes[arm] * self.shape.derivative(times, half_life).mean()
        return weights

    def asymptote(self, arm: int) -> NDArray[np.float64]:
        """Give the weights of the level that the effect approaches."""
        weights = self._blank()
        weights[arm * 2] = 1.0
        return weights

    def refresher(self, arm: int) -> NDArray[np.float64]:
        """Give the weights of the refresher's own coefficient."""
        weights = self._blank()
        weights[len(weights) - self._linearized - self.n_arms + arm] = 1.0
        return weights

    def require_asymptote(self) -> None:
        """Refuse an asymptote that lies beyond the data."""
        if self.half_life is not None and (self.half_life.at_edge or np.isinf(self.half_life.high)):
            raise EstimationError(
                "the effect still changes at the last exposure time, or never changes: the data set no upper"
                " limit to the half-life, so its asymptote is unknown. Ask for long_run as a number of"
                " exposure times"
            )

    @property
    def _linearized(self) -> bool:
        return self.half_life is not None and not self.half_life.at_edge

    def _blank(self) -> NDArray[np.float64]:
        return np.zeros(_n_columns(self.shape, self.n_arms, self.has_refresher) + self._linearized)


def fit_curve(
    curve: CurveRows,
    shape: Shape,
    clusters: tuple[NDArray[np.intp], ...],
    correction: Correction,
    level: float,
    covariates: list[str],
) -> CurveFit:
    """Fit the curve, searching for its half-life where it has one.

    Parameters
    ----------
    clusters : codes 0…G−1 (rows,) of one or two clusterings
    level : of the profile limits of the half-life
    covariates : names, for messages

    Raises
    ------
    EstimationError
        The fixed effects explain the curve, a refresher or a covariate.
    """
    search = _Search(curve, shape)
    _require_constant(search.constant(), list(curve.arms), covariates)
    half_life, at_edge, amplitudes = None, False, np.empty(0)
    if shape.has_half_life:
        log_half_life, at_edge = maximize(search.log_likelihood, curve.longest)
        if not at_edge:
            log_half_life = search.polished(log_half_life)
        half_life = float(np.exp(log_half_life))
        amplitudes = search.amplitudes(half_life)
    columns = _columns(_doses(curve), curve.time, curve.refreshed, shape, half_life)
    if half_life is not None and not at_edge:
        bend = (_doses(curve) @ amplitudes) * shape.derivative(curve.time, half_life)
        columns = np.column_stack([columns, bend])
    rows = replace(
        curve.rows,
        term=np.full(len(curve.time), -1),
        n_terms=0,
        covariates=np.hstack([columns, curve.rows.covariates]),
    )
    fitted = fit_clustered(rows, clusters, correction)
    _require_identified(fitted.fit, columns.shape[1], covariates)
    found = None
    if half_life is not None:
        found = HalfLife(half_life, 0.0, np.inf, at_edge)
        if not at_edge:
            found = search.with_limits(found, fitted, columns.shape[1] - 1, level)
    return CurveFit(shape, fitted, found, amplitudes, len(curve.arms), curve.refreshed is not None)


class _Search:
    """The profile likelihood of the half-life, on units that are alike added up."""

    def __init__(self, curve: CurveRows, shape: Shape) -> None:
        refreshed = np.zeros(len(curve.time)) if curve.refreshed is None else curve.refreshed.astype(float)
        told_apart = np.column_stack([curve.rows.covariates, curve.time, refreshed])
        self._cells = collapse(replace(curve.rows, covariates=told_apart)).cells
        design, arms = self._cells.design, len(curve.arms)
        self._dose, self._time = design[:, :arms], design[:, -2]
        self._refreshed = None if curve.refreshed is None else design[:, -1] > 0
        self._covariates = design[:, arms:-2]
        self._shape, self._longest = shape, curve.longest

    def fit(self, half_life: float, *extra: NDArray[np.float64]) -> FixedEffectsFit:
        columns = _columns(self._dose, self._time, self._refreshed, self._shape, half_life)
        design = np.column_stack([columns, *extra, self._covariates])
        return fit_fixed_effects(replace(self._cells, design=design))

    def constant(self) -> FixedEffectsFit:
        """Fit one constant ratio for each arm, which every curve needs to exist."""
        return fit_fixed_effects(replace(self._cells, design=np.hstack([self._dose, self._covariates])))

    def log_likelihood(self, log_half_life: float) -> float:
        fit = self.fit(float(np.exp(log_half_life)))
        return -np.inf if fit.collinear else log_likelihood(self._cells.counts, fit.fitted)

    def amplitudes(self, half_life: float) -> NDArray[np.float64]:
        """Give each arm's coefficient (arms,) of the decaying column."""
        width = 1 if self._shape.curve == "exponential" else 2
        fit = self.fit(half_life)
        if fit.collinear:
            return np.zeros(self._dose.shape[1])
        return np.asarray(fit.coefficients[width - 1 : width * self._dose.shape[1] : width])

    def polished(self, log_half_life: float) -> float:
        """Solve the likelihood equation of the log half-life by Gauss–Newton steps."""
        for _ in range(POLISH):
            half_life = float(np.exp(log_half_life))
            bend = self._dose @ self.amplitudes(half_life) * self._shape.derivative(self._time, half_life)
            place = _n_columns(self._shape, self._dose.shape[1], self._refreshed is not None)
            fit = self.fit(half_life, bend)
            if fit.collinear:
                break
            step = float(fit.coefficients[place])
            if (
                abs(step) > 0.5
            ):  # far from the maximum the linearization leads astray: keep the search's value
                break
            log_half_life += step
            if abs(step) < POLISHED:
                break
        return log_half_life

    def with_limits(self, found: HalfLife, fitted: ClusteredFit, place: int, level: float) -> HalfLife:
        from scipy.special import ndtri, stdtrit

        assert fitted.variance is not None
        own = np.zeros(len(fitted.fit.coefficients))
        own[place] = 1.0
        inflation = fitted.variance.covariance[place, place] / fitted.fit.bread[place, place]
        df = fitted.variance.df(own)
        quantile = stdtrit(df, (1 + level) / 2) if np.isfinite(df) else ndtri((1 + level) / 2)
        best = float(np.log(found.value))
        drop = float(quantile) ** 2 * inflation / 2
        low, high = profile_limits(self.log_likelihood, best, self._longest, drop)
        return replace(found, low=low, high=high)


def _doses(curve: CurveRows) -> NDArray[np.float64]:
    """Give the dose (rows, arms), zero in rows of another arm or none."""
    return (curve.rows.term[:, None] == np.arange(len(curve.arms))) * curve.rows.dose[:, None]


def _columns(
    dose: NDArray[np.float64],
    time: NDArray[np.float64],
    refreshed: NDArray[np.bool_] | None,
    shape: Shape,
    half_life: float | None,
) -> NDArray[np.float64]:
    curve = shape.columns(np.maximum(time, 1), half_life)
    blocks = [own[:, None] * curve for own in dose.T]
    return np.hstack([*blocks, *([] if refreshed is None else [dose * refreshed[:, None]])])


def _n_columns(shape: Shape, arms: int, has_refresher: bool) -> int:
    width = shape.columns(np.ones(1), 1.0).shape[1]
    return arms * (width + has_refresher)


def _require_constant(fit: FixedEffectsFit, arms: list[str], covariates: list[str]) -> None:
    if fit.collinear:
        lost = ", ".join([*arms, *covariates][i] for i in fit.collinear)
        raise EstimationError(
            f"{lost}: explained by the fixed effects, so not identified, and no curve in exposure time is."
            " If everyone crosses in the same period, period effects and treatment are one. Leave out the"
            " effects or the covariate at fault."
        )


def _require_identified(fit: FixedEffectsFit, n_curve: int, covariates: list[str]) -> None:
    if not fit.collinear:
        return
    names = [covariates[i - n_curve] for i in fit.collinear if i >= n_curve]
    lost = ", ".join(["the curve in exposure time"] * any(i < n_curve for i in fit.collinear) + names)
    raise EstimationError(
        f"{lost}: explained by the fixed effects, so not identified. If everyone crosses in the same period,"
        " period effects and exposure time are one; a curve needs units that cross at different times, with"
        " some untreated meanwhile. Leave out the effects or the covariate at fault, or take a simpler curve."
    )
