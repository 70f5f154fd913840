"""Dates as agencies write them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ZONE = r"(?:[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
HOURS, SIXTY = r"(?:[01][0-9]|2[0-4])", r"[0-6][0-9]"
TIME = rf"[Tt ]{HOURS}(?::?{SIXTY}(?::?{SIXTY}(?:[.,][0-9]+)?)?)?"
ISO_DATE = rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|[0-9]{{8}})(?:{TIME})?(?: ?{ZONE})?$"
NAMED_ZONE = rf"\s*(?:{ZONE}|[A-Za-z]{{2,5}})$"


def parse_dates(written: "pd.Series", formats: Sequence[str]) -> "pd.Series":
    """Read local calendar dates; NaT where none of the formats fits.

    The date is the one that was written: a zone beside it is passed over, never converted.

    Parameters
    ----------
    written
        Text, None where blank.
    formats
        As in ``strftime`` (``%m/%d/%Y``), tried in their order for each date; a zone (``%z``, ``%Z``) stands
        at the end. None given: a full date of ISO 8601, with or without time and zone.
    """
    import pandas as pd

    dates = pd.Series(pd.NaT, index=written.index, dtype="datetime64[s]")
    for form in formats or ("",):
        open_ = dates.isna() & written.notna()
        text = written[open_].astype("str")
        read = _by_format(text, form) if form else _iso(text)
        dates[open_] = read.astype("datetime64[s]")
    return dates.dt.normalize()


def _iso(text: "pd.Series") -> "pd.Series":
    import pandas as pd

    days = text.str.extract(ISO_DATE, expand=False).str.replace("-", "")
    return pd.to_datetime(days, format="%Y%m%d", errors="coerce")


def _by_format(text: "pd.Series", form: str) -> "pd.Series":
    import pandas as pd

    if form.lower().endswith("%z"):
        form = form[:-2].rstrip()
        text = text.str.replace(NAMED_ZONE, "", regex=True)
    return pd.to_datetime(text, format=form, errors="coerce")
