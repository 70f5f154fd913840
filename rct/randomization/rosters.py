"""Rosters: every column as text, what the mechanism reads of it, and the hash of exactly that."""

import difflib
import hashlib
import operator
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rct.csv_table import read_csv_table, rows_in_file
from rct.errors import AllocationError, DataError
from rct.identifiers import canonical_column, field, fields, join, listed
from rct.invisible_characters import escaped, refuse_invisible
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.keyed_order import Block, Numbers
from rct.trial_tables import Units

DECIMAL = re.compile(r"\d+\.0+")
SHORTENED = re.compile(r"\d(\.\d+)?E\+\d+")
NUMBER = re.compile(r"\d+(\.0+)?")
CHUNK = 4096
"""Rows hashed at a time: what a processor keeps at hand."""


class Coded(NamedTuple):
    """A column of texts: the distinct ones, and the number of each row's among them."""

    codes: Numbers
    distinct: list[str]


@dataclass(frozen=True)
class Roster:
    """A checked roster.

    ``frame`` has one row per measured unit, sorted by id, all columns text; ``in_blocks`` holds the
    randomized units, in byte order, with their blocks.
    """

    frame: pd.DataFrame
    in_blocks: BlockedUnits
    hash: str

    @property
    def block_sizes(self) -> dict[Block, int]:
        """Randomized units in each block, blocks in byte order."""
        return dict(zip(self.in_blocks.blocks, self.in_blocks.sizes, strict=True))

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """The block of each randomized unit, in byte order; made when asked for."""
        return self.in_blocks.by_unit


def read_roster(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a roster from CSV with every column as text: ``0412`` keeps its zero, ``NA`` is a text.

    Parameters
    ----------
    path
        A CSV file in UTF-8, one header line, one row per measured unit.

    Returns
    -------
    pandas.DataFrame
        Text columns; lines without any entry are skipped.

    Raises
    ------
    DataError
        When the file is missing, empty or not UTF-8, its header repeats a column, or a row has more or fewer
        cells than the header.
    """
    return read_csv_table(Path(path), what="roster")


def checked_roster(roster: pd.DataFrame, units: Units, *, covariates: Sequence[str] = ()) -> Roster:
    """Check a roster against the trial's units and bring it into canonical form.

    Raises
    ------
    DataError
        For a missing column, ids that are no text, a repeated id, an empty block, or a block that varies
        within a randomized unit.
    AllocationError
        When the roster has no rows.
    """
    file = str(roster.attrs.get("file", "roster"))
    read = columns_read(units, covariates)
    _require_columns(roster, read, file)
    if roster.empty:
        raise AllocationError(f"{file}: there is no unit to randomize")
    places = rows_in_file(roster)
    _require_blocks(roster, units, file)
    canonical = {
        column: canonical_column(roster[column], what=column, file=file, rows=places) for column in read
    }
    frame = pd.DataFrame(
        {
            column: canonical[column] if column in canonical else _as_text(roster[column])
            for column in roster.columns
        }
    ).reset_index(drop=True)
    ids = frame[units.id].tolist()
    if not all(map(operator.lt, ids, islice(ids, 1, None))):
        _require_unique(ids, units.id, file, places)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        frame, ids = frame.iloc[order].reset_index(drop=True), [ids[row] for row in order]
        places = [places[row] for row in order]
    columns = _coded(frame, read[1:])
    in_blocks = _in_blocks(ids, columns, units, rows=places, file=file)
    return Roster(frame=frame, in_blocks=in_blocks, hash=_hash_of(units.id, ids, columns))


def refuse_decimals(roster: pd.DataFrame, units: Units) -> None:
    """Refuse to randomize ids that a program took for numbers: some of them end in ".0", or became 1E+05.

    A roster that is verified may hold them: there they are told as what differs.

    Raises
    ------
    DataError
        With the ids and their rows.
    """
    file = roster.attrs.get("file", "roster")
    for column in dict.fromkeys((units.id, units.randomize)):
        texts = roster[column].astype("str")
        if not texts.str.contains(r"\.|E\+", regex=True).any():
            continue
        ids = texts.tolist()
        lost = SHORTENED if any(map(SHORTENED.fullmatch, ids)) else DECIMAL
        placed = zip(rows_in_file(roster), ids, strict=True)
        shown = [f"{text} in row {row}" for row, text in placed if lost.fullmatch(text)]
        if shown and (lost is SHORTENED or all(map(NUMBER.fullmatch, ids))):
            raise DataError(
                f"{file}: ids in {column} are decimal numbers: {listed(shown)}. "
                "A program read them as numbers, and digits or zeros in front may be lost. Write every id as "
                "text, exactly as the agency does."
            )


def refuse_look_alikes(roster: pd.DataFrame, units: Units, covariates: Sequence[str] = ()) -> None:
    """Refuse to randomize by texts with invisible characters; a roster that is verified may hold them.

    Raises
    ------
    DataError
        With the texts, their rows and the characters.
    """
    file, rows = str(roster.attrs.get("file", "roster")), rows_in_file(roster)
    for column in columns_read(units, covariates):
        refuse_invisible(roster[column], what=column, file=file, rows=rows)


def columns_read(units: Units, covariates: Sequence[str] = ()) -> tuple[str, ...]:
    """Name the columns that the mechanism reads: id, randomized unit, then blocks and covariates by name."""
    unit = () if units.randomize == units.id else (units.randomize,)
    return (units.id, *unit, *sorted({*units.block, *covariates} - {units.id, *unit}))


def roster_hash(frame: pd.DataFrame, units: Units, *, covariates: Sequence[str] = ()) -> str:
    """Hash what the mechanism reads of a canonical roster (``docs/allocation-bytes.md``, section 9)."""
    ordered = frame.iloc[np.argsort(frame[units.id].to_numpy(dtype=object), kind="stable")]
    columns = _coded(ordered, columns_read(units, covariates)[1:])
    return _hash_of(units.id, ordered[units.id].tolist(), columns)


def _coded(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Coded]:
    """Number the texts of columns, so that a million rows that share a few are read by number."""
    found = {}
    for column in columns:
        codes, distinct = pd.factorize(frame[column])
        found[column] = Coded(codes, distinct.tolist())
    return found


def _hash_of(name: str, ids: list[str], columns: Mapping[str, Coded]) -> str:
    """Hash the ids, which are in byte order, and the columns beside them."""
    found = hashlib.sha256(field(join(name, *columns)))
    beside = [(column.codes, fields(column.distinct)) for column in columns.values()]
    for first in range(0, len(ids), CHUNK):
        found.update(_rows_text(ids, beside, slice(first, first + CHUNK)))
    return found.hexdigest()


def _rows_text(ids: list[str], beside: Sequence[tuple[Numbers, list[bytes]]], some: slice) -> bytes:
    """Write some rows as fields: each row's length, then its id, then the written texts beside it."""
    encoded = list(map(str.encode, ids[some]))
    width = 2 + len(beside)
    pieces = [b""] * (width * len(encoded))
    lengths = np.empty((len(encoded), 2), dtype=">u4")
    lengths[:, 1] = np.fromiter(map(len, encoded), dtype=np.uint32, count=len(encoded))
    lengths[:, 0] = 4 + lengths[:, 1]
    for place, (codes, written) in enumerate(beside, start=2):
        own = list(map(written.__getitem__, codes[some].tolist()))
        lengths[:, 0] += np.fromiter(map(len, own), dtype=np.uint32, count=len(own))
        pieces[place::width] = own
    pieces[0::width] = lengths.view("V8").ravel().tolist()
    pieces[1::width] = encoded
    return b"".join(pieces)


def _require_columns(roster: pd.DataFrame, wanted: tuple[str, ...], file: str) -> None:
    present = [str(column) for column in roster.columns]
    repeated = sorted({column for column in present if present.count(column) > 1})
    if repeated:
        raise DataError(f"{file}: columns appear more than once: {listed(repeated)}")
    for column in wanted:
        if column not in present:
            near = difflib.get_close_matches(column, present, n=1)
            advice = f' Did you mean "{escaped(near[0])}"?' if near else ""
            if near and near[0].strip() == column:
                advice = f' "{near[0]}" has white space at an end; take it out.'
            raise DataError(
                f'{file}: there is no column "{column}", which the trial names.{advice} '
                f"The columns are: {', '.join(map(escaped, present))}."
            )


def _require_blocks(roster: pd.DataFrame, units: Units, file: str) -> None:
    for column in units.block:
        values = roster[column]
        if any(pd.isna(value) or str(value).strip() == "" for value in values.unique()):
            blank = [
                f"row {row}"
                for row, value in zip(rows_in_file(roster), values.tolist(), strict=True)
                if pd.isna(value) or str(value).strip() == ""
            ]
            raise DataError(
                f"{file}: the block column {column} is empty in {listed(blank)}. "
                "Give every unit its block before randomizing; an empty one is no block."
            )


def _require_unique(ids: list[str], column: str, file: str, places: Sequence[int]) -> None:
    if len(set(ids)) == len(ids):
        return
    rows = defaultdict(list)
    for row, unit in zip(places, ids, strict=True):
        rows[unit].append(str(row))
    repeated = [f'"{unit}" in rows {", ".join(found)}' for unit, found in rows.items() if len(found) > 1]
    raise DataError(
        f"{file}: {len(repeated)} of the ids in {column} appear more than once: {listed(repeated)}. "
        "Keep one row per unit."
    )


def _in_blocks(
    ids: list[str], columns: Mapping[str, Coded], units: Units, *, rows: Sequence[int], file: str
) -> BlockedUnits:
    """Give the randomized units with their blocks; ``rows`` are those of the ids in the file."""
    blocks, numbers = _blocks_of_rows([columns[column] for column in units.block], len(ids))
    if units.randomize == units.id:
        return BlockedUnits(ids, blocks, numbers)
    named = columns[units.randomize]
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for row, code, block in sorted(zip(rows, named.codes.tolist(), numbers.tolist(), strict=True)):
        found[named.distinct[code]].setdefault(block, row)
    varying = [
        f"{unit}: " + ", ".join(f"{'/'.join(blocks[block])} (row {row})" for block, row in where.items())
        for unit, where in sorted(found.items())
        if len(where) > 1
    ]
    if varying:
        raise DataError(
            f"{file}: the block ({', '.join(units.block)}) varies within a {units.randomize}: "
            f"{listed(varying)}. Blocks must be the same in all rows of a {units.randomize}."
        )
    return BlockedUnits.of({unit: blocks[next(iter(where))] for unit, where in sorted(found.items())})


def _blocks_of_rows(columns: Sequence[Coded], rows: int) -> tuple[list[Block], Numbers]:
    """Give the distinct blocks, in byte order, and each row's number among them."""
    blocks: list[Block] = [()]
    numbers = np.zeros(rows, dtype=np.intp)
    for column in columns:
        order = sorted(range(len(column.distinct)), key=column.distinct.__getitem__)
        joined = numbers * len(order) + np.argsort(order)[column.codes]
        numbers, found = pd.factorize(joined, sort=True)
        pairs = (divmod(one, len(order)) for one in found.tolist())
        blocks = [(*blocks[before], column.distinct[order[own]]) for before, own in pairs]
    return blocks, numbers


def _as_text(column: pd.Series) -> pd.Series:
    missing = column.isna().tolist()
    text = ["" if gone else str(value) for gone, value in zip(missing, column.tolist(), strict=True)]
    return pd.Series(text, index=column.index, dtype="str")
