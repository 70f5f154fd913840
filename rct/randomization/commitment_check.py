"""Is the certificate the one that was committed to? Against itself, and against a third party's copy."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from os import PathLike
from typing import Any

from rct.errors import AllocationError
from rct.randomization.certificate import LEVELS, Certificate
from rct.randomization.commitment import Commitment, CommitmentRecord, beacon_value, commitment_record

NO_COPY = (
    "That the randomization was pre-committed: the certificate claims it, but commitment, draw and folder "
    "can be made again together. Only the copy that a third party received before the draw shows it; verify "
    "against that."
)
NO_VALUE = 'That "{value}" is what {source} published for the round {round}: look it up there.'

CAUSES = {
    "design_hash": "it is of another trial design",
    "roster_hash": "it is of another roster",
    "mechanism": "it is of another mechanism",
    "source": "it names another public source",
    "round": "it names another round",
    "nonce": "it has another nonce, so it was made at another time",
}
"""What it means when a field of the copy differs from the certificate's commitment."""


def held_copy(given: Commitment | Mapping[str, Any] | str | PathLike[str]) -> CommitmentRecord:
    """Give the JSON object of a third party's copy, whatever hash it claims.

    Raises
    ------
    AllocationError
        When it is no commitment.
    """
    return given.record if isinstance(given, Commitment) else commitment_record(given)[0]


def what_is_open(certificate: Certificate, copy_given: bool, value: str | None) -> str:
    """Say what a verification leaves open at the certificate's level, with and without a copy and a value."""
    limits = LEVELS[certificate["level"]][1]
    if "commitment" not in certificate or "value" not in certificate:
        return limits
    beacon = certificate["commitment"]["beacon"]
    found = [] if copy_given else [NO_COPY]
    found += [] if value is not None else [NO_VALUE.format(value=certificate["value"], **beacon)]
    return " ".join([*found, limits])


def commitment_problems(
    certificate: Certificate, copy: CommitmentRecord | None, value: str | None
) -> Iterator[str]:
    """Name what does not agree between certificate, commitment, copy and value."""
    if certificate["level"] == "reproducible":
        yield from _typed_seed_problems(certificate, copy, value)
        return
    if "commitment" not in certificate or "value" not in certificate:
        yield "the certificate calls itself pre-committed, but its commitment or its value is missing"
        return
    kept = certificate["commitment"]
    promised = Commitment.of(kept)
    edited = promised.hash != kept["commitment"]
    if edited:
        yield "the commitment in the certificate was edited: its content no longer has its hash"
    yield from _other_than_certified(certificate, promised)
    if copy is not None:
        yield from _copy_problems(promised, copy)
    if not edited:
        yield from _seed_problems(certificate, promised)
    if value is not None and beacon_value(value) != certificate["value"]:
        yield (
            f'the round\'s value in the certificate is "{certificate["value"]}", but the source published '
            f'"{value}": the folder was made with another value'
        )


def _typed_seed_problems(
    certificate: Certificate, copy: CommitmentRecord | None, value: str | None
) -> Iterator[str]:
    if "commitment" in certificate or "value" in certificate:
        yield "the certificate calls itself reproducible, but holds a commitment or a value: it was edited"
    if copy is not None or value is not None:
        yield (
            "a commitment was made, but the seed of this certificate was typed: the folder was made again "
            "without the commitment"
        )


def _other_than_certified(certificate: Certificate, promised: Commitment) -> Iterator[str]:
    for what, key in (("design", "design_hash"), ("roster", "roster_hash"), ("mechanism", "mechanism")):
        if getattr(promised, key) != certificate[key]:  # type: ignore[literal-required]
            yield f"the certificate's {what} is not the one in its commitment: it was changed after the draw"


def _copy_problems(promised: Commitment, copy: CommitmentRecord) -> Iterator[str]:
    theirs = Commitment.of(copy)
    if theirs.hash != copy["commitment"]:
        yield "the copy of the commitment was edited: its content no longer has its hash"
    differing = [f.name for f in fields(Commitment) if getattr(theirs, f.name) != getattr(promised, f.name)]
    if differing:
        yield (
            "the third party's commitment is not the certificate's ("
            f"{'; '.join(CAUSES[name] for name in differing)}): this folder was made again, or is of another "
            "randomization"
        )


def _seed_problems(certificate: Certificate, promised: Commitment) -> Iterator[str]:
    try:
        seed = promised.seed(certificate["value"])
    except AllocationError as error:
        yield f"the certificate's value was edited: {error}"
        return
    if seed != certificate["seed"]:
        yield (
            f'the seed does not follow from the commitment and the value "{certificate["value"]}": one of '
            "them was changed"
        )
