"""Dates are the local calendar dates that were written, or a problem."""

import pandas as pd
import pytest

from rct.records.incident_dates import parse_dates


def read(written: list[str | None], *formats: str) -> list[str | None]:
    dates = parse_dates(pd.Series(written, dtype=object), formats)
    return [None if pd.isna(date) else f"{date:%Y-%m-%d}" for date in dates]


@pytest.mark.parametrize(
    "written",
    [
        "2020-03-05",
        "20200305",
        "2020-03-05 23:30",
        "2020-03-05T10:00:00Z",
        "2020-03-05T23:30:00.000-05:00",
        "2020-03-05T00:30:00+0100",
        "2020-03-05 23:30:00 UTC",
    ],
)
def test_an_iso_date_is_the_day_written_whatever_its_time_and_zone(written):
    assert read([written]) == ["2020-03-05"]


def test_offsets_may_be_mixed():
    assert read(["2020-03-05T00:30:00+01:00", "2020-03-05T23:30:00-05:00", None, "2020-03-05"]) == [
        "2020-03-05",
        "2020-03-05",
        None,
        "2020-03-05",
    ]


@pytest.mark.parametrize(
    "written", ["2020", "2020-03", "2020/03/06", "2020-3-5", "2020-02-30", "2020-03-05T25:00", "03/05/2020"]
)
def test_without_a_format_anything_but_a_full_iso_date_is_unread(written):
    assert read([written]) == [None]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("%Y-%m-%d %H:%M %z", ["2020-03-05 00:30 +0100", "2020-03-05 23:30 -05:00", "2020-03-05 23:30"]),
        ("%m/%d/%Y %H:%M %Z", ["03/05/2020 23:30 EST", "03/05/2020 23:30 CDT", "03/05/2020 00:30 Z"]),
    ],
)
def test_a_zone_at_the_end_of_a_format_is_passed_over(form, written):
    assert read(written, form) == ["2020-03-05"] * 3


def test_a_date_that_does_not_fill_its_format_is_unread():
    assert read(["2020", "2020-03-05T10:00:00Z", "2020-03-05"], "%Y-%m-%d") == [None, None, "2020-03-05"]
