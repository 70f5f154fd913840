"""The files of an allocation's folder, as text: for people, for other programs, and for verification."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rct.errors import AllocationError
from rct.randomization.certificate import LEVELS, Certificate, certificate_text

if TYPE_CHECKING:
    from rct.randomization.allocation import Allocation

README = """\
{name}: a randomization

allocation.csv    who follows which sequence: one row per {unit}
schedule.csv      the sequences: arm and dose in each period (empty dose: transition, left out)
roster.csv        the measured units it was made from
trial.toml        the trial as it was declared
certificate.json  seed, design and result: all that is needed to make this again

Level: {level}
What this proves: {proves}
What it does not prove: {does_not_prove}

To check it: rct verify FOLDER --roster ROSTER.csv{copy}
The rules, byte by byte, are in rct's documentation, "The bytes of an allocation".
"""


def folder_text(allocation: "Allocation") -> dict[str, str]:
    """Give the text of each file by its name."""
    trial, certificate = allocation.trial, allocation.certificate
    return {
        "allocation.csv": table_text(allocation.frame),
        "schedule.csv": table_text(allocation.sequences),
        "roster.csv": table_text(allocation.roster),
        "trial.toml": trial.to_toml(),
        "README.txt": readme_text(trial.name, trial.units.randomize, certificate),
        "certificate.json": certificate_text(certificate),
    }


def readme_text(name: str, unit: str, certificate: Certificate) -> str:
    """Say what the files are, and what the certificate proves, for a trial of this name and its units."""
    proves, does_not_prove = LEVELS[certificate["level"]]
    return README.format(
        name=name,
        unit=unit,
        level=certificate["level"],
        proves=proves,
        does_not_prove=does_not_prove,
        copy=" --commitment THEIR_COPY.json" if "commitment" in certificate else "",
    )


def kept_text(file: Path) -> str:
    """Read a file of the folder; line endings count for nothing.

    Raises
    ------
    AllocationError
        When it is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AllocationError(
            f"{file}: byte {error.start + 1} is not UTF-8, so it differs from the certificate"
        ) from None


def table_text(frame: pd.DataFrame) -> str:
    """Write a table as CSV; a missing number is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False):
        writer.writerow("" if pd.isna(value) else value for value in row)
    return text.getvalue()


def refuse_occupied(folder: Path) -> None:
    """Refuse a target that is a file or a folder with something in it.

    Raises
    ------
    AllocationError
        So that an allocation is never overwritten.
    """
    if (folder / "certificate.json").exists():
        raise AllocationError(f"{folder} already holds an allocation; choose another folder")
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise AllocationError(f"{folder} is not an empty folder; choose another one")
