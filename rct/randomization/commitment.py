"""The commitment of a pre-committed randomization: what is fixed, and shown, before the public draw.

Its bytes are laid down in ``docs/allocation-bytes.md``, section 10. :class:`CommitmentRecord` is the shape of
its JSON.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from rct.errors import AllocationError, DataError
from rct.identifiers import canonical_text, join, listed
from rct.randomization.keyed_order import FORMAT
from rct.trial_problems import shape_complaints


@with_config(ConfigDict(extra="forbid", strict=True))
class Beacon(TypedDict):
    """The public source that is to give the seed, and which of its rounds."""

    source: str
    round: str


@with_config(ConfigDict(extra="forbid", strict=True))
class CommitmentRecord(TypedDict):
    """The JSON object: what is committed to, and under ``commitment`` the hash of all the rest."""

    format: Literal[1]
    design_hash: str
    roster_hash: str
    mechanism: str
    beacon: Beacon
    nonce: str
    commitment: str


@dataclass(frozen=True)
class Commitment:
    """A trial and a roster, fixed before a named public source's future round.

    Attributes
    ----------
    design_hash, roster_hash, mechanism
        What is to be randomized, how, and for whom, as in the certificate.
    source, round
        The public source and its round, in words that leave no choice afterwards.
    nonce
        128 random bits in hexadecimal: nobody can guess the roster from the commitment.
    """

    design_hash: str
    roster_hash: str
    mechanism: str
    source: str
    round: str
    nonce: str

    @property
    def canonical(self) -> str:
        """Give the canonical JSON (RFC 8785) that is hashed."""
        import rfc8785

        return rfc8785.dumps(self._fields).decode()

    @property
    def hash(self) -> str:
        """Give the commitment itself: the SHA-256 of the canonical JSON, in hexadecimal."""
        return sha256(self.canonical.encode()).hexdigest()

    @property
    def record(self) -> CommitmentRecord:
        """Give the JSON object that is shown to the third party."""
        return _shape().validate_python({**self._fields, "commitment": self.hash})

    def seed(self, value: str) -> str:
        """Give the seed that the round's value makes of this commitment.

        Raises
        ------
        AllocationError
            When the value is blank, or begins or ends with white space.
        """
        return sha256(join(FORMAT, "seed", self.hash, beacon_value(value))).hexdigest()

    def write(self, path: str | PathLike[str]) -> None:
        """Write the commitment as JSON, whole or not at all, and never over a file that is there.

        Raises
        ------
        AllocationError
            When the file exists.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        staging = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(json.dumps(self.record, indent=2, ensure_ascii=False) + "\n")
            staging.chmod(0o644)
            os.link(staging, target)  # unlike a rename, it fails where the name is taken
        except FileExistsError:
            raise AllocationError(
                f"{target} exists already, and a commitment is never overwritten; choose another file"
            ) from None
        finally:
            staging.unlink()

    @classmethod
    def read(cls, given: "Commitment | Mapping[str, Any] | str | PathLike[str]") -> "Commitment":
        """Read a commitment from its file or JSON object.

        Raises
        ------
        AllocationError
            When it is none, or was edited after it was made.
        """
        if isinstance(given, Commitment):
            return given
        record, where = commitment_record(given)
        commitment = cls.of(record)
        if commitment.hash != record["commitment"]:
            raise AllocationError(
                f"{where} was edited: its content has the hash {commitment.hash[:12]}…, not the commitment "
                f"{record['commitment'][:12]}… written in it. Take the copy that the third party holds"
            )
        return commitment

    @classmethod
    def of(cls, record: CommitmentRecord) -> "Commitment":
        """Give what a JSON object commits to, whatever hash it claims."""
        return cls(
            design_hash=record["design_hash"],
            roster_hash=record["roster_hash"],
            mechanism=record["mechanism"],
            source=record["beacon"]["source"],
            round=record["beacon"]["round"],
            nonce=record["nonce"],
        )

    @property
    def _fields(self) -> dict[str, Any]:
        return {
            "format": 1,
            "design_hash": self.design_hash,
            "roster_hash": self.roster_hash,
            "mechanism": self.mechanism,
            "beacon": {"source": self.source, "round": self.round},
            "nonce": self.nonce,
        }


@cache
def _shape() -> TypeAdapter[CommitmentRecord]:
    return TypeAdapter(CommitmentRecord)


def beacon_value(value: str) -> str:
    """Give the value of a round as canonical text.

    Raises
    ------
    AllocationError
        When it is not text, blank, or begins or ends with white space.
    """
    if not isinstance(value, str):
        raise AllocationError(f"the round's value {value!r} is not text; give it as the source prints it")
    try:
        return canonical_text(value, where="the round's value")
    except DataError:
        raise AllocationError(
            f"the round's value {value!r} is blank, begins or ends with white space, or holds a control "
            "character; give it as the source prints it, on one line"
        ) from None


def commitment_record(given: Mapping[str, Any] | str | PathLike[str]) -> tuple[CommitmentRecord, str]:
    """Give a commitment's JSON object, and its place for messages; its hash is not checked.

    Raises
    ------
    AllocationError
        When there is no such file, or it is no commitment.
    """
    content: object = given
    where = "the commitment"
    if not isinstance(given, Mapping):
        file = Path(given)
        where = str(file)
        if not file.is_file():
            raise AllocationError(f"{file}: there is no such file; rct commit writes a commitment")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise AllocationError(f"{file}: not readable as JSON: {error}") from None
    try:
        return _shape().validate_python(content), where
    except ValidationError as error:
        raise AllocationError(
            f"{where}: this is no commitment that this version knows: {listed(shape_complaints(error))}"
        ) from None
