"""From any tidy frame to the rows of a panel: canonical ids, numbered periods, assignment by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rct.csv_table import rows_in_file
from rct.errors import DataError
from rct.identifiers import canonical_column, listed
from rct.invisible_characters import refuse_invisible

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


class _Ids:
    """The id columns of a frame as canonical text and as codes in byte order, each column read once."""

    def __init__(self, df: "pd.DataFrame") -> None:
        self._df = df
        self._texts: dict[str, pd.Series] = {}
        self._codes: dict[str, np.ndarray] = {}

    def text(self, column: str) -> "pd.Series":
        if column not in self._texts:
            rows = rows_in_file(self._df)
            self._texts[column] = canonical_column(self._df[column], what=column, rows=rows)
            refuse_invisible(self._texts[column], what=column, rows=rows)
        return self._texts[column]

    def codes(self, column: str) -> "np.ndarray":
        import numpy as np
        import pandas as pd

        if column not in self._codes:
            codes, texts = pd.factorize(self.text(column))
            rank = np.empty(len(texts), dtype=np.intp)
            rank[np.argsort(np.asarray(texts, dtype=object), kind="stable")] = np.arange(len(texts))
            self._codes[column] = rank[codes]
        return self._codes[column]


def assemble(df: "pd.DataFrame", columns: TidyColumns) -> "pd.DataFrame":
    """Give the panel's frame: reserved columns, outcomes, own exposures, covariates; sorted."""
    import pandas as pd

    _check_columns(df, columns)
    ids, randomized = _Ids(df), columns.randomized or columns.unit
    out = pd.DataFrame({"unit": ids.text(columns.unit)})
    out["period"], out["period_label"] = _periods(df, columns.period)
    order = _row_order(out, ids.codes(columns.unit), columns)
    out["randomized"] = ids.text(randomized)
    out["cluster"] = ids.text(columns.cluster or randomized)
    out["starts"], out["treated"] = _assignment(df, out, ids.codes(randomized), columns)
    out["arm"] = _arms(ids, out, columns)
    out["sequence"] = _sequences(df, out, ids.codes(randomized), columns)
    out["received"] = df[columns.received].astype(float) if columns.received else out["treated"]
    common = columns.exposure if isinstance(columns.exposure, str) else None
    out["exposure"] = _exposure(df, common) if common else 1.0
    out["block"] = _blocks(ids, out, columns.block)
    out["probability"] = df[columns.probability].astype(float) if columns.probability else float("nan")
    out = out[list(ASSIGNMENT)]
    for outcome in columns.outcomes:
        out[outcome] = _counts(df[outcome], outcome)
    if isinstance(columns.exposure, Mapping):
        for outcome, column in columns.exposure.items():
            out[f"exposure:{outcome}"] = _exposure(df, column)
    if columns.exposure is not None:
        _check_exposed(out, columns.outcomes)
    for name, column in columns.covariates.items():
        out[name] = df[column]
    return (out if order is None else out.take(order)).reset_index(drop=True)


def _counts(column: "pd.Series", outcome: str) -> "pd.Series":
    """Widen counts, so that sums cannot overflow a small integer type."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        raise DataError(f"outcome {outcome!r} is not numeric ({column.dtype}); give it as counts")
    return column.astype(
        "int64" if pd.api.types.is_integer_dtype(column) and not column.isna().any() else "float64"
    )


def _exposure(df: "pd.DataFrame", column: str) -> "pd.Series":
    """Read a column of person-time; what is no number of 0 or more would be left out unseen."""
    import pandas as pd

    amounts = pd.to_numeric(df[column], errors="coerce").astype(float)
    wrong = ~((amounts >= 0) & (amounts < float("inf"))).to_numpy()
    if wrong.any():
        placed = zip(df[column], rows_in_file(df), wrong, strict=True)
        shown = listed([f"{value} in row {row}" for value, row, here in placed if here])
        raise DataError(
            f"column {column}: exposure that is no number of 0 or more: {shown}. "
            "Write 0 where the unit was not there."
        )
    return amounts


def _check_exposed(out: "pd.DataFrame", outcomes: Sequence[str]) -> None:
    """Refuse events of units without exposure in the period: every analysis would leave them out."""
    lost = []
    for outcome in outcomes:
        own = f"exposure:{outcome}"
        unexposed = (out[own if own in out else "exposure"] == 0) & (out[outcome] > 0)
        rows = out.loc[unexposed, ["unit", "period_label", outcome]].itertuples(index=False)
        lost += [f"{events:g} {outcome} of {unit} in {label}" for unit, label, events in rows]
    if lost:
        raise DataError(
            "events without exposure, which every analysis would leave out, in "
            f"{len(lost)} place{'s' * (len(lost) > 1)}: {listed(lost)}. Give their "
            "exposure, or a missing count (NaN) where it is not to be used."
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
        row = rows_in_file(df)[int(np.flatnonzero(df[column].isna())[0])]
        raise DataError(f"column {column}, row {row}: a missing period. Every row needs its period.")
    values = np.sort(df[column].unique())
    label = df[column].astype("int64") if pd.api.types.is_integer_dtype(df[column]) else df[column]
    return np.searchsorted(values, df[column].to_numpy()).astype("int64") + 1, label


def _row_order(out: "pd.DataFrame", unit: "np.ndarray", columns: TidyColumns) -> "np.ndarray | None":
    """Give the order of rows by unit and period, None where they are in it; refuse two rows of one."""
    import numpy as np

    period = out["period"].to_numpy()
    place = unit * (int(period.max(initial=0)) + 1) + period
    order = None if np.all(place[1:] >= place[:-1]) else np.argsort(place, kind="stable")
    ordered = place if order is None else place[order]
    if np.any(ordered[1:] == ordered[:-1]):
        repeated = out.loc[out.duplicated(["unit", "period"]), ["unit", "period_label"]]
        items = [f"{u} in {p}" for u, p in repeated.itertuples(index=False)]
        raise DataError(
            f"more than one row for {columns.unit} and period: {listed(items)}. Sum or drop them first."
        )
    return order


def _assignment(
    df: "pd.DataFrame", out: "pd.DataFrame", randomized: "np.ndarray", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    if columns.starts is not None:
        return _from_starts(df, out, randomized, columns)
    return _from_doses(df[str(columns.treated)], out, randomized, columns)


def _from_starts(
    df: "pd.DataFrame", out: "pd.DataFrame", randomized: "np.ndarray", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    """Give the number of each first treated period.

    A start after the last period is a unit that is not treated within the panel.
    """
    import numpy as np
    import pandas as pd

    if columns.period is None:
        raise DataError("starts= needs a period column; with period=None name the 0/1 column as treated=")
    labels, starts = np.sort(df[columns.period].unique()), df[columns.starts]
    never = starts.isna().to_numpy(copy=True)
    if pd.api.types.is_numeric_dtype(starts):
        value = starts.to_numpy(dtype=float, na_value=np.nan)
        never |= ~np.isfinite(value) | (value == 0)
    number = np.zeros(len(out), dtype="int64")
    number[~never] = np.searchsorted(labels, starts.to_numpy()[~never].astype(labels.dtype)) + 1
    number[number > len(labels)] = 0
    _check_constant(out["randomized"], randomized, number, f"{columns.starts} (first treated period)")
    period = out["period"].to_numpy()
    dose = ((number > 0) & (period >= number)).astype(float)
    dose[(number > 0) & (period < number) & (period >= number - columns.transition)] = np.nan
    return number, dose


def _from_doses(
    treated: "pd.Series", out: "pd.DataFrame", randomized: "np.ndarray", columns: TidyColumns
) -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    dose, period = treated.to_numpy(dtype=float, na_value=np.nan), out["period"].to_numpy()
    if np.nanmin(dose, initial=0) < 0:
        raise DataError(f"column {columns.treated} holds negative doses; 0 is untreated, above 0 the dose")
    periods = int(period.max(initial=0))
    place = randomized * (periods + 1) + period
    order = np.argsort(place, kind="stable")
    own, level = place[order], dose[order]
    same_dose = (level[1:] == level[:-1]) | (np.isnan(level[1:]) & np.isnan(level[:-1]))
    differing = np.flatnonzero((own[1:] == own[:-1]) & ~same_dose)
    if len(differing):
        unit, when = out.iloc[order[differing[0]]][["randomized", "period"]]
        raise DataError(
            f"randomized unit {unit} has both treated and untreated rows in period {when}: name the "
            "column of the unit that was randomized as randomized="
        )
    first = np.full(int(randomized.max(initial=-1)) + 1, periods + 1)
    np.minimum.at(first, randomized[dose > 0], period[dose > 0])
    return np.where(first > periods, 0, first)[randomized].astype("int64"), dose


def _arms(ids: _Ids, out: "pd.DataFrame", columns: TidyColumns) -> "pd.Series":
    import pandas as pd

    if columns.arm:
        return ids.text(columns.arm)
    names = pd.array(["control", "treated"], dtype="str")
    return pd.Series(names.take((out["starts"].to_numpy() > 0).astype(int)), index=out.index)


def _sequences(
    df: "pd.DataFrame", out: "pd.DataFrame", randomized: "np.ndarray", columns: TidyColumns
) -> "np.ndarray":
    """Give each row the number of its course of arms and doses: untreated first, then by start, arm."""
    import numpy as np

    if columns.sequence:
        number = df[columns.sequence].to_numpy().astype("int64")
        _check_constant(out["randomized"], randomized, number, columns.sequence)
        return number
    units, rows = np.unique(randomized, return_index=True)
    key = out[["randomized", "starts", "arm"]].iloc[rows].set_index("randomized")
    key["course"] = "" if columns.starts else _courses(out).reindex(key.index)
    number = np.empty(len(units), dtype="int64")
    number[randomized[rows]] = key.groupby(["starts", "arm", "course"]).ngroup().to_numpy()
    return number[randomized]


def _courses(out: "pd.DataFrame") -> "pd.Series":
    """Describe each randomized unit's doses: the dose that stays once begun, or else period by period."""
    import pandas as pd

    cells = out.drop_duplicates(["randomized", "period"]).sort_values(["randomized", "period"])
    after = cells.loc[(cells["starts"] > 0) & (cells["period"] >= cells["starts"])]
    levels = after.groupby("randomized")["treated"].agg(["min", "max", "size", "count"])
    stays = levels.index[(levels["min"] == levels["max"]) & (levels["size"] == levels["count"])]
    never = cells.loc[cells["starts"] == 0, "randomized"].unique()
    others = cells.loc[~cells["randomized"].isin([*never, *stays])]
    text = others["period"].astype(str) + "=" + others["arm"] + "=" + others["treated"].map(str).astype("str")
    return pd.concat(
        [
            pd.Series("0.0", index=never),
            levels.loc[stays, "max"].map(str),
            text.groupby(others["randomized"]).agg("|".join),
        ]
    )


def _blocks(ids: _Ids, out: "pd.DataFrame", block: "str | Sequence[str] | None") -> "pd.Series":
    import pandas as pd

    if block is None:
        return pd.Series("", index=out.index, dtype="str")
    names = [block] if isinstance(block, str) else list(block)
    joined = ids.text(names[0])
    for name in names[1:]:
        joined = joined + " / " + ids.text(name)
    return joined


def _check_constant(units: "pd.Series", codes: "np.ndarray", values: "np.ndarray", what: str) -> None:
    import numpy as np

    own = np.zeros(int(codes.max(initial=-1)) + 1, dtype=values.dtype)
    own[codes] = values
    varies = own[codes] != values
    if varies.any():
        names = sorted(units[varies].unique())
        raise DataError(f"{what} varies within randomized unit {listed(names)}; a unit has one assignment")
