"""Dates as agencies write them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def parse_dates(written: "pd.Series", formats: Sequence[str]) -> "pd.Series":
    """Read local calendar dates; NaT where none of the formats fits.

    Parameters
    ----------
    written
        Text, None where blank.
    formats
        As in ``strftime`` (``%m/%d/%Y``), tried in their order for each date. None given: ISO 8601.
    """
    import pandas as pd

    dates = pd.Series(pd.NaT, index=written.index, dtype="datetime64[s]")
    for form in formats or ("ISO8601",):
        open_ = dates.isna() & written.notna()
        read = pd.to_datetime(written[open_], format=form, errors="coerce")
        dates[open_] = read.astype("datetime64[s]")
    return dates.dt.normalize()
