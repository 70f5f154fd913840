"""Times of day as agencies write them."""

import re
from collections.abc import Iterable

CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2}):?(\d{2})(?::?\d{2}(?:[.,]\d+)?)?\s*([AaPp])?(?:\.?[Mm]\.?)?(?![\d:])"
)
HALF_DAY = 12


def parse_times(written: Iterable[str | None]) -> list[str]:
    """Read local times of day as "02:15"; "" where there is none.

    Parameters
    ----------
    written
        Text with one time, as "02:15", "2:15:30", "0215" or "2:15 PM", perhaps after a date; None where
        blank.
    """
    return [_time(text) if text else "" for text in written]


def _time(text: str) -> str:
    last = re.split(r"[Tt](?=\d)|\s(?=\d{1,2}:|\d{4}\b)", text.strip())[-1]
    found = CLOCK.match(last)
    if found is None:
        return ""
    hour, minute, half = int(found[1]), int(found[2]), (found[3] or "").lower()
    if half and not 1 <= hour <= HALF_DAY:
        return ""
    if half:
        hour = hour % HALF_DAY + (HALF_DAY if half == "p" else 0)
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else ""
