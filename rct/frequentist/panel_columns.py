"""Columns of a panel as arrays: codes of effects and clusters, numeric covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import DataError
from rct.frequentist.asked_options import require_names
from rct.frequentist.inference.two_way_clusters import Cluster, cluster_columns
from rct.frequentist.integer_codes import dense_codes
from rct.row_runs import run_starts

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def column_codes(rows: pd.DataFrame, name: str) -> NDArray[np.intp]:
    """Number the values of a column, or of the combinations of "one:other", from 0 without gaps.

    Raises
    ------
    DataError
        An unknown column, or missing values in it.
    """
    codes: NDArray[np.intp] | None = None
    for part in name.split(":"):
        if part not in rows:
            known = ", ".join(column for column in rows.columns if not column.startswith("exposure:"))
            raise DataError(f"the panel has no column {part!r} (effect or cluster); it has {known}")
        own = _codes(rows[part])
        if own.min(initial=0) < 0:
            raise DataError(f"column {part!r} has missing values, so it cannot be an effect or a cluster")
        codes = own if codes is None else dense_codes(codes * (own.max() + 1) + own)
    return np.asarray(codes)


def _codes(column: pd.Series) -> NDArray[np.intp]:
    import pandas as pd

    if column.dtype.kind in "iu" and isinstance(column.dtype, np.dtype) and len(column):
        values = column.to_numpy()
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < len(values):
            return _without_gaps((values - lowest).astype(np.intp, copy=False), highest - lowest + 1)
    if column.dtype == "str":
        # Rows are sorted, so texts stand in runs: one look at each run is enough.
        heads = run_starts(column.array)
        if len(heads) < len(column) // 2:
            return np.repeat(pd.factorize(column.array[heads])[0], np.diff(heads, append=len(column)))
    return pd.factorize(column)[0]


def _without_gaps(codes: NDArray[np.intp], levels: int) -> NDArray[np.intp]:
    # Mostly every level stands near the top already: each unit has most periods.
    for rows in (codes[: 4 * levels], codes):
        if np.bincount(rows, minlength=levels).all():
            return codes
    return dense_codes(codes)


def cluster_names(rows: pd.DataFrame, cluster: Cluster) -> str:
    """Name the clusters, for tables."""
    names = list(cluster_columns(cluster))
    if "cluster" in names and rows["cluster"].equals(rows["randomized"]):
        names[names.index("cluster")] = "randomized units"
    return " and ".join(names)


def covariate_columns(
    rows: pd.DataFrame, covariates: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give numeric covariates (rows, covariates), and which rows have all of them.

    Raises
    ------
    DataError
        An unknown column, one that is no number, or no row that is complete.
    """
    import pandas as pd

    require_names("covariates", covariates)
    for name in covariates:
        if name not in rows:
            raise DataError(
                f"the panel holds no covariate {name!r}; name it when the panel is made (covariates=…)"
            )
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise DataError(f"covariate {name!r} is no number; name it in fixed_effects instead")
    values = np.column_stack(
        [rows[name].to_numpy(dtype=float) for name in covariates] or [np.empty((len(rows), 0))]
    )
    complete = np.isfinite(values).all(axis=1)
    if len(rows) and not complete.any():
        raise DataError(
            f"no row has a value of every covariate ({', '.join(covariates)}); complete or leave them out"
        )
    return values, complete


def centred_covariates(
    rows: pd.DataFrame, covariates: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give the same less their means over complete rows, for models with an intercept or effects.

    These take the means up; less them a date such as 20240131 is not mistaken for a constant.
    """
    values, complete = covariate_columns(rows, covariates)
    return values - values[complete].mean(axis=0), complete
