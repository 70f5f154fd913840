"""Dates as agencies write them."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import listed

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
OTHER = {"%d": "%m", "%m": "%d"}
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


def refuse_exchanged(records: "pd.DataFrame", dates: "pd.Series", formats: Sequence[str]) -> None:
    """Refuse dates that are all read with day and month exchanged, but some of them not as declared.

    Those that can be read either way would stand in a wrong period, unseen.

    Raises
    ------
    DataError
        With the first dates that cannot be, and the form that reads them all.
    """
    exchanged = [
        re.sub("%[dm]", lambda found: OTHER[found[0]], form) if "%d" in form and "%m" in form else form
        for form in formats
    ]
    if exchanged == list(formats):
        return
    written = records["date"].notna()
    for file, own in records[written].groupby("file", sort=False):
        unread = own.loc[dates[own.index].isna(), "date"]
        if len(unread) and parse_dates(own["date"], exchanged).notna().all():
            shown = listed(unread.drop_duplicates().head(EXAMPLES).tolist())
            raise DataError(
                f"{file}: {len(unread):,} of its {len(own):,} dates cannot be read as "
                f"{listed(list(formats))} ({shown}), and all can as "
                f"{listed(exchanged)}: day and month are exchanged in date_format."
            )
