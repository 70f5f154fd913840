"""From any tidy frame to the rows of a panel: canonical ids, numbered periods, assignment by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import canonical_column, listed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


ASSIGNMENT = (
    "unit", "period", "period_label", "randomized", "cluster", "sequence", "arm", "starts", "treated",
    "received", "exposure", "block", "probability",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TidyColumns:
    """Which column of a frame means what; see `Panel.from_frame`."""

    unit: str
    period: str | None
    outcomes: tuple[str, ...]
    starts: str | None
    treated: str | None
    arm: str | None
    received: str | None
    exposure: "str | Mapping[str, str] | None"
    randomized: str | None
    sequence: str | None
    transition: int
    cluster: str | None
    block: "str | Sequence[str] | None"
    probability: str | None
    covariates: Mapping[str, str]

    def named(self) -> list[str]:
        """Every column that the frame must have."""
        names: list[str] = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "transition" or value is None:
                continue
            names += (
                [value] if isinstance(value, str) else value.values() if isinstance(value, Mapping) else value
            )
        return list(dict.fromkeys(names))


def assemble(df: "pd.DataFrame", columns: TidyColumns) -> "pd.DataFrame":
    """Give the panel's frame: reserved columns, outcomes, own exposures, covariates; sorted."""
    import pandas as pd

    _check_columns(df, columns)
    out = pd.DataFrame({"unit": canonical_column(df[columns.unit], what=columns.unit)})
    out["period"], out["period_label"] = _periods(df, columns.period)
    _check_unique(out, columns)
    randomized = columns.randomized or columns.unit
    out["randomized"] = canonical_column(df[randomized], what=randomized)
    cluster = columns.cluster or randomized
    out["cluster"] = canonical_column(df[cluster], what=cluster)
    out["starts"], out["treated"] = _assignment(df, out, columns)
    out["arm"] = _arms(df, out, columns)
    out["sequence"] = _sequences(df, out, columns)
    out["received"] = df[columns.received].astype(float) if columns.received else out["treated"]
    common = columns.exposure if isinstance(columns.exposure, str) else None
    out["exposure"] = df[common].astype(float) if common else 1.0
    out["block"] = _blocks(df, columns.block)
    out["probability"] = df[columns.probability].astype(float) if columns.probability else float("nan")
    out = out[list(ASSIGNMENT)]
    for outcome in columns.outcomes:
        out[outcome] = _counts(df[outcome], outcome)
    if isinstance(columns.exposure, Mapping):
        for outcome, column in columns.exposure.items():
            out[f"exposure:{outcome}"] = df[column].astype(float)
    for name, column in columns.covariates.items():
        out[name] = df[column]
    return out.sort_values(["unit", "period"], kind="stable").reset_index(drop=True)


def _counts(column: "pd.Series", outcome: str) -> "pd.Series":
    """Widen counts, so that sums cannot overflow a small integer type."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        raise DataError(f"outcome {outcome!r} is not numeric ({column.dtype}); give it as counts")
    return column.astype(
        "int64" if pd.api.types.is_integer_dtype(column) and not column.isna().any() else "float64"
    )


def _check_columns(df: "pd.DataFrame", columns: TidyColumns) -> None:
    for name in columns.named():
        if name not in df.columns:
            near = get_close_matches(name, [str(c) for c in df.columns], n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DataError(
                f"the frame has no column {name!r}; {hint}it has {', '.join(map(str, df.columns))}"
            )
    if (columns.starts is None) == (columns.treated is None):
        raise DataError("name exactly one of starts= (first treated period) and treated= (0/1 or dose)")
    clash = [name for name in (*columns.outcomes, *columns.covariates) if name in {*ASSIGNMENT, "count"}]
    if clash:
        raise DataError(
            f"{clash[0]!r} is a name the panel keeps for itself; rename the column, "
            f"or give a covariate another name: covariates={{'other name': {clash[0]!r}}}"
        )


def _periods(df: "pd.DataFrame", column: str | None) -> "tuple[np.ndarray, pd.Series]":
    import numpy as np
    import pandas as pd

    if column is None:
        return np.ones(len(df), dtype="int64"), pd.Series(1, index=df.index, dtype="int64")
    if df[column].isna().any():
        row = int(np.flatnonzero(df[column].isna())[0]) + 2
        raise DataError(f"column {column}, row {row}: a missing period. Every row needs its period.")
    values = np.sort(df[column].unique())
    label = df[column].astype("int64") if pd.api.types.is_integer_dtype(df[column]) else df[column]
    return np.searchsorted(values, df[column].to_numpy()).astype("int64") + 1, label


def _check_unique(out: "pd.DataFrame", columns: TidyColumns) -> None:
    repeated = out.duplicated(["unit", "period"])
    if repeated.any():
        items = [
            f"{u} in {p}" for u, p in out.loc[repeated, ["unit", "period_label"]].itertuples(index=False)
        ]
        raise DataError(
            f"more than one row for {columns.unit} and period: {listed(items)}. Sum or drop them first."
        )


def _assignment(
    df: "pd.DataFrame", out: "pd.DataFrame", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    if columns.starts is not None:
        return _from_starts(df[columns.starts], df, out, columns)
    return _from_doses(df[str(columns.treated)], out, columns)


def _from_starts(
    starts: "pd.Series", df: "pd.DataFrame", out: "pd.DataFrame", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    """Give the number of each first treated period.

    A start after the last period is a unit that is not treated within the panel.
    """
    import numpy as np
    import pandas as pd

    if columns.period is None:
        raise DataError("starts= needs a period column; with period=None name the 0/1 column as treated=")
    labels = np.sort(df[columns.period].unique())
    never = starts.isna().to_numpy(copy=True)
    if pd.api.types.is_numeric_dtype(starts):
        value = starts.to_numpy(dtype=float, na_value=np.nan)
        never |= ~np.isfinite(value) | (value == 0)
    number = np.zeros(len(out), dtype="int64")
    number[~never] = np.searchsorted(labels, starts.to_numpy()[~never].astype(labels.dtype)) + 1
    number[number > len(labels)] = 0
    _check_constant(out["randomized"], number, f"{columns.starts} (first treated period)")
    period = out["period"].to_numpy()
    dose = ((number > 0) & (period >= number)).astype(float)
    dose[(number > 0) & (period < number) & (period >= number - columns.transition)] = np.nan
    return number, dose


def _from_doses(
    treated: "pd.Series", out: "pd.DataFrame", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    dose = treated.to_numpy(dtype=float, na_value=np.nan)
    if np.nanmin(dose, initial=0) < 0:
        raise DataError(f"column {columns.treated} holds negative doses; 0 is untreated, above 0 the dose")
    cells = out.assign(dose=dose).groupby(["randomized", "period"])["dose"].nunique(dropna=False)
    if (cells > 1).any():
        unit, period = cells.index[cells > 1][0]
        raise DataError(
            f"randomized unit {unit} has both treated and untreated rows in period {period}: name the "
            "column of the unit that was randomized as randomized="
        )
    first = out.loc[dose > 0].groupby("randomized")["period"].min()
    return out["randomized"].map(first).fillna(0).to_numpy().astype("int64"), dose


def _arms(df: "pd.DataFrame", out: "pd.DataFrame", columns: TidyColumns) -> "pd.Series":
    import numpy as np
    import pandas as pd

    if columns.arm:
        return canonical_column(df[columns.arm], what=columns.arm)
    return pd.Series(np.where(out["starts"] > 0, "treated", "control"), index=out.index, dtype="str")


def _sequences(df: "pd.DataFrame", out: "pd.DataFrame", columns: TidyColumns) -> "np.ndarray":
    """Give each row the number of its course of arms and doses: untreated first, then by start, arm."""
    import pandas as pd

    if columns.sequence:
        number = df[columns.sequence].to_numpy().astype("int64")
        _check_constant(out["randomized"], number, columns.sequence)
        return number
    first = out.drop_duplicates("randomized").set_index("randomized")[["starts", "arm"]]
    courses = pd.Series("", index=first.index) if columns.starts else _courses(out)
    key = pd.DataFrame(
        {"starts": first["starts"], "arm": first["arm"], "course": courses.reindex(first.index)}
    )
    ordered = key.drop_duplicates().sort_values(["starts", "arm", "course"]).reset_index(drop=True)
    number_of = {tuple(row): number for number, row in enumerate(ordered.itertuples(index=False))}
    of_unit = {
        unit: number_of[tuple(row)] for unit, row in zip(key.index, key.itertuples(index=False), strict=True)
    }
    return out["randomized"].map(of_unit).to_numpy().astype("int64")


def _courses(out: "pd.DataFrame") -> "pd.Series":
    """Describe each randomized unit's doses: the dose that stays once begun, or else period by period."""
    cells = out.drop_duplicates(["randomized", "period"]).sort_values(["randomized", "period"])
    after = cells.loc[(cells["starts"] > 0) & (cells["period"] >= cells["starts"])]
    levels = after.groupby("randomized")["treated"].agg(["min", "max", "size", "count"])
    stays = levels.index[(levels["min"] == levels["max"]) & (levels["size"] == levels["count"])]
    text = cells["period"].astype(str) + "=" + cells["arm"] + "=" + cells["treated"].map(str)
    course = text.groupby(cells["randomized"]).agg("|".join)
    course[cells.loc[cells["starts"] == 0, "randomized"].unique()] = "0.0"
    course[stays] = levels.loc[stays, "max"].map(str)
    return course


def _blocks(df: "pd.DataFrame", block: "str | Sequence[str] | None") -> "pd.Series":
    import pandas as pd

    if block is None:
        return pd.Series("", index=df.index, dtype="str")
    names = [block] if isinstance(block, str) else list(block)
    parts = [canonical_column(df[name], what=name) for name in names]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + " / " + part
    return joined


def _check_constant(units: "pd.Series", values: "np.ndarray", what: str) -> None:
    import pandas as pd

    per_unit = pd.Series(values).groupby(units.to_numpy()).agg(["min", "max"])
    varies = per_unit["min"] != per_unit["max"]
    if varies.any():
        names = list(varies.index[varies])
        raise DataError(f"{what} varies within randomized unit {listed(names)}; a unit has one assignment")
