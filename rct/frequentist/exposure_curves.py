"""Incidence rate ratios as a curve in the time since training: fading, refreshers, long-run effects.

Estimand: the intention-to-treat log rate ratio beta(s) at exposure time s (1 = first treated period), its
mean over a window, or its long run. A free coefficient for each exposure time (`poisson` with
effect="exposure-time") assumes nothing and is imprecise; a curve borrows strength from its shape, and is
biased where the shape is wrong (Kenny et al. 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import DataError, EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_level, require_span
from rct.frequentist.curve_fit import CurveFit, CurveRows, fit_curve
from rct.frequentist.curve_shapes import WORDS, Curve, chosen_shape
from rct.frequentist.inference.cluster_robust import Correction
from rct.frequentist.inference.two_way_clusters import Cluster
from rct.frequentist.model_sample import ModelSample, model_sample
from rct.frequentist.poisson_fixed_effects import poisson
from rct.frequentist.ratio_estimates import Contrast, Description, method_name, ratio_estimate
from rct.frequentist.treatment_terms import exposure_time, treatment_terms

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.frequentist.half_life import HalfLife
    from rct.panel import Panel

ASYMPTOTE_INTERVALS = (
    "intervals of an asymptote curve are too short: at 95 % they covered the truth in 90 of 100 simulated"
    " trials"
)


def exposure_curve(
    panel: Panel,
    outcome: str,
    *,
    curve: Curve | Literal["free"] = "linear",
    average: tuple[int, int] | None = None,
    long_run: int | Literal["asymptote"] | None = None,
    knots: Sequence[float] | None = None,
    refreshers: Sequence[int] | str | None = None,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: Cluster = None,
    correction: Correction = "auto",
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the log incidence rate ratio as a curve in the time since training began.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count; fractions are refused unless the panel declares them.
    curve : {"linear", "exponential", "asymptote", "spline", "free"}
        "linear": a start and a change per period. "exponential": an effect that halves every so many
        periods. "asymptote": one that approaches a lasting level exponentially; its 95 % intervals are too
        short (they covered in 90 of 100 simulated trials, and a warning says so). "spline": a natural cubic
        spline. "free": a coefficient for each exposure time, as in `poisson`; needs `average` or
        `long_run`. Arms have curves of their own and share the half-life.
    average : (int, int), optional
        The mean of the curve over these exposure times, first and last.
    long_run : int or "asymptote", optional
        The mean over the last so many exposure times in the data, or the level that an "asymptote" curve
        approaches. Without it and `average`: the curve, one Estimate for each exposure time.
    knots : sequence of float, optional
        Exposure times of the spline's knots; four, equally spaced from the first to the last, where absent.
    refreshers : sequence of int or str, optional
        Exposure times, counted from the first training, at which every unit has a refresher; or a 0/1
        column of the panel (`covariates=…` when it is made) that is 1 in the periods in which one was
        assigned. Each starts the exposure time again, and the estimates gain a row: the ratio after a
        refresher against equally long after the first training.
    fixed_effects, covariates, cluster, correction, level
        As in `poisson`.

    Returns
    -------
    Estimate or Estimates
        On the log scale. With a half-life, standard errors linearize the curve in its logarithm, and
        `notes` holds `half_life` (periods) with the profile limits `half_life_low` and `half_life_high` (0
        and infinity where the data set none; a warning says so).

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or refreshers that are not 0/1 or come before training.
    EstimationError
        The curve, the window or the asymptote is not identified in this design or sample.
    """
    _check_options(curve, average, long_run, refreshers, level)
    if curve == "free":
        return _free(
            panel, outcome, average, long_run,
            fixed_effects=fixed_effects, covariates=covariates, cluster=cluster, correction=correction,
            level=level,
        )  # fmt: skip
    panel.require_counts(outcome, asked_by="a Poisson model")
    model = model_sample(panel, outcome, fixed_effects, covariates, "constant", None)
    if correction != "model":
        model.require_treated_clusters(cluster)
    rows = _curve_rows(panel, model, refreshers)
    shape = chosen_shape(curve, knots, rows.longest)
    fit = fit_curve(rows, shape, model.clusterings(cluster), correction, level, list(covariates))
    describe = Description(
        outcome=outcome,
        reference=panel.control,
        cluster=model.cluster_name(cluster),
        method=f"{method_name(fixed_effects, covariates)}, {WORDS[curve]}",
        left_out=[],
        pooled=[],
        incomplete=model.incomplete,
        level=level,
    )
    wanted = _Wanted(model, rows, fit, average, long_run)
    estimates = [
        _with_half_life(ratio_estimate(describe, model.sample.size, fit.fitted, contrast), fit)
        for contrast in wanted.contrasts()
    ]
    if refreshers is not None:
        # The sharp null of no effect says nothing of a refresher against a first training.
        last = len(rows.arms)
        estimates[-last:] = [replace(r, notes={**r.notes, "sharp_null": False}) for r in estimates[-last:]]
    one = len(estimates) == 1 and (average is not None or long_run is not None)
    return estimates[0] if one else Estimates(tuple(estimates))


def _check_options(curve: str, average: object, long_run: object, refreshers: object, level: float) -> None:
    if curve != "free" and curve not in WORDS:
        raise EstimationError(f"curve must be free or one of {', '.join(WORDS)}, not {curve!r}")
    if average is not None and long_run is not None:
        raise EstimationError("average and long_run are two estimands: ask for one of them")
    if long_run == "asymptote" and curve != "asymptote":
        raise EstimationError(f'long_run="asymptote" is of curve="asymptote", not of {curve!r}')
    if long_run not in (None, "asymptote") and (not isinstance(long_run, Integral) or long_run < 1):
        raise EstimationError(
            f'long_run must be a number of exposure times, or "asymptote", not {long_run!r}'
        )
    if curve == "free" and average is None and long_run is None:
        raise EstimationError(
            'curve="free" needs average or long_run; poisson with effect="exposure-time" gives every one'
        )
    if curve == "free" and refreshers is not None:
        raise EstimationError("refreshers need a curve in exposure time, not free coefficients")
    require_span("average", average)
    require_level(level)


def _free(
    panel: Panel,
    outcome: str,
    average: tuple[int, int] | None,
    long_run: int | str | None,
    *,
    fixed_effects: Sequence[str],
    covariates: Sequence[str],
    cluster: Cluster,
    correction: Correction,
    level: float,
) -> Estimate | Estimates:
    """Fit a coefficient for each exposure time; the long run is the mean of the last ones."""
    window = average
    if window is None:
        assert isinstance(long_run, int)
        times = treatment_terms(panel.rows(outcome), "exposure-time").terms
        window = _last(long_run, max(t.exposure_time for t in times if t.exposure_time is not None))
    found = poisson(
        panel, outcome, effect="exposure-time", average=window, fixed_effects=fixed_effects,
        covariates=covariates, cluster=cluster, correction=correction, level=level,
    )  # fmt: skip
    if average is not None:
        return found
    rows = [found] if isinstance(found, Estimate) else list(found)
    named = tuple(
        replace(
            row,
            term=f"{row.arm}, long run",
            estimand=row.estimand.replace("mean over", "long run: mean over"),
        )
        for row in rows
    )
    return named[0] if len(named) == 1 else Estimates(named)


def _last(number: int, longest: int) -> tuple[int, int]:
    if number > longest:
        raise EstimationError(
            f"long_run={number}: nobody is observed beyond exposure time {longest}; ask for fewer"
        )
    return longest - number + 1, longest


def _curve_rows(panel: Panel, model: ModelSample, refreshers: Sequence[int] | str | None) -> CurveRows:
    rows = model.rows.loc[model.sample.kept].reset_index(drop=True)
    treated = rows["treated"].to_numpy(dtype=float) > 0
    time = exposure_time(rows, treated)
    if refreshers is None:
        return CurveRows(model.sample.rows, _arms(model), time.astype(float), None)
    if isinstance(refreshers, str):
        since = np.where(treated, rows["period"].to_numpy() - _last_session(panel, rows, refreshers) + 1, 0)
    else:
        since = _since_the_last(time, refreshers)
    return CurveRows(model.sample.rows, _arms(model), since.astype(float), since < time)


def _arms(model: ModelSample) -> tuple[str, ...]:
    return tuple(term.arm for term in model.terms)


def _since_the_last(time: NDArray[np.int64], refreshers: Sequence[int]) -> NDArray[np.int64]:
    """Give the exposure time since the last of the sessions at 1 and at the refreshers' exposure times."""
    sessions = np.array([1, *refreshers])
    longest = int(time.max())
    whole = all(isinstance(session, Integral) for session in refreshers)
    if not whole or len(sessions) < 2 or np.any(np.diff(sessions) <= 0) or sessions[-1] > longest:
        raise EstimationError(
            f"refreshers must be ascending exposure times, whole numbers from 2 to {longest}, the longest in"
            f" the data, or the name of a column, not {list(refreshers)}"
        )
    last = sessions[np.maximum(np.searchsorted(sessions, time, side="right") - 1, 0)]
    return np.where(time > 0, time - last + 1, 0)


def _last_session(panel: Panel, rows: pd.DataFrame, column: str) -> NDArray[np.int64]:
    """Give the period (rows,) of the last session so far, the training itself included.

    Sessions count wherever the panel has them, also in rows that have no likelihood (on leave, no event).
    """
    import pandas as pd

    if column not in panel.frame:
        raise DataError(
            f"the panel holds no column {column!r} of refreshers; name it when the panel is made"
            " (covariates=…)"
        )
    whole = panel.frame.sort_values(["unit", "period"])
    sessions = pd.to_numeric(whole[column], errors="coerce").to_numpy(dtype=float)
    if not np.isin(sessions, (0, 1)).all():
        raise DataError(
            f"column {column!r} must be 1 in the periods of a refresher and 0 in all others, nothing else"
        )
    period, starts = whole["period"].to_numpy(), whole["starts"].to_numpy()
    treated = whole["treated"].to_numpy(dtype=float) > 0
    early = (sessions == 1) & ~(treated & (period > starts))
    if early.any():
        unit, when = whole.loc[early, ["unit", "period"]].iloc[0]
        raise DataError(f"unit {unit} has a refresher in period {when}, before or at its first training")
    if not (sessions == 1).any():
        raise EstimationError(f"column {column!r} holds no refresher; leave it out")
    so_far = pd.Series(np.where(sessions == 1, period, 0)).groupby(
        [whole["unit"].to_numpy(), whole["randomized"].to_numpy()]
    )
    last = pd.Series(
        np.maximum(so_far.cummax().to_numpy(), starts),
        index=pd.MultiIndex.from_frame(whole[["unit", "period"]]),
    )
    return last.reindex(pd.MultiIndex.from_frame(rows[["unit", "period"]])).to_numpy(dtype=np.int64)


@dataclass(frozen=True)
class _Wanted:
    """The effects that were asked for, as contrasts of the fit's coefficients."""

    model: ModelSample
    rows: CurveRows
    fit: CurveFit
    average: tuple[int, int] | None
    long_run: int | str | None

    def contrasts(self) -> list[Contrast]:
        found = [row for number in range(len(self.rows.arms)) for row in self._of_arm(number)]
        if self.rows.refreshed is not None:
            found += [self._refresher(number) for number in range(len(self.rows.arms))]
        return found

    def _of_arm(self, number: int) -> list[Contrast]:
        arm, ratio, words = self.rows.arms[number], self.model.ratio, WORDS[self.fit.shape.curve]
        longest = self.rows.longest_of(number)
        if self.long_run == "asymptote":
            self.fit.require_asymptote()
            weights = self.fit.asymptote(number)
            return [Contrast(arm=arm, name=f"{arm}, long run", weights=weights,
                             estimand=f"{ratio}, long run: asymptote of the effect")]  # fmt: skip
        if self.long_run is not None:
            first, last = _last(int(self.long_run), longest)
            name, what = f"{arm}, long run", "long run: mean over exposure times"
        elif self.average is not None:
            first, last = self.average
            name, what = f"{arm}, mean over exposure times {first}–{last}", "mean over exposure times"
            if not 1 <= first <= last <= longest:
                raise EstimationError(
                    f"average=({first}, {last}): {arm} is observed at exposure times 1 to {longest}"
                )
        else:
            return [
                Contrast(arm=arm, name=f"{arm}, exposure time {time}", exposure_time=time,
                         estimand=f"{ratio}, exposure time {time} ({words})",
                         weights=self.fit.at(number, np.array([float(time)])))
                for time in range(1, longest + 1)
            ]  # fmt: skip
        weights = self.fit.at(number, np.arange(first, last + 1.0))
        return [Contrast(arm=arm, name=name, estimand=f"{ratio}, {what} {first}–{last} ({words})",
                         weights=weights)]  # fmt: skip

    def _refresher(self, number: int) -> Contrast:
        arm = self.rows.arms[number]
        return Contrast(
            arm=arm,
            name=f"{arm}, refresher",
            estimand=f"{self.model.ratio} after a refresher, against equally long after the first training",
            weights=self.fit.refresher(number),
        )


def _with_half_life(row: Estimate, fit: CurveFit) -> Estimate:
    half_life = fit.half_life
    if half_life is None:
        return row
    notes = {
        **row.notes,
        "half_life": half_life.value,
        "half_life_low": half_life.low,
        "half_life_high": half_life.high,
    }
    warnings = [row.warning, ASYMPTOTE_INTERVALS if fit.shape.curve == "asymptote" else ""]
    if half_life.unknown:
        warnings.append(_unknown(half_life))
    return replace(row, notes=notes, warning="; ".join(filter(None, warnings)))


def _unknown(half_life: HalfLife) -> str:
    low = f"{half_life.low:.1f}" if half_life.low > 0 else "less than one period"
    high = f"{half_life.high:.1f} periods" if np.isfinite(half_life.high) else "no fading at all"
    return (
        f"the data hardly know the half-life ({half_life.value:.1f} periods; from {low} to {high} fit nearly"
        " as well), so this interval, which rests on the shape, is rough: set a straight line or free"
        " coefficients beside it"
    )
