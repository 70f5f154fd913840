"""Differences in mean rates between arms of a parallel trial, with Neyman's variance.

Estimand: the average effect over randomized units, in events per unit of exposure. Least squares on arm
indicators with the variance HC2 is Neyman's conservative variance (Samii & Aronow 2012); weights 1/P of the
assignment that a unit received make it consistent under unequal probabilities (Horvitz & Thompson 1952, in
Hájek's form); covariates interacted with the arms never harm in large samples (Lin 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_level, require_one_of
from rct.frequentist.inference.wald import wald
from rct.frequentist.panel_columns import column_codes, covariate_columns

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel

LEVERAGE_ONE = 1 - 1e-9
COLLINEAR = 1e-8


def difference_in_means(
    panel: Panel,
    outcome: str,
    *,
    covariates: Sequence[str] = (),
    adjust: Literal["lin"] | None = None,
    weights: Literal["probability"] | None = "probability",
    block_effects: bool = False,
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the difference in mean rates between each treatment arm and control, with HC2.

    Units are the randomized ones: measured units are added up to them, and each counts once. In a panel of
    several periods only those from the first treated one on are used; all treated units must begin in it,
    with one dose for each arm.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count or, where the panel declares it, a fraction; divided by its exposure.
    covariates : sequence of str
        Numeric columns, fixed before randomization; their mean over the rows used. One that varies from
        period to period is told in the warning: what treatment did to it would be adjusted away.
    adjust : {None, "lin"}
        How covariates enter: additively, or interacted with the arms after their mean over the units that
        count, each once, was taken off.
    weights : {"probability", None}
        Weights 1/P of the assignment that was received, or equal ones. The control rate that the percent
        change is a share of is weighted by them too.
    block_effects : bool
        An indicator for each block. A unit alone in its block has leverage one: it is left out, and counted.
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; scale "difference". Limits use t with the degrees of freedom
        of Bell & McCaffrey (2002; Imbens & Kolesár 2016).

    Raises
    ------
    DataError
        An unknown column, or a covariate that is no number.
    EstimationError
        Treatment begins at different times or an arm has several doses, an arm has a single unit,
        probabilities are unknown, or covariates are collinear.
    """
    require_level(level)
    require_one_of("adjust", adjust, (None, "lin"))
    require_one_of("weights", weights, (None, "probability"))
    if adjust == "lin" and not covariates:
        raise EstimationError('adjust="lin" interacts covariates with the arms: name them (covariates=…)')
    units = _randomized_units(panel, outcome, covariates)
    weight = _weights(units, weights)
    fit = _least_squares(units, weight, lambda kept: _design(units, kept, covariates, adjust, block_effects))
    method = _method(covariates, adjust, weights, block_effects)
    rows = [
        _estimate(panel, outcome, units, fit, number, weight=weight, method=method, level=level)
        for number in range(len(units.arms))
    ]
    return rows[0] if len(rows) == 1 else Estimates(tuple(rows))


@dataclass(frozen=True)
class _Units:
    """Randomized units: rate and arm (−1: control) of each, and what they are weighted and adjusted by.

    measured : measured units of each randomized one
    varying : covariates that vary from period to period
    """

    arms: list[str]
    dose: NDArray[np.float64]
    arm: NDArray[np.intp]
    rate: NDArray[np.float64]
    events: NDArray[np.float64]
    block: NDArray[np.intp]
    probability: NDArray[np.float64]
    covariates: NDArray[np.float64]
    measured: list[NDArray[np.str_]]
    varying: list[str]
    incomplete: int


def _randomized_units(panel: Panel, outcome: str, covariates: Sequence[str]) -> _Units:
    rows = panel.rows(outcome)
    treated = rows["treated"] > 0
    if not treated.any():
        raise EstimationError(
            "no row of the panel is treated, so there is no effect to estimate;"
            " check `starts` or `treated` and the last period of the data"
        )
    begun = rows.loc[treated, "period"].min()
    rows = rows[rows["period"] >= begun].reset_index(drop=True)
    values, complete = covariate_columns(rows, covariates)
    rows = rows.assign(**{f"covariate {i}": column for i, column in enumerate(values.T)})
    rows = rows[complete].reset_index(drop=True)
    by_unit = rows.groupby("randomized", sort=True)
    _require_parallel(by_unit)
    first = by_unit.first()
    dosed = first["treated"] > 0
    if dosed.all():
        raise EstimationError("every unit is treated, so there is nothing to compare with")
    order = first.loc[dosed].sort_values("sequence", kind="stable")["arm"]
    arms = [str(name) for name in order.unique()]
    number = {name: i for i, name in enumerate(arms)}
    arm = [number[str(name)] if on else -1 for name, on in zip(first["arm"], dosed, strict=True)]
    doses = [first.loc[dosed & (first["arm"].astype(str) == name), "treated"].unique() for name in arms]
    _require_one_dose(arms, doses)
    events = by_unit["count"].sum().to_numpy(dtype=float)
    return _Units(
        arms=arms,
        dose=np.concatenate(doses).astype(float),
        arm=np.array(arm, dtype=np.intp),
        rate=events / by_unit["exposure"].sum().to_numpy(dtype=float),
        events=events,
        block=column_codes(first.reset_index(), "block"),
        probability=first["probability"].to_numpy(dtype=float),
        covariates=by_unit[[f"covariate {i}" for i in range(len(covariates))]].mean().to_numpy(dtype=float)
        if len(covariates)
        else np.empty((len(first), 0)),
        measured=[own.to_numpy(dtype=str) for own in by_unit["unit"].unique()],
        varying=[
            name
            for i, name in enumerate(covariates)
            if (rows.groupby("unit", sort=False)[f"covariate {i}"].nunique() > 1).any()
        ],
        incomplete=int(np.count_nonzero(~complete)),
    )


def _require_parallel(by_unit: pd.api.typing.DataFrameGroupBy) -> None:
    varying = by_unit["treated"].nunique() > 1
    if varying.any():
        raise EstimationError(
            f"treatment does not begin for all in one period (randomized unit {varying.idxmax()} changes"
            " later): a difference in means compares arms of a parallel trial. Use staggered, poisson or"
            " linear, which compare within periods."
        )


def _require_one_dose(arms: list[str], doses: list[NDArray[np.float64]]) -> None:
    for name, own in zip(arms, doses, strict=True):
        if len(own) > 1:
            raise EstimationError(
                f"{name} is given in doses {', '.join(f'{dose:g}' for dose in sorted(own))}, and a difference"
                " in means has no dose: make each an arm (arm=…), or use poisson or linear, whose effect is"
                " per unit of dose"
            )


def _weights(units: _Units, weights: str | None) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(len(units.rate))
    probability = units.probability
    if not np.all((probability > 0) & (probability <= 1)):
        raise EstimationError(
            "the probability of the assignment is not known for every unit; name its column when the panel is"
            " made (probability=…), or set weights=None where all units had the same"
        )
    return 1 / probability


def _design(
    units: _Units,
    kept: NDArray[np.bool_],
    covariates: Sequence[str],
    adjust: str | None,
    block_effects: bool,
) -> tuple[NDArray[np.float64], list[str]]:
    """Columns: the arms first, then intercept or blocks, covariates and their products with the arms."""
    indicators = (units.arm[kept, None] == np.arange(len(units.arms))).astype(float)
    level = (
        (units.block[kept, None] == np.arange(units.block.max() + 1)).astype(float)
        if block_effects
        else np.ones((np.count_nonzero(kept), 1))
    )
    values = units.covariates[kept]
    centred = values - values.mean(axis=0)
    for name, column, own in zip(covariates, centred.T, values.T, strict=True):
        if np.ptp(own) == 0 or np.abs(column).max() < COLLINEAR * np.abs(own).max():
            raise EstimationError(f"covariate {name} is the same for every unit, so it explains nothing")
    products = [indicator * column for indicator in indicators.T for column in centred.T]
    interacted = adjust == "lin"
    columns = np.column_stack([indicators, level, centred, *(products if interacted else [])])
    names = [*units.arms, *["blocks"] * level.shape[1], *covariates]
    names += [f"{arm} × {name}" for arm in units.arms for name in covariates] if interacted else []
    return columns, names


@dataclass(frozen=True)
class _Fit:
    coefficients: NDArray[np.float64]
    std_errors: NDArray[np.float64]
    df: NDArray[np.float64]
    kept: NDArray[np.bool_]


def _least_squares(
    units: _Units,
    weight: NDArray[np.float64],
    design: Callable[[NDArray[np.bool_]], tuple[NDArray[np.float64], list[str]]],
) -> _Fit:
    """Weighted least squares with HC2, rows of leverage one left out.

    The design is laid out anew for the rows that are kept: Lin's effect is at their mean.

    With Q an orthonormal basis of the weighted design, h its row norms and c the influence of a row on a
    coefficient divided by √(1 − h), the variance estimator is Σ c²e². Under equal variances its degrees of
    freedom are (Σ c²(1−h))² / (Σ c⁴(1−2h) + ‖Q'diag(c²)Q‖²).
    """
    n_arms = len(units.arms)
    kept = np.ones(len(units.rate), dtype=bool)
    while True:
        root = np.sqrt(weight[kept])[:, None]
        _require_arms(units.arm[kept], units.arms)
        columns, names = design(kept)
        used = np.any(columns != 0, axis=0)
        basis, triangle = np.linalg.qr(root * columns[:, used])
        size = np.linalg.norm(root * columns[:, used], axis=0)
        lost = np.abs(np.diag(triangle)) < COLLINEAR * size
        if lost.any() or len(basis) < basis.shape[1]:
            culprit = ", ".join(np.array(names)[used][lost]) or "the design"
            raise EstimationError(
                f"{culprit}: explained by arms, blocks and the covariates before it, or more columns than"
                " units; leave it out"
            )
        leverage = np.sum(basis**2, axis=1)
        full = leverage > LEVERAGE_ONE
        if not full.any():
            break
        kept[np.flatnonzero(kept)[full]] = False
    inverse = np.linalg.inv(triangle)
    y = root[:, 0] * units.rate[kept]
    coefficients = inverse @ (basis.T @ y)
    residual = y - basis @ (basis.T @ y)
    if len(residual) <= basis.shape[1] or np.abs(residual).max() <= COLLINEAR**2 * np.abs(y).max(initial=0):
        raise EstimationError(
            "there is no variation left to judge the difference by: the outcome is the same for all units of"
            " an arm (all zeros?), or there are as many columns as units"
        )
    influence = (basis @ inverse[:n_arms].T) ** 2 / (1 - leverage)[:, None]
    variance = influence.T @ residual**2
    expected = influence.T @ (1 - leverage)
    spread = (influence**2).T @ (1 - 2 * leverage)
    spread += [np.sum((basis.T @ (own[:, None] * basis)) ** 2) for own in influence.T]
    return _Fit(coefficients[:n_arms], np.sqrt(variance), expected**2 / spread, kept)


def _require_arms(arm: NDArray[np.intp], names: list[str]) -> None:
    sizes = np.bincount(arm + 1, minlength=len(names) + 1)
    for name, size in zip(["control", *names], sizes, strict=True):
        if size < 2:
            raise EstimationError(
                f"{name} has fewer than two randomized units that can be compared, so its variance does not"
                " exist; pool arms or blocks, or use a randomization test"
            )


def _method(covariates: Sequence[str], adjust: str | None, weights: str | None, block_effects: bool) -> str:
    parts = ["difference in means"]
    if weights:
        parts.append("inverse-probability weights")
    if block_effects:
        parts.append("block effects")
    if covariates:
        interacted = "interacted covariates (Lin)" if adjust else "covariates"
        parts.append(f"{interacted} {', '.join(covariates)}")
    return ", ".join(parts)


def _estimate(
    panel: Panel,
    outcome: str,
    units: _Units,
    fit: _Fit,
    number: int,
    *,
    weight: NDArray[np.float64],
    method: str,
    level: float,
) -> Estimate:
    value, std_error, df = (
        float(fit.coefficients[number]),
        float(fit.std_errors[number]),
        float(fit.df[number]),
    )
    low, high, p_value = wald(value, std_error, df, level)
    control = fit.kept & (units.arm < 0)
    dropped = int(np.count_nonzero(~fit.kept))
    warnings = [f"{dropped} units of leverage one (alone in their block) were left out"] if dropped else []
    if units.varying:
        warnings.append(
            f"{', '.join(units.varying)} varies from period to period after training began: what training did"
            " to it is adjusted away; use its value from before"
        )
    if units.incomplete:
        warnings.append(f"{units.incomplete} rows without covariates were left out")
    return Estimate(
        outcome=outcome,
        term=units.arms[number],
        arm=units.arms[number],
        reference=panel.control,
        estimand="ITT difference in mean rates of randomized units"
        + ("" if units.dose[number] == 1 else f", at dose {units.dose[number]:g}"),
        method=method,
        inference="HC2, Bell–McCaffrey df",
        scale="difference",
        level=level,
        estimate=value,
        std_error=std_error,
        df=df,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        baseline=float(np.average(units.rate[control], weights=weight[control])),
        n_units=len(np.unique(np.concatenate([units.measured[i] for i in np.flatnonzero(fit.kept)]))),
        n_clusters=int(fit.kept.sum()),
        n_events=float(units.events[fit.kept].sum()),
        warning="; ".join(warnings),
        notes={"leverage_one": dropped, "incomplete_rows": units.incomplete},
    )
