"""The certificate of a randomization: all that is needed to make it again, and what it does not prove.

:class:`Certificate` is the shape of its JSON, format 1.
"""

import gc
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Literal, NotRequired

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from rct import __version__
from rct.errors import AllocationError
from rct.identifiers import listed
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.commitment import Commitment, CommitmentRecord, beacon_value
from rct.randomization.keyed_order import Block, Numbers
from rct.randomization.plan import Plan, block_name
from rct.randomization.restricted_order import RestrictionRecord
from rct.randomization.rosters import Roster
from rct.trial import Trial
from rct.trial_problems import shape_complaints

Level = Literal["reproducible", "pre-committed"]
Mechanism = Literal["keyed-order", "simple", "matched", "constrained", "rerandomized"]

LEVELS: dict[Level, tuple[str, str]] = {
    "reproducible": (
        "Anyone who holds this certificate and the roster can make the allocation again, and finds any unit, "
        "block, schedule or result that was changed in one of them afterwards.",
        "The seed was typed. Whoever chose it, a label, a date or an id could have searched for an "
        "allocation they liked (a wished-for order of nine divisions takes seconds to find), or have made "
        "the whole folder again with another seed. Only a seed that was still unknown when trial and roster "
        "were fixed, and a copy of the commitment held by a third party, rule that out.",
    ),
    "pre-committed": (
        "By itself no more than reproducible: the level is only claimed until it is verified against the "
        "copy of the commitment that a third party received before the draw. When that copy agrees, and the "
        "value is the one that the source published, trial and roster were fixed before the draw that gave "
        "the seed, and nobody could have chosen the allocation.",
        "That there was only one commitment (somebody could deposit several and show the one they liked), "
        "that the source itself was fair, or that training followed the allocation.",
    ),
}
"""For each level, what it proves and what it does not."""


class UnitRecord(TypedDict):
    """A randomized unit, the values of its block, and the number of its sequence."""

    unit: str
    block: list[str]
    sequence: int


class BlockRecord(TypedDict):
    """A block: its name in tables, its values, and by sequence the counts and the exact shares."""

    name: str
    values: list[str]
    counts: list[int]
    shares: list[str]


class TrialRecord(TypedDict):
    """The trial's name, the hash of its whole file, and the hash of each table."""

    name: str
    hash: str
    tables: dict[str, str]


@with_config(ConfigDict(extra="forbid", strict=True))
class Certificate(TypedDict):
    """The JSON object; ``design`` is canonical JSON as text, so that a stranger need not parse TOML."""

    format: Literal[1]
    mechanism: Mechanism
    level: Level
    proves: str
    does_not_prove: str
    seed: str
    commitment: NotRequired[CommitmentRecord]
    value: NotRequired[str]
    design: str
    design_hash: str
    roster_hash: str
    measured_units: int
    blocks: list[BlockRecord]
    units: list[UnitRecord]
    restriction: NotRequired[RestrictionRecord]
    trial: TrialRecord
    software: dict[str, str]


def make_certificate(
    trial: Trial,
    roster: Roster,
    *,
    plan: Plan,
    assigned: Numbers,
    seed: str,
    restriction: RestrictionRecord | None = None,
) -> Certificate:
    """Write down a randomization; equal inputs and versions give an equal object."""
    proves, does_not_prove = LEVELS["reproducible"]
    certificate: Certificate = {
        "format": 1,
        "mechanism": trial.randomization.scheme,
        "level": "reproducible",
        "proves": proves,
        "does_not_prove": does_not_prove,
        "seed": seed,
        "design": trial.design_json,
        "design_hash": trial.design_hash,
        "roster_hash": roster.hash,
        "measured_units": len(roster.frame),
        "blocks": block_records(roster.in_blocks, plan=plan, assigned=assigned),
        "units": unit_records(roster.in_blocks, assigned),
        "trial": {"name": trial.name, "hash": trial.hash, "tables": trial.table_hashes},
        "software": {"rct": __version__, "python": platform.python_version()},
    }
    return certificate if restriction is None else {**certificate, "restriction": restriction}


def pre_committed(certificate: Certificate, commitment: Commitment, *, value: str) -> Certificate:
    """Raise a certificate to the level of the commitment and the value that its seed was made from."""
    proves, does_not_prove = LEVELS["pre-committed"]
    return {
        **certificate,
        "level": "pre-committed",
        "proves": proves,
        "does_not_prove": does_not_prove,
        "commitment": commitment.record,
        "value": beacon_value(value),
    }


def certified_blocks(certificate: Certificate) -> dict[str, list[str]]:
    """Give the block of every unit, the name of its matched group included."""
    return {unit["unit"]: unit["block"] for unit in certificate["units"]}


def require_fitting(
    certificate: Certificate, blocks: Mapping[str, Block], sequences: int, *, where: str
) -> None:
    """Refuse a certificate whose units are not those of the roster, or follow no sequence of the trial.

    Raises
    ------
    AllocationError
        Before such a unit is looked up.
    """
    unknown = [unit["sequence"] for unit in certificate["units"] if not 0 <= unit["sequence"] < sequences]
    if unknown:
        raise AllocationError(
            f"{where}: the certificate names sequence {unknown[0]}, but the trial has {sequences}, numbered "
            "from 0; rct verify says what was changed"
        )
    if [(unit["unit"], tuple(unit["block"])) for unit in certificate["units"]] != [*blocks.items()]:
        raise AllocationError(
            f"{where}: its units or their blocks are not those of its roster; rct verify says where"
        )


def unit_records(blocked: BlockedUnits, assigned: Numbers) -> list[UnitRecord]:
    """Give every randomized unit with its block and sequence, in byte order."""
    values = [list(block) for block in blocked.blocks]
    blocks = map(values.__getitem__, blocked.numbers.tolist())
    with _collector_at_rest():
        return [
            {"unit": unit, "block": block, "sequence": sequence}
            for unit, block, sequence in zip(blocked.units, blocks, assigned.tolist(), strict=True)
        ]


def block_records(blocked: BlockedUnits, *, plan: Plan, assigned: Numbers) -> list[BlockRecord]:
    """Give, block by block, the counts and the exact shares of the sequences."""
    shape = len(blocked.blocks), len(plan.sequences)
    cells = blocked.numbers * shape[1] + assigned
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).tolist()
    return [
        {
            "name": block_name(block),
            "values": list(block),
            "counts": own,
            "shares": [str(share) for share in plan.shares[block]],
        }
        for block, own in zip(blocked.blocks, counts, strict=True)
    ]


@cache
def _shape() -> TypeAdapter[Certificate]:
    return TypeAdapter(Certificate)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Spare the collector of garbage, which would walk through a million new records again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def certificate_text(certificate: Certificate) -> str:
    """Write a certificate as JSON that people can read, each unit on a line of its own."""
    frame = json.dumps({**certificate, "units": []}, indent=2, ensure_ascii=False)
    units = ",\n    ".join(json.dumps(unit, ensure_ascii=False) for unit in certificate["units"])
    return frame.replace('\n  "units": []', f'\n  "units": [\n    {units}\n  ]', 1) + "\n"


def read_certificate(path: str | PathLike[str]) -> Certificate:
    """Read a certificate from its file, or from the folder of an allocation.

    Raises
    ------
    AllocationError
        When there is no such file, or it is no certificate of a format known here.
    """
    file = Path(path)
    file = file / "certificate.json" if file.is_dir() else file
    if not file.is_file():
        raise AllocationError(
            f"{file}: there is no such file; give the folder of an allocation, or its certificate"
        )
    try:
        certificate = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise AllocationError(f"{file}: not readable as JSON: {error}") from None
    return known_certificate(certificate, where=str(file))


def known_certificate(certificate: object, *, where: str) -> Certificate:
    """Refuse what is no certificate of this format.

    Raises
    ------
    AllocationError
        Naming what is missing or of another kind.
    """
    try:
        return _shape().validate_python(certificate)
    except ValidationError as error:
        raise AllocationError(
            f"{where}: this is no certificate that this version knows: {listed(shape_complaints(error))}"
        ) from None
