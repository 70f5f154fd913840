"""The roster as a file: refused where the program that wrote it took ids for numbers."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rct.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial

DECIMAL = re.compile(r"\d+\.0+")


def read_units(path: Path, trial: "Trial") -> "pd.DataFrame":
    """Read a roster, every column as text.

    Raises
    ------
    DataError
        Also where every id is a decimal such as ``412.0``: whoever wrote the file read ids as numbers, and
        zeros that led them are lost.
    """
    import rct
    from rct.identifiers import listed

    roster = rct.read_roster(path)
    for column in dict.fromkeys((trial.units.id, trial.units.randomize)):
        ids = roster[column].tolist() if column in roster.columns else []
        if ids and all(DECIMAL.fullmatch(text) for text in ids):
            shown = [f"{text} in row {row}" for row, text in enumerate(ids, start=2)]
            raise DataError(
                f"{path}: the ids in {column} are decimal numbers: {listed(shown)}. A program read them as "
                "numbers, and zeros in front may be lost. Write every id as text, exactly as the agency does."
            )
    return roster
