"""Columns of a panel as arrays: codes of effects and clusters, numeric covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import DataError
from rct.frequentist.inference.two_way_clusters import Cluster, cluster_columns
from rct.frequentist.integer_codes import dense_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def column_codes(rows: pd.DataFrame, name: str) -> NDArray[np.intp]:
    """Number the values of a column, or of the combinations of "one:other", in order of appearance.

    Raises
    ------
    DataError
        An unknown column, or missing values in it.
    """
    import pandas as pd

    codes: NDArray[np.intp] | None = None
    for part in name.split(":"):
        if part not in rows:
            known = ", ".join(column for column in rows.columns if not column.startswith("exposure:"))
            raise DataError(f"the panel has no column {part!r} (effect or cluster); it has {known}")
        own = pd.factorize(rows[part])[0]
        if own.min(initial=0) < 0:
            raise DataError(f"column {part!r} has missing values, so it cannot be an effect or a cluster")
        codes = own if codes is None else dense_codes(codes * (own.max() + 1) + own)
    return np.asarray(codes)


def cluster_names(rows: pd.DataFrame, cluster: Cluster) -> str:
    """Name the clusters, for tables."""
    randomized = rows["cluster"].equals(rows["randomized"])
    names = {"cluster": "randomized units"} if randomized else {}
    return " and ".join(names.get(column, column) for column in cluster_columns(cluster))


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
