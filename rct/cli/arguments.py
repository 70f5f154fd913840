"""Arguments and options that several verbs share, and how their texts are read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

TrialName = Annotated[
    str, typer.Argument(metavar="TRIAL", help="A shipped trial's name, or the path of a trial file.")
]
AllocationFolder = Annotated[
    Path, typer.Option("--allocation", metavar="FOLDER", help="Folder that rct randomize wrote.")
]
AllocationIfAny = Annotated[
    Path | None,
    typer.Option(
        "--allocation",
        metavar="FOLDER",
        help="Folder that rct randomize wrote; needed where inference is by re-randomization.",
    ),
]
PanelFile = Annotated[
    Path, typer.Option("--panel", metavar="FILE", help="Panel that rct panel or rct simulate wrote.")
]
RosterFile = Annotated[
    Path, typer.Option("--roster", metavar="FILE", help="CSV with one row per measured unit.")
]
RosterIfAny = Annotated[
    Path | None, typer.Option("--roster", metavar="FILE", help="CSV with one row per measured unit.")
]
RosterOrCalendar = Annotated[
    Path | None,
    typer.Option(
        "--roster", metavar="FILE", help="CSV with one row per measured unit; a trial of shifts needs none."
    ),
]
INCIDENTS = typer.Option(
    "--incidents",
    metavar="FILE…",
    help="Incident records, CSV or Parquet; several files after each other, or the option repeated.",
)
IncidentFiles = Annotated[list[Path], INCIDENTS]
IncidentFilesIfAny = Annotated[list[Path] | None, INCIDENTS]
ExposureIfAny = Annotated[
    Path | None,
    typer.Option(
        "--exposure",
        metavar="FILE",
        help="CSV with one row per unit and period: the roster's id column, period (its number, or its "
        "name such as 2024-01), exposure, and the columns that outcomes name as their own exposure. "
        "Without it every unit is exposed for the whole of each period.",
    ),
]
SeedIfAny = Annotated[
    str | None,
    typer.Option("--seed", metavar="SEED", help="Whole number or text, instead of the trial's own seed."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only: no notes, no progress.")]


def whole_number_seed(text: str) -> int:
    """Give the seed of a text: itself where it is a whole number, else the first 8 bytes of its SHA-256."""
    if text.isdecimal() and text.isascii():
        return int(text)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def seed_if_any(text: str | None) -> int | None:
    """Give the seed of a text, and none where none was given."""
    return None if text is None else whole_number_seed(text)


def effects_by_outcome(given: Sequence[str]) -> dict[str, float | dict[str, float]]:
    """Read ``force=0.72`` and ``force:ICAT=0.72`` into ratios by outcome, and by arm.

    Raises
    ------
    typer.BadParameter
        Where a text has another form, its ratio is no number, or one effect is given twice.
    """
    ratios: dict[tuple[str, str], float] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        outcome, colon, arm = name.partition(":")
        ratio = _ratio(number)
        if ratio is None or not equals or not outcome or bool(colon) != bool(arm):
            raise typer.BadParameter(
                f"{text!r} is no effect; write force=0.72, or force:ARM=0.72 for one of several arms"
            )
        if any(other == outcome and (not arm or which in ("", arm)) for other, which in ratios):
            raise typer.BadParameter(f"the effect on {outcome} is given twice: {text}")
        ratios[outcome, arm] = ratio
    by_arm: dict[str, dict[str, float]] = {}
    for (outcome, arm), ratio in ratios.items():
        by_arm.setdefault(outcome, {})[arm] = ratio
    return {outcome: arms.get("", arms) for outcome, arms in by_arm.items()}


def _ratio(number: str) -> float | None:
    try:
        return float(number)
    except ValueError:
        return None
