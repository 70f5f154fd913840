"""Verification: the allocation is made again from the certificate, and whatever differs is named."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from rct.errors import AllocationError, RctError
from rct.identifiers import listed
from rct.randomization.accepted_set import assignment_shares
from rct.randomization.capped_classes import capped
from rct.randomization.certificate import (
    LEVELS,
    Certificate,
    Level,
    block_records,
    certified_blocks,
    known_certificate,
    read_certificate,
    unit_records,
)
from rct.randomization.commitment import Commitment
from rct.randomization.commitment_check import commitment_problems, held_copy, what_is_open
from rct.randomization.kept_folder import Probabilities, amended_tables, kept_problems
from rct.randomization.keyed_order import Numbers
from rct.randomization.matched_groups import group_problems, in_certified_groups
from rct.randomization.plan import Plan
from rct.randomization.restricted_order import Restriction, restrict
from rct.randomization.rosters import Roster, checked_roster, columns_read, read_roster
from rct.randomization.scheme_plans import assign, planned
from rct.randomization.shift_calendar import calendar_problems
from rct.trial_hash import DESIGN_TABLES, LABELLED, canonical_json, sha256
from rct.trial_tables import Design


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    ``ok`` when nothing differs; ``problems`` name each cause; ``level`` is what was verified: "pre-committed"
    only against a third party's copy that agrees, whatever the certificate claims, else "reproducible";
    ``does_not_prove`` says what this verification leaves open; ``amendments`` are the tables of the kept
    trial that were edited afterwards without touching what the randomization rests on.
    """

    ok: bool
    problems: tuple[str, ...]
    level: Level
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
        return Verification(ok=False, problems=(changed,), level="reproducible", does_not_prove=left_open)
    promised = [*commitment_problems(certificate, copy, value)]
    problems, amendments = _differences(certificate, roster, folder, broken=bool(promised))
    kept = copy is not None and certificate["level"] == "pre-committed" and not promised
    return Verification(
        ok=not promised and not problems,
        problems=(*promised, *problems),
        level="pre-committed" if kept else "reproducible",
        does_not_prove=left_open,
        amendments=amendments,
    )


def _differences(
    certificate: Certificate, roster: pd.DataFrame, folder: Path | None, *, broken: bool
) -> tuple[list[str], tuple[str, ...]]:
    """Give the problems and the amendments; ``broken`` says that the commitment was not kept."""
    design = _certified_design(certificate)
    checked = checked_roster(roster, design.units, covariates=design.further_columns)
    checked = in_certified_groups(checked, design, units=certified_blocks(certificate))
    problems = [*_roster_problems(certificate, checked, design, folder)]
    if not problems and not broken:
        problems += [*group_problems(checked, design), *calendar_problems(design, list(checked.blocks))]
    probabilities: Probabilities = {}
    if not problems:
        found, probabilities = _assignment_problems(certificate, checked, design)
        problems += found
    if folder is None:
        return problems, ()
    problems += kept_problems(folder, certificate, design, probabilities)
    return problems, amended_tables(folder, certificate)


def _opened(given: Mapping[str, Any] | str | PathLike[str]) -> tuple[Path | None, Certificate]:
    if isinstance(given, Mapping):
        return None, known_certificate(dict(given), where="the certificate")
    path = Path(given)
    return (path if path.is_dir() else None), read_certificate(path)


def _certified_design(certificate: Certificate) -> Design:
    try:
        return Design.model_validate(json.loads(certificate["design"]))
    except (ValueError, RecursionError) as error:
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


def _assignment_problems(
    certificate: Certificate, roster: Roster, design: Design
) -> tuple[list[str], Probabilities]:
    plan = capped(planned(design, roster.block_sizes), roster, design)
    key, design_hash = certificate["seed"], certificate["design_hash"]
    if design.randomization.restricted:
        restriction = restrict(key, design, design_hash, roster=roster, plan=plan)
        again = restriction.assigned
        shares = assignment_shares(restriction.accepted, len(plan.sequences)).tolist()
        probabilities = dict(zip(roster.blocks, shares, strict=True))
    else:
        restriction, again, probabilities = None, assign(key, design_hash, roster.in_blocks, plan), {}
    problems = [
        *_result_problems(certificate, roster, plan, again=again, restriction=restriction),
        *_edited_facts(certificate, roster, design),
    ]
    return problems, probabilities


def _result_problems(
    certificate: Certificate,
    roster: Roster,
    plan: Plan,
    *,
    again: Numbers,
    restriction: Restriction | None,
) -> Iterator[str]:
    claimed = {unit["unit"]: unit["sequence"] for unit in certificate["units"]}
    found = dict(zip(roster.blocks, again.tolist(), strict=True))
    differing = [unit for unit in {**found, **claimed} if found.get(unit) != claimed.get(unit)]
    if differing:
        shown = [f"{unit}: {claimed.get(unit)}, but the seed gives {found.get(unit)}" for unit in differing]
        yield (
            f'seed or result was changed: the seed "{certificate["seed"]}" does not give the sequences in '
            f"the certificate for {len(differing)} of {len(again)} units ({listed(shown)})"
        )
    elif certificate["blocks"] != block_records(roster.in_blocks, plan=plan, assigned=again):
        yield "the certificate's counts or shares by block were edited"
    elif certificate["units"] != unit_records(roster.in_blocks, again):
        yield "the certificate's units were put in another order, or their blocks edited"
    elif certificate.get("restriction") != (restriction.record if restriction else None):
        yield "the certificate's covariates, scores or candidates were edited"


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
    tables, declared = certificate["trial"]["tables"], json.loads(certificate["design"])
    hashes = {table: sha256(canonical_json({table: keys})) for table, keys in declared.items()}
    edited = [
        table
        for table in DESIGN_TABLES
        if (table in tables) != (table in hashes)
        or (table != LABELLED and tables.get(table) != hashes.get(table))
    ]
    if edited:
        yield f"the certificate's hashes of the design's tables were edited: {', '.join(edited)}"
