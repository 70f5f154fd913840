"""The ledger of a sequential allocation: append-only, hash-chained, in one SQLite file.

Several processes may enrol at once: each takes SQLite's write lock before it reads what came before. A
process that is killed leaves the ledger as it was before its entry, or with it.
"""

import os
import re
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rct.errors import AllocationError, DataError
from rct.identifiers import canonical_text
from rct.invisible_characters import escaped, invisible_in
from rct.randomization.ledger_entries import (
    Content,
    Entry,
    chained,
    design_of,
    drawn_arm,
    entry_after,
    opening,
    seed_commitment,
)
from rct.randomization.sequential_design import SequentialDesign

if TYPE_CHECKING:
    from rct.randomization.random_draws import Draws

SECONDS_TO_WAIT = 60
SEED = re.compile(r"[0-9a-f]{64}")
SCHEMA = """
CREATE TABLE entries (number INTEGER PRIMARY KEY, content TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
"""


@dataclass(frozen=True)
class Receipt:
    """What an enrolment returns, to be kept by somebody else than the ledger's owner.

    ``head`` is the hash of the chain's last entry; ``str(receipt)`` is what verification takes.
    """

    number: int
    head: str
    unit: str = ""
    arm: str = ""

    def __str__(self) -> str:
        """Give number and head in one word."""
        return f"{self.number}:{self.head}"


@dataclass(frozen=True)
class Ledger:
    """A sequential allocation on disk: the SQLite file, and the file with the secret seed."""

    path: Path
    key: Path | None = None

    @classmethod
    def open(cls, path: str | PathLike[str], *, key: str | PathLike[str] | None = None) -> "Ledger":
        """Give the ledger in a file; the file with the secret seed is needed only to enrol or close.

        Raises
        ------
        AllocationError
            When there is no such file.
        """
        if not Path(path).is_file():
            raise AllocationError(f"{path}: there is no such ledger")
        return cls(Path(path), None if key is None else Path(key))

    @classmethod
    def create(
        cls,
        path: str | PathLike[str],
        design: SequentialDesign,
        *,
        key: str | PathLike[str],
        seed: str | None = None,
        at: str | None = None,
    ) -> "Ledger":
        """Open enrolment: write a ledger with its first entry, and beside it the secret seed.

        Parameters
        ----------
        path, key
            Files to write; they must not exist. Keep the key apart from the ledger, and read-protected.
        design
            Arms, ratio, strata and rule.
        seed
            64 hexadecimal digits, to make a ledger again; absent, the operating system draws it.
        at
            The time of the entry; absent, now.

        Raises
        ------
        AllocationError
            When a file exists, or the seed is not such a text.
        """
        target, secret = Path(path), seed or secrets.token_hex(32)
        if not SEED.fullmatch(secret):
            raise AllocationError("the seed of a ledger is 64 hexadecimal digits in lower case")
        first = entry_after(None, opening(design, secret, at=at or _now()))
        with _new_file(target) as staging:
            connection = sqlite3.connect(staging)
            connection.executescript(SCHEMA)
            _insert(connection, first)
            connection.commit()
            connection.close()
            _write_key(Path(key), secret)
        return cls(target, Path(key))

    def enrol(self, unit: str, levels: Mapping[str, str] | None = None, *, at: str | None = None) -> Receipt:
        """Enrol somebody, and give the arm with the receipt of the entry.

        Parameters
        ----------
        unit
            Id of who is enrolled.
        levels
            The value of each of the design's strata or factors.
        at
            The time of the entry; absent, now.

        Raises
        ------
        AllocationError
            When the unit is enrolled already (the message has its arm and receipt), a characteristic lacks,
            enrolment is closed, the key is not the ledger's, or the ledger was tampered with. Nothing is
            written then.
        DataError
            When the id or a level is no text, or the id holds an invisible character.
        """
        name = canonical_text(unit, where="the unit to enrol")
        if hidden := invisible_in(name):
            raise DataError(
                f"the unit to enrol, {escaped(name)}, holds invisible characters ({hidden}); type it"
            )
        given = {
            characteristic: canonical_text(value, where=characteristic)
            for characteristic, value in (levels or {}).items()
        }
        with self._appending() as (connection, entries, seed):
            design, design_hash = design_of(entries)
            if set(given) != set(design.characteristics):
                raise AllocationError(
                    f"{name}: this ledger needs to know {', '.join(design.characteristics) or 'nothing'}, "
                    f"and was told {', '.join(given) or 'nothing'}"
                )
            earlier = [entry.content for entry in entries[1:]]
            _refuse_second(name, entries)
            arm = drawn_arm(
                design,
                design_hash,
                seed,
                earlier=earlier,
                levels=tuple(given[one] for one in design.characteristics),
                number=len(entries),
            )
            content = {"kind": "enrol", "unit": name, "levels": given, "arm": arm, "at": at or _now()}
            entry = entry_after(entries[-1], content)
            _insert(connection, entry)
        return Receipt(entry.number, entry.hash, name, arm)

    def close(self, *, at: str | None = None) -> Receipt:
        """Close enrolment for good, and publish the seed: from now on anybody can derive every arm.

        Raises
        ------
        AllocationError
            As for :meth:`enrol`.
        """
        with self._appending() as (connection, entries, seed):
            entry = entry_after(entries[-1], {"kind": "close", "seed": seed, "at": at or _now()})
            _insert(connection, entry)
        return Receipt(entry.number, entry.hash)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per enrolled unit: number, unit, arm, at, and a column for each characteristic."""
        entries = self.entries
        names = design_of(entries)[0].characteristics
        enrolled = [entry.content for entry in entries if entry.content["kind"] == "enrol"]
        rows = [
            [
                *(content[key] for key in ("number", "unit", "arm", "at")),
                *(content["levels"][n] for n in names),
            ]
            for content in enrolled
        ]
        return pd.DataFrame(rows, columns=["number", "unit", "arm", "at", *names])

    def draws(self, n: int, *, seed: int) -> "Draws":
        """Run the ledger's rule again on those enrolled, in their order: what a randomization test compares.

        Returns
        -------
        numpy.ndarray
            (n, enrolled) int16 numbers of arms in the order of the design's, columns as the rows of
            :attr:`frame`.

        Raises
        ------
        AllocationError
            When nobody is enrolled, or for fewer than one draw.
        """
        from rct.randomization.sequential_draws import sequential_draws

        design, enrolled = design_of(self.entries)[0], self.frame
        if enrolled.empty:
            raise AllocationError(f"{self.path}: nobody is enrolled yet, so there is nothing to draw again")
        levels = enrolled[list(design.characteristics)].itertuples(index=False, name=None)
        return sequential_draws(design, list(levels), n=n, seed=seed)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry as it stands in the file, unchecked."""
        with self._connected() as connection:
            return _read(connection)

    @property
    def head(self) -> Receipt:
        """Number and hash of the last entry, to be published from time to time."""
        last = self.entries[-1]
        return Receipt(last.number, last.hash)

    @contextmanager
    def _appending(self) -> Iterator[tuple[sqlite3.Connection, tuple[Entry, ...], str]]:
        if self.key is None:
            raise AllocationError(
                "to enrol, the ledger needs the file with its secret seed: Ledger.open(path, key=…)"
            )
        if not self.key.is_file():
            raise AllocationError(f"{self.key}: there is no such file; it holds the ledger's secret seed")
        seed = self.key.read_text(encoding="utf-8").strip()
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            entries = _read(connection)
            _refuse_unsound(entries, seed)
            yield connection, entries, seed
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # Read-write even to read: a journal that a killed process left behind must be rolled back first.
        connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        except sqlite3.DatabaseError as error:
            raise AllocationError(f"{self.path}: not usable as a ledger: {error}") from None
        finally:
            connection.close()  # rolls back what was not committed


def _read(connection: sqlite3.Connection) -> tuple[Entry, ...]:
    rows = connection.execute(
        "SELECT number, coalesce(CAST(content AS TEXT), ''), coalesce(CAST(hash AS TEXT), '') "
        "FROM entries ORDER BY number"
    ).fetchall()
    return tuple(Entry(*row) for row in rows)


def _insert(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (entry.number, entry.text, entry.hash))


def _refuse_unsound(entries: tuple[Entry, ...], seed: str) -> None:
    previous = ""
    for number, entry in enumerate(entries):
        if entry.number != number or entry.hash != chained(previous, entry.text):
            raise AllocationError(
                f"entry {number} of the ledger was changed or removed; nothing is added to it. "
                "verify_ledger says what differs"
            )
        previous = entry.hash
    if not entries or entries[0].content.get("seed_commitment") != seed_commitment(seed):
        raise AllocationError("the key is not that of this ledger: its commitment to the seed is another")
    if entries[-1].content["kind"] == "close":
        raise AllocationError("enrolment is closed: the seed is public, so the next arm could be computed")


def _refuse_second(unit: str, entries: tuple[Entry, ...]) -> None:
    for entry in entries[1:]:
        content: Content = entry.content
        if content["unit"] == unit:
            receipt = Receipt(entry.number, entry.hash)
            raise AllocationError(
                f"{unit} is enrolled already, as number {entry.number}, in arm {content['arm']}; "
                f"the receipt is {receipt}"
            )


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Give a path to write to; afterwards the file has its own name, unless that was taken."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    staging = Path(name)
    try:
        if target.exists():
            raise FileExistsError
        yield staging
        staging.chmod(0o644)
        os.link(staging, target)
    except FileExistsError:
        raise AllocationError(f"{target} exists already; choose another file") from None
    finally:
        staging.unlink()


def _write_key(path: Path, seed: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise AllocationError(f"{path} exists already; choose another file for the secret seed") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{seed}\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
