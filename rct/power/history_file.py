"""A history from a file: a panel that rct wrote, or the table an agency can make of its earlier months."""

from pathlib import Path
from typing import TYPE_CHECKING

from rct.csv_table import read_csv_table, rows_in_file
from rct.errors import DataError
from rct.panel import Panel

if TYPE_CHECKING:
    from rct.trial import Trial

PERIOD, EXPOSURE = "period", "exposure"


def read_history(path: str | Path, trial: "Trial") -> Panel:
    """Read earlier months, nobody trained in them.

    Parameters
    ----------
    path : str or path
        A panel (Parquet), or a CSV file with one row per measured unit and period, also where nothing
        happened: the trial's `units.id`, `period` (2019-03, say; whatever sorts in time), a column of counts
        for each outcome by its name, the randomized unit where that is another (`units.randomize`), and
        `exposure` where some were there for part of a period.
    trial : Trial

    Raises
    ------
    DataError
        For a file that cannot be read, lacks a column, or has two rows of one unit and period.
    """
    if Path(path).suffix.lower() != ".csv":
        return Panel.read(path)
    import pandas as pd

    units, outcomes = trial.units, [outcome.name for outcome in trial.outcomes]
    table = read_csv_table(Path(path), what="history")
    needed = dict.fromkeys([units.id, PERIOD, *outcomes, units.randomize])
    lacking = [name for name in needed if name not in table]
    if lacking:
        raise DataError(
            f"{path}: a history has one row per {units.measure} and period, with the columns "
            f"{', '.join(needed)}; there is no {', '.join(lacking)}"
        )
    for name in (*outcomes, *([EXPOSURE] if EXPOSURE in table else [])):
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = numbers.isna()
        if wrong.any():
            first = int(wrong.to_numpy().argmax())
            raise DataError(
                f"{path}, row {rows_in_file(table)[first]}: {name} is {table[name].iloc[first]!r}, not a "
                "number; write 0 where nothing happened"
            )
        table[name] = numbers
    period = table[PERIOD].where(table[PERIOD] != "")
    table = table.assign(untrained=0.0, **{PERIOD: period})
    return Panel.from_frame(
        table, unit=units.id, period=PERIOD, outcomes=outcomes, treated="untrained",
        exposure=EXPOSURE if EXPOSURE in table else None,
        randomized=units.randomize, fractional=[o.name for o in trial.outcomes if o.fractional],
    )  # fmt: skip
