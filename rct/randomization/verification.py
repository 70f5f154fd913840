"""Verification: the allocation is made again from the certificate, and whatever differs is named."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from rct.errors import AllocationError, RctError
from rct.identifiers import listed
from rct.randomization.allocation import assign, planned
from rct.randomization.capped_classes import capped
from rct.randomization.certificate import (
    LEVELS,
    Certificate,
    UnitRecord,
    block_records,
    certified_blocks,
    known_certificate,
    read_certificate,
    unit_records,
)
from rct.randomization.commitment import Commitment
from rct.randomization.commitment_check import commitment_problems, held_copy, what_is_open
from rct.randomization.folder_text import table_text
from rct.randomization.matched_groups import group_problems, in_certified_groups
from rct.randomization.plan import Plan, block_name
from rct.randomization.restricted_order import restrict
from rct.randomization.rosters import Roster, checked_roster, columns_read, read_roster
from rct.schedule import sequence_table
from rct.trial import Trial, differing_tables
from rct.trial_hash import sha256
from rct.trial_tables import Design

KEPT = ("allocation.csv", "schedule.csv", "roster.csv", "trial.toml")


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    ``ok`` when nothing differs; ``problems`` name each cause; ``level`` says what an honest certificate can
    prove, ``does_not_prove`` what this verification leaves open; ``amendments`` are the tables of the kept
    trial that were edited afterwards without touching what the randomization rests on.
    """

    ok: bool
    problems: tuple[str, ...]
    level: str
    does_not_prove: str
    amendments: tuple[str, ...] = ()


def verify(
    certificate_or_folder: Mapping[str, Any] | str | PathLike[str],
    roster: pd.DataFrame,
    *,
    commitment: Commitment | Mapping[str, Any] | str | PathLike[str] | None = None,
    value: str | None = None,
) -> Verification:
    """Make an allocation again from its certificate and a roster, and say what differs.

    Parameters
    ----------
    certificate_or_folder
        A certificate, its file, or the folder of an allocation, whose other files are then checked too.
    roster
        The roster as the verifier holds it.
    commitment
        The copy of the commitment that a third party received before the draw, or its file. Only with it is
        a folder found out that was made again as a whole.
    value
        What the public source published for the round, as the verifier found it there.

    Raises
    ------
    AllocationError
        When there is no readable certificate, or the copy is no commitment.
    DataError
        When the roster cannot be read as the certificate's design declares.
    """
    folder, certificate = _opened(certificate_or_folder)
    copy = None if commitment is None else held_copy(commitment)
    left_open = what_is_open(certificate, copy is not None, value)
    if sha256(certificate["design"]) != certificate["design_hash"]:
        changed = "the certificate's design was edited: it no longer has the certificate's design hash"
        return Verification(
            ok=False, problems=(changed,), level=certificate["level"], does_not_prove=left_open
        )
    design = _certified_design(certificate)
    checked = checked_roster(roster, design.units, covariates=design.further_columns)
    checked = in_certified_groups(checked, design, units=certified_blocks(certificate))
    problems = [*_roster_problems(certificate, checked, design, folder)]
    promised = [*commitment_problems(certificate, copy, value)]
    if not problems and not promised:
        problems += group_problems(checked, design)
    if not problems:
        problems += _assignment_problems(certificate, checked, design)
    amendments: tuple[str, ...] = ()
    if folder is not None:
        problems += [*_kept_tables(folder, certificate, design)]
        trial_problems, amendments = _kept_trial(folder, certificate)
        problems += trial_problems
    problems = [*promised, *problems]
    return Verification(
        ok=not problems,
        problems=tuple(problems),
        level=certificate["level"],
        does_not_prove=left_open,
        amendments=amendments,
    )


def _opened(given: Mapping[str, Any] | str | PathLike[str]) -> tuple[Path | None, Certificate]:
    if isinstance(given, Mapping):
        return None, known_certificate(dict(given), where="the certificate")
    path = Path(given)
    return (path if path.is_dir() else None), read_certificate(path)


def _certified_design(certificate: Certificate) -> Design:
    try:
        return Design.model_validate(json.loads(certificate["design"]))
    except ValueError as error:
        raise AllocationError(f"the certificate's design cannot be read: {error}") from None


def _roster_problems(
    certificate: Certificate, roster: Roster, design: Design, folder: Path | None
) -> Iterator[str]:
    if roster.hash == certificate["roster_hash"]:
        return
    found = [*_unit_problems(certificate, roster, design)]
    kept = folder / "roster.csv" if folder else None
    if kept is not None and kept.is_file():
        found += _row_problems(kept, certificate, roster, design)
    yield from found or [
        f"the roster is not the one that was randomized: in the columns "
        f"{', '.join(columns_read(design.units, design.further_columns))} at least one row differs, of "
        f"{certificate['measured_units']} then and {len(roster.frame)} now"
    ]


def _unit_problems(certificate: Certificate, roster: Roster, design: Design) -> Iterator[str]:
    then = {unit["unit"]: tuple(unit["block"]) for unit in certificate["units"]}
    yield from _changed_ids(set(then), set(roster.blocks), design.units.randomize)
    moved = [unit for unit in then if unit in roster.blocks and roster.blocks[unit] != then[unit]]
    if moved:
        shown = [
            f"{unit}: {'/'.join(then[unit])} → {'/'.join(roster.blocks[unit])}" for unit in sorted(moved)
        ]
        yield f"the block was changed in the roster for {listed(shown)}"


def _row_problems(kept: Path, certificate: Certificate, roster: Roster, design: Design) -> Iterator[str]:
    """Compare row by row with the roster in the folder, when that is still the one in the certificate."""
    try:
        before = checked_roster(read_roster(kept), design.units, covariates=design.further_columns)
    except RctError:
        return
    if before.hash != certificate["roster_hash"]:
        return
    key, columns = design.units.id, list(columns_read(design.units, design.further_columns)[1:])
    old, new = (one.frame.set_index(key)[columns] for one in (before, roster))
    if key != design.units.randomize:
        yield from _changed_ids(set(old.index), set(new.index), key)
    for column in columns:
        then, now = old[column].to_dict(), new[column].to_dict()
        shown = [f"{unit}: {was} → {now[unit]}" for unit, was in then.items() if now.get(unit, was) != was]
        if shown:
            yield f"{column} was changed in the roster for {listed(shown)}"


def _changed_ids(then: set[str], now: set[str], what: str) -> Iterator[str]:
    gone, new = then - now, now - then
    plain = {_bare(unit): unit for unit in new}
    rewritten = {unit: plain[_bare(unit)] for unit in sorted(gone) if _bare(unit) in plain}
    if rewritten:
        shown = [f"{old} is now {changed}" for old, changed in rewritten.items()]
        yield (
            f'{what}: ids differ only by leading zeros or a ".0": {listed(shown)}. '
            "Read the roster with every column as text"
        )
    removed, added = sorted(gone - set(rewritten)), sorted(new - set(rewritten.values()))
    if removed:
        yield f"{what} removed from the roster: {listed(removed)}"
    if added:
        yield f"{what} added to the roster: {listed(added)}"


def _bare(unit: str) -> str:
    return unit.removesuffix(".0").lstrip("0") or "0"


def _assignment_problems(certificate: Certificate, roster: Roster, design: Design) -> list[str]:
    plan = capped(planned(design, roster.block_sizes), roster, design)
    key, design_hash, record = certificate["seed"], certificate["design_hash"], None
    if design.randomization.restricted:
        restriction = restrict(key, design, design_hash, roster=roster, plan=plan)
        again, record = restriction.assigned(roster), restriction.record
    else:
        again = assign(key, design_hash, roster.blocks, plan)
    claimed = {unit["unit"]: unit["sequence"] for unit in certificate["units"]}
    differing = [unit for unit in {**again, **claimed} if again.get(unit) != claimed.get(unit)]
    problems = []
    if differing:
        shown = [f"{unit}: {claimed.get(unit)}, but the seed gives {again.get(unit)}" for unit in differing]
        problems.append(
            f'seed or result was changed: the seed "{certificate["seed"]}" does not give the sequences in '
            f"the certificate for {len(differing)} of {len(again)} units ({listed(shown)})"
        )
    elif certificate["blocks"] != block_records(roster.blocks, plan=plan, assigned=again):
        problems.append("the certificate's counts or shares by block were edited")
    elif certificate["units"] != unit_records(roster.blocks, again):
        problems.append("the certificate's units were put in another order, or their blocks edited")
    elif certificate.get("restriction") != record:
        problems.append("the certificate's covariates, scores or candidates were edited")
    return [*problems, *_edited_facts(certificate, roster, design)]


def _edited_facts(certificate: Certificate, roster: Roster, design: Design) -> Iterator[str]:
    if (certificate["proves"], certificate["does_not_prove"]) != LEVELS[certificate["level"]]:
        yield "the certificate's words on what it proves were edited"
    if certificate["mechanism"] != design.randomization.scheme:
        yield (
            f"the certificate's mechanism was edited: it says {certificate['mechanism']}, its design "
            f"{design.randomization.scheme}"
        )
    if certificate["measured_units"] != len(roster.frame):
        yield (
            f"the certificate's number of measured units was edited: it says "
            f"{certificate['measured_units']}, its roster has {len(roster.frame)}"
        )


def _kept_tables(folder: Path, certificate: Certificate, design: Design) -> Iterator[str]:
    lacking = [name for name in KEPT if not (folder / name).is_file()]
    yield from (f"{name} is missing from the folder" for name in lacking)
    sizes = Counter(tuple(unit["block"]) for unit in certificate["units"])
    try:
        plan = planned(design, dict(sorted(sizes.items())))
    except RctError as error:
        yield f"the units in the certificate do not fit its design: {error}"
        return
    if "allocation.csv" not in lacking:
        yield from _row_edits(folder / "allocation.csv", certificate, plan, design)
    if "schedule.csv" not in lacking:
        written = table_text(sequence_table(plan.sequences))
        if (folder / "schedule.csv").read_bytes() != written.encode():
            yield "schedule.csv in the folder was edited: it differs from the certificate's design"
    readme = folder / "README.txt"
    words = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    if words and not all(certificate[key] in words for key in ("level", "proves", "does_not_prove")):
        yield "README.txt in the folder was edited: its words on what this proves are not the certificate's"
    if "roster.csv" not in lacking:
        yield from _kept_roster(folder / "roster.csv", certificate, design)


def _row_edits(path: Path, certificate: Certificate, plan: Plan, design: Design) -> Iterator[str]:
    restricted = design.randomization.restricted  # then the probabilities are not the plan's shares
    claimed = {unit["unit"]: unit for unit in certificate["units"]}
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        yield f"allocation.csv cannot be read: {error}"
        return
    for number, row in enumerate(rows, start=2):
        unit = claimed.pop(row.get("unit", ""), None)
        if unit is None:
            yield f"allocation.csv, row {number}: {row.get('unit')} stands twice, or is not certified"
            continue
        for column, value in _row_as_written(unit, plan).items():
            if row.get(column) != value and not (restricted and column == "probability"):
                yield (
                    f"allocation.csv, row {number}: {unit['unit']} stands with {column} {row.get(column)}, "
                    f"the certificate says {value}"
                )
    if claimed:
        yield f"allocation.csv lacks {listed(sorted(claimed))}"
    elif [row.get("unit") for row in rows] != [unit["unit"] for unit in certificate["units"]]:
        yield "allocation.csv: the rows were put in another order, or some added"


def _row_as_written(unit: UnitRecord, plan: Plan) -> dict[str, str]:
    if unit["sequence"] not in range(len(plan.sequences)):
        return {"sequence": str(unit["sequence"])}
    sequence = plan.sequences[unit["sequence"]]
    return {
        "block": block_name(tuple(unit["block"])),
        "sequence": str(unit["sequence"]),
        "arm": sequence.arm,
        "starts": str(sequence.starts),
        "probability": str(float(plan.shares[tuple(unit["block"])][unit["sequence"]])),
    }


def _kept_roster(path: Path, certificate: Certificate, design: Design) -> Iterator[str]:
    try:
        kept = checked_roster(read_roster(path), design.units, covariates=design.further_columns)
    except RctError as error:
        yield f"the roster kept in the folder cannot be read any more: {error}"
        return
    if kept.hash != certificate["roster_hash"]:
        yield "roster.csv in the folder was edited: it is not the roster in the certificate"


def _kept_trial(folder: Path, certificate: Certificate) -> tuple[list[str], tuple[str, ...]]:
    path = folder / "trial.toml"
    if not path.is_file():
        return [], ()
    try:
        trial = Trial.parse(path.read_bytes().decode("utf-8-sig"), name=str(path))
    except (RctError, UnicodeDecodeError) as error:
        return [f"the trial kept in the folder cannot be read any more: {error}"], ()
    edits = list(_edits(json.loads(certificate["design"]), json.loads(trial.design_json)))
    edited = {table for table, _ in edits}
    tables = differing_tables(certificate["trial"]["tables"], trial.table_hashes)
    problems = [f"trial.toml in the folder: the randomization rests on {edit}" for _, edit in edits]
    if not tables and (trial.hash, trial.name) != (
        certificate["trial"]["hash"],
        certificate["trial"]["name"],
    ):
        problems.append("the certificate's name or hash of the trial was edited: the kept trial has another")
    return problems, tuple(table for table in tables if table not in edited)


def _edits(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for table in sorted({*then, *now}):
        old, new = then.get(table, {}), now.get(table, {})
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                was, is_now = (json.dumps(one[key]) if key in one else "absent" for one in (old, new))
                yield table, f"{table}.{key}, which was edited: {was} → {is_now}"
