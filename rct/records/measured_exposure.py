"""Exposure of measured units by period, from a table of the agency's."""

from pathlib import Path
from typing import TYPE_CHECKING

from rct.csv_table import rows_in_file
from rct.errors import DataError
from rct.identifiers import canonical_column, listed
from rct.invisible_characters import refuse_invisible
from rct.records.incident_files import read_table
from rct.records.problem_list import ProblemList

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3


def exposure_table(given: "pd.DataFrame | str | Path", problems: ProblemList) -> "pd.DataFrame":
    """Give a table of exposure, read from its file unless it is one; blank lines are no rows.

    Raises
    ------
    DataError
        For a file that cannot be read, or has no row.
    """
    if not isinstance(given, str | Path):
        return given
    table = read_table(Path(given), problems, what="exposure")
    if table.empty:
        raise DataError(
            f"{given}: there is no row in it, so nobody would have any exposure. Export it again."
        )
    table.attrs["file"] = str(given)
    return table


def with_exposure(
    rows: "pd.DataFrame", exposure: "pd.DataFrame", *, unit: str, own: dict[str, str], problems: ProblemList
) -> "pd.DataFrame":
    """Put exposures into the rows of a panel; a unit and period that the table lacks has none.

    Parameters
    ----------
    rows
        unit, period, period_label, exposure, …
    exposure
        One row per unit and period: the roster's unit column, ``period`` (number or label), ``exposure``,
        and the columns that outcomes name as their own denominator.
    own
        Outcome → column of its own exposure.

    Raises
    ------
    DataError
        For a missing column, a repeated unit and period, a period outside the schedule, or an exposure that
        is no number of 0 or more.
    """
    import pandas as pd

    file = str(exposure.attrs.get("file", "the exposure table"))
    values = [name for name in ("exposure", *own.values()) if name in exposure.columns or name != "exposure"]
    lacking = [name for name in (unit, "period", *values) if name not in exposure.columns]
    if lacking or not values:
        there = ", ".join(map(str, exposure.columns))
        raise DataError(f"{file} lacks the column {listed(lacking or ['exposure'])}; it has {there}.")
    places = rows_in_file(exposure)
    exposure = exposure.set_axis(list(places))
    period = _period_numbers(exposure["period"], rows, file)
    ids = canonical_column(exposure[unit], what=unit, file=file, rows=places)
    refuse_invisible(ids, what=unit, file=file, rows=places)
    table = pd.DataFrame({"unit": ids, "period": period})
    for name in values:
        table[name] = _amounts(exposure[name], f"{file}, column {name}")
    twice = _in_rows(table.loc[table.duplicated(["unit", "period"]), "unit"])
    if twice:
        raise DataError(f"{file} has a second row of the same {unit} and period: {twice}. Add them up.")
    known = table["unit"].isin(rows["unit"])
    for name in values:
        if not (table.loc[known, name] > 0).any():
            raise DataError(
                f"{file}, column {name}: no unit of the roster has any, so no analysis has anything to read; "
                f"it names {', '.join(table['unit'].unique()[:EXAMPLES])}, the roster "
                f"{', '.join(rows['unit'].unique()[:EXAMPLES])}. Write ids as the roster does."
            )
    for name in sorted(set(table.loc[~known, "unit"])):
        problems.add(
            "exposure of a unit that is not on the roster", done="not used", file="exposure", unit=name
        )
    joined = rows[["unit", "period"]].merge(table, on=["unit", "period"], how="left")
    for name in sorted(set(rows["unit"]) - set(table["unit"])):
        problems.add(
            "no exposure in any period", done="left out by every analysis", file="exposure", unit=name
        )
    filled = joined[values].fillna(0.0)
    named = {f"exposure:{outcome}": filled[column].to_numpy() for outcome, column in own.items()}
    common = {"exposure": filled["exposure"].to_numpy()} if "exposure" in values else {}
    return rows.assign(**common, **named)


def _period_numbers(period: "pd.Series", rows: "pd.DataFrame", file: str) -> "pd.Series":
    names = {str(label): number for number, label in zip(rows["period"], rows["period_label"], strict=True)}
    names |= {str(number): number for number in rows["period"]}
    numbers = period.astype("str").map(names)
    if numbers.isna().any():
        strange = _in_rows(period[numbers.isna()])
        raise DataError(
            f"{file} has periods outside the schedule: {strange}. Number them from 1, "
            f"or name them as the panel does ({rows['period_label'].iloc[0]})."
        )
    return numbers.astype("int64")


def _amounts(values: "pd.Series", place: str) -> "pd.Series":
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = _in_rows(values[~((numbers >= 0) & (numbers < float("inf")))])
    if wrong:
        raise DataError(f"{place}: no number of 0 or more: {wrong}. Write 0 for no exposure.")
    return numbers


def _in_rows(values: "pd.Series") -> str:
    """List values with their rows, which are the index."""
    return listed([f"{value!s} in row {row}" for row, value in values.items()])
