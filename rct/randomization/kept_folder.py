"""The files of an allocation's folder against its certificate: whatever was edited is named."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rct.csv_table import Numbered, csv_rows
from rct.errors import AllocationError, DataError, RctError
from rct.identifiers import listed
from rct.randomization.certificate import Certificate, UnitRecord
from rct.randomization.folder_text import kept_text, readme_text, table_text
from rct.randomization.plan import Plan, block_name
from rct.randomization.rosters import checked_roster, read_roster
from rct.randomization.scheme_plans import planned
from rct.schedule import sequence_table
from rct.trial import Trial, differing_tables, load
from rct.trial_hash import DESIGN_TABLES, LABELLED
from rct.trial_tables import Design

KEPT = ("allocation.csv", "schedule.csv", "roster.csv", "trial.toml", "README.txt")
COLUMNS = ["unit", "block", "sequence", "arm", "starts", "probability"]

Probabilities = Mapping[str, list[float]]
"""For each randomized unit its probability of each sequence."""


def kept_problems(
    folder: Path, certificate: Certificate, design: Design, probabilities: Probabilities
) -> list[str]:
    """Name what was edited in the folder's files.

    Under a restriction ``probabilities`` are those of the allocations that it accepts; empty, they are not
    compared. Without a restriction they follow from the certificate's units.
    """
    tables = _kept_tables(folder, certificate, design, probabilities)
    return [*tables, *_trial_problems(folder, certificate, design)]


def amended_tables(folder: Path, certificate: Certificate) -> tuple[str, ...]:
    """Name the tables of the kept trial that were edited afterwards, the randomization untouched.

    Of the design's tables only the labels of the arms can be.
    """
    try:
        trial = load(folder / "trial.toml")
    except RctError:
        return ()
    edited = {table for table, _ in _design_edits(certificate, trial)}
    then = certificate["trial"]["tables"]
    fixed = {*DESIGN_TABLES} - ({LABELLED} & {*then}) | edited
    return tuple(table for table in differing_tables(then, trial.table_hashes) if table not in fixed)


def _kept_tables(
    folder: Path, certificate: Certificate, design: Design, probabilities: Probabilities
) -> Iterator[str]:
    lacking = [name for name in KEPT if not (folder / name).is_file()]
    yield from (f"{name} is missing from the folder" for name in lacking)
    sizes = Counter(tuple(unit["block"]) for unit in certificate["units"])
    try:
        plan = planned(design, dict(sorted(sizes.items())))
    except RctError as error:
        yield f"the units in the certificate do not fit its design: {error}"
        return
    if not design.randomization.restricted:
        shares = {block: [float(share) for share in own] for block, own in plan.shares.items()}
        probabilities = {unit["unit"]: shares[tuple(unit["block"])] for unit in certificate["units"]}
    if "allocation.csv" not in lacking:
        yield from _row_edits(folder / "allocation.csv", certificate, plan, probabilities)
    if "schedule.csv" not in lacking:
        yield from _schedule_edits(folder / "schedule.csv", plan)
    if "roster.csv" not in lacking:
        yield from _kept_roster(folder / "roster.csv", certificate, design)


def _schedule_edits(path: Path, plan: Plan) -> Iterator[str]:
    try:
        text = kept_text(path)
    except AllocationError as error:
        yield str(error)
        return
    if text != table_text(sequence_table(plan.sequences)):
        yield "schedule.csv in the folder was edited: it differs from the certificate's design"


def _row_edits(
    path: Path, certificate: Certificate, plan: Plan, probabilities: Probabilities
) -> Iterator[str]:
    try:
        text = kept_text(path)
        (_, header), *rows = csv_rows(path, text) or [(1, [])]
    except (AllocationError, DataError) as error:
        yield f"allocation.csv cannot be read any more: {error}"
        return
    if header != COLUMNS:
        yield f"allocation.csv: the columns are {', '.join(header)}; written were {', '.join(COLUMNS)}"
        return
    edits = [*_cell_edits(rows, certificate, plan, probabilities)]
    yield from edits
    if not edits and text != table_text(pd.DataFrame([row for _, row in rows], columns=header, dtype="str")):
        yield "allocation.csv is written otherwise than it was, with the same content"


def _cell_edits(
    rows: Numbered, certificate: Certificate, plan: Plan, probabilities: Probabilities
) -> Iterator[str]:
    claimed = {unit["unit"]: unit for unit in certificate["units"]}
    for number, cells in rows:
        if len(cells) != len(COLUMNS):
            yield f"allocation.csv: row {number} has {len(cells)} cells, the header {len(COLUMNS)}"
        row = dict(zip(COLUMNS, cells, strict=False))
        unit = claimed.pop(row["unit"], None)
        if unit is None:
            yield f"allocation.csv, row {number}: {row['unit']} stands twice, or is not certified"
            continue
        for column, value in _row_as_written(unit, plan, probabilities.get(unit["unit"])).items():
            if row.get(column) != value:
                yield (
                    f"allocation.csv, row {number}: {unit['unit']} stands with {column} {row.get(column)}, "
                    f"the certificate says {value}"
                )
    if claimed:
        yield f"allocation.csv lacks {listed(sorted(claimed))}"
    elif [cells[0] for _, cells in rows] != [unit["unit"] for unit in certificate["units"]]:
        yield "allocation.csv: the rows were put in another order, or some added"


def _row_as_written(unit: UnitRecord, plan: Plan, probabilities: list[float] | None) -> dict[str, str]:
    if unit["sequence"] not in range(len(plan.sequences)):
        return {"sequence": str(unit["sequence"])}
    sequence = plan.sequences[unit["sequence"]]
    known = {} if probabilities is None else {"probability": str(probabilities[unit["sequence"]])}
    return {
        "block": block_name(tuple(unit["block"])),
        "sequence": str(unit["sequence"]),
        "arm": sequence.arm,
        "starts": str(sequence.starts),
        **known,
    }


def _kept_roster(path: Path, certificate: Certificate, design: Design) -> Iterator[str]:
    try:
        kept = checked_roster(read_roster(path), design.units, covariates=design.further_columns)
    except RctError as error:
        yield f"the roster kept in the folder cannot be read any more: {error}"
        return
    if kept.hash != certificate["roster_hash"]:
        yield "roster.csv in the folder was edited: it is not the roster in the certificate"


def _trial_problems(folder: Path, certificate: Certificate, design: Design) -> Iterator[str]:
    file, names = folder / "trial.toml", {certificate["trial"]["name"]}
    if file.is_file():
        try:
            trial = load(file)
        except RctError as error:
            yield f"the trial kept in the folder cannot be read any more: {error}"
        else:
            names.add(trial.name)
            for _, edit in _design_edits(certificate, trial):
                yield f"trial.toml in the folder: the randomization rests on {edit}"
            if _renamed(certificate, trial):
                yield "the certificate's name or hash of the trial was edited: the kept trial has another"
            yield from _rehashed(certificate, trial)
    if (folder / "README.txt").is_file():
        yield from _readme_edits(folder / "README.txt", certificate, design, names)


def _renamed(certificate: Certificate, trial: Trial) -> bool:
    """Say whether the certificate names another trial, although the tables that tell so are unchanged."""
    claimed = certificate["trial"]
    differing = differing_tables(claimed["tables"], trial.table_hashes)
    return (not differing and claimed["hash"] != trial.hash) or (
        "name" not in differing and claimed["name"] != trial.name
    )


def _rehashed(certificate: Certificate, trial: Trial) -> Iterator[str]:
    """Name the tables whose hash was edited in the certificate: the trial as a whole has its hash."""
    claimed = certificate["trial"]
    differing = differing_tables(claimed["tables"], trial.table_hashes)
    if differing and claimed["hash"] == trial.hash:
        yield (
            f"the certificate's hashes of the trial's tables were edited: {', '.join(differing)} of the kept "
            "trial have others, although the trial as a whole is the one in the certificate"
        )


def _readme_edits(path: Path, certificate: Certificate, design: Design, names: set[str]) -> Iterator[str]:
    try:
        text = kept_text(path)
    except AllocationError as error:
        yield str(error)
        return
    if text not in {readme_text(name, design.units.randomize, certificate) for name in names}:
        yield "README.txt in the folder was edited: it does not say what the certificate says"


def _design_edits(certificate: Certificate, trial: Trial) -> list[tuple[str, str]]:
    return [*_edits(json.loads(certificate["design"]), json.loads(trial.design_json))]


def _edits(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for table in sorted({*then, *now}):
        old, new = then.get(table, {}), now.get(table, {})
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                was, is_now = (json.dumps(one[key]) if key in one else "absent" for one in (old, new))
                yield table, f"{table}.{key}, which was edited: {was} → {is_now}"
