"""How units and their characteristics fell out: counts by block and sequence, means by arm."""

from typing import TYPE_CHECKING

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
    frame = allocation.frame
    group = frame["arm"].where(frame["starts"] == 0, frame["arm"] + " from " + frame["starts"].astype("str"))
    in_group = dict(zip(frame["unit"], group, strict=True))
    groups = allocation.roster[allocation.trial.units.randomize].map(in_group)
    rows = []
    for name in names:
        values = _numbers(allocation.roster, name)
        for label in dict.fromkeys(group.iloc[frame["starts"].argsort(kind="stable")]):
            own = values[groups == label].dropna()
            rows.append((name, label, len(own), own.mean(), own.std()))
    return pd.DataFrame(rows, columns=["covariate", "group", "units", "mean", "sd"])


def _numbers(roster: pd.DataFrame, column: str) -> pd.Series:
    if column not in roster.columns:
        raise DataError(f'the roster has no column "{column}", which balance is asked for')
    text = roster[column]
    values = pd.to_numeric(text, errors="coerce")
    odd = text[values.isna() & (text.str.strip() != "")]
    if len(odd):
        raise DataError(f'roster column {column}: "{odd.iloc[0]}" is no number, so it has no mean')
    return values
