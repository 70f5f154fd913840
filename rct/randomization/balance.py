"""How units and their characteristics fell out: counts by block and sequence, means by arm."""

from typing import TYPE_CHECKING, Literal

import pandas as pd

from rct.errors import DataError

if TYPE_CHECKING:
    from rct.randomization.allocation import Allocation


def block_counts(allocation: "Allocation") -> pd.DataFrame:
    """Count units by block and sequence.

    Returns
    -------
    pandas.DataFrame
        block, sequence, arm, starts, randomized (units), measured (units of the roster).
    """
    keys = ["block", "sequence", "arm", "starts"]
    measured = allocation.roster[allocation.trial.units.randomize].value_counts()
    frame = allocation.frame.assign(measured=allocation.frame["unit"].map(measured).astype("int64"))
    grouped = frame.groupby(keys, sort=True)
    return grouped.agg(randomized=("unit", "size"), measured=("measured", "sum")).reset_index()


def balance_table(allocation: "Allocation", covariates: tuple[str, ...] = ()) -> pd.DataFrame:
    """Give the mean of each numeric roster column in each arm, over measured units.

    In a design whose units all cross, arms are replaced by sequences ("ICAT from 13").

    Parameters
    ----------
    covariates
        Roster columns; default: those the trial names under ``analysis.covariates``.

    Returns
    -------
    pandas.DataFrame
        covariate, group, units (with a value), mean, sd.

    Raises
    ------
    DataError
        When a column is not in the roster, or holds what is no number.
    """
    names = covariates or allocation.trial.analysis.covariates
    groups, labels = _groups(allocation)
    rows = []
    for name in names:
        values = covariate_numbers(allocation.roster, name)
        for label in labels:
            own = values[groups == label].dropna()
            rows.append((name, label, len(own), own.mean(), own.std()))
    return pd.DataFrame(rows, columns=["covariate", "group", "units", "mean", "sd"])


def standardized_differences(
    allocation: "Allocation",
    covariates: tuple[str, ...] = (),
    *,
    deviation: Literal["pooled", "average"] = "pooled",
) -> pd.DataFrame:
    """Compare each group with its reference, covariate by covariate, over measured units.

    Where some units are never treated they are the reference; where all cross, a sequence is compared with
    all others.

    Parameters
    ----------
    covariates
        Roster columns; default: those the trial names under ``analysis.covariates``.
    deviation
        Differences are divided by √(((n₁ − 1)s₁² + (n₀ − 1)s₀²)/(n₁ + n₀ − 2)) ("pooled", as RItools does) or
        by √((s₁² + s₀²)/2) ("average", Austin 2009).

    Returns
    -------
    pandas.DataFrame
        covariate, group, reference, difference (of means), standardized_difference, variance_ratio (s₁²/s₀²).
    """
    names = covariates or allocation.trial.analysis.covariates
    group, labels = _groups(allocation)
    control = allocation.control if allocation.control in labels else ""
    rows = []
    for name in names:
        values = covariate_numbers(allocation.roster, name)
        for label in labels:
            if label == control:
                continue
            own = values[group == label].dropna()
            other = values[group == control if control else group != label].dropna()
            difference = own.mean() - other.mean()
            spread = _deviation(own, other, deviation)
            ratio = own.var() / other.var() if other.var() > 0 else float("nan")
            standardized = difference / spread if spread > 0 else float("nan")
            rows.append((name, label, control or "all others", difference, standardized, ratio))
    columns = ["covariate", "group", "reference", "difference", "standardized_difference", "variance_ratio"]
    return pd.DataFrame(rows, columns=columns)


def balance_covariates(allocation: "Allocation") -> tuple[str, ...]:
    """Name the covariates of analysis and randomization that the roster has as numbers."""
    trial, roster = allocation.trial, allocation.roster
    named = dict.fromkeys((*trial.analysis.covariates, *trial.randomization.covariates))
    levels = trial.randomization.categorical
    return tuple(
        name
        for name in named
        if name in roster.columns
        and name not in levels
        and pd.to_numeric(roster[name], errors="coerce").notna().all()
    )


def _deviation(one: pd.Series, other: pd.Series, kind: str) -> float:
    if kind == "average":
        return float(((one.var() + other.var()) / 2) ** 0.5)
    freedom = len(one) + len(other) - 2
    squares = sum((len(each) - 1) * each.var() for each in (one, other) if len(each) > 1)
    return float((squares / freedom) ** 0.5) if freedom > 0 else float("nan")


def _groups(allocation: "Allocation") -> tuple[pd.Series, list[str]]:
    """Give the group of each measured unit, and the groups in the order of crossing."""
    frame = allocation.frame
    group = frame["arm"].where(frame["starts"] == 0, frame["arm"] + " from " + frame["starts"].astype("str"))
    in_group = dict(zip(frame["unit"], group, strict=True))
    ordered = list(dict.fromkeys(group.iloc[frame["starts"].argsort(kind="stable")]))
    return allocation.roster[allocation.trial.units.randomize].map(in_group), ordered


def covariate_numbers(roster: pd.DataFrame, column: str) -> pd.Series:
    """Read a roster column as numbers, blank cells as missing.

    Raises
    ------
    DataError
        When there is no such column, or it holds what is no number.
    """
    if column not in roster.columns:
        raise DataError(f'the roster has no column "{column}", which balance is asked for')
    text = roster[column]
    values = pd.to_numeric(text, errors="coerce")
    odd = text[values.isna() & (text.str.strip() != "")]
    if len(odd):
        raise DataError(f'roster column {column}: "{odd.iloc[0]}" is no number, so it has no mean')
    return values
