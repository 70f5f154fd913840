"""The entries of a ledger: their bytes, the chain of their hashes, and the arms that a seed gives.

The bytes are laid down in ``docs/allocation-bytes.md``, "Sequential allocation".
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rct.errors import AllocationError
from rct.identifiers import join
from rct.randomization.keyed_order import FORMAT, keyed
from rct.randomization.sequential_design import PermutedBlocks, SequentialDesign
from rct.randomization.sequential_rules import Arrival, chosen_arm, next_arm
from rct.trial_hash import sha256

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A row of the ledger as it stands there: its number, its content as canonical JSON, and its hash."""

    number: int
    text: str
    hash: str

    @property
    def content(self) -> Content:
        """The content, parsed.

        Raises
        ------
        AllocationError
            When it is no JSON object.
        """
        try:
            content = json.loads(self.text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise AllocationError(f"entry {self.number} of the ledger is not readable any more")
        return content


def entry_after(previous: Entry | None, content: Content) -> Entry:
    """Give the entry that holds this content and follows the previous one."""
    import rfc8785

    number = previous.number + 1 if previous else 0
    text = rfc8785.dumps({**content, "number": number}).decode()
    return Entry(number, text, chained(previous.hash if previous else "", text))


def chained(previous: str, text: str) -> str:
    """Give the hash of an entry: of the hash before it ("" for the first) and its own content."""
    return hashlib.sha256(join(FORMAT, "entry", previous, text)).hexdigest()


def seed_commitment(seed: str) -> str:
    """Give what is published of the seed while it is secret."""
    return hashlib.sha256(join(FORMAT, "ledger-seed", seed)).hexdigest()


def opening(design: SequentialDesign, seed: str, *, at: str) -> Content:
    """Give the content of the first entry: the design, and the commitment to the seed."""
    import rfc8785

    text = rfc8785.dumps(design.model_dump(mode="json")).decode()
    return {"kind": "open", "format": 1, "design": text, "seed_commitment": seed_commitment(seed), "at": at}


def design_of(entries: Iterable[Entry]) -> tuple[SequentialDesign, str]:
    """Give the design in the first entry, and its hash.

    Raises
    ------
    AllocationError
        When there is none.
    """
    first = next(iter(entries), None)
    content = first.content if first else {}
    if content.get("kind") != "open" or content.get("format") != 1:
        raise AllocationError("the ledger does not begin with a design of a format that this version knows")
    text = str(content.get("design"))
    try:
        return SequentialDesign.model_validate_json(text), sha256(text)
    except ValueError as error:
        raise AllocationError(f"the design in the ledger cannot be read: {error}") from None


def drawn_arm(
    design: SequentialDesign,
    design_hash: str,
    seed: str,
    *,
    earlier: Iterable[Content],
    levels: tuple[str, ...],
    number: int,
) -> str:
    """Give the arm of the newcomer with a running number, after those enrolled earlier."""
    stratum = levels if design.strata else ()
    history: list[Arrival] = []
    for content in earlier:
        theirs = tuple(content["levels"][name] for name in design.characteristics)
        if not design.strata or theirs == stratum:
            history.append((design.arms.index(content["arm"]), theirs))

    def block_size(block: int) -> int:
        sizes = design.rule.sizes if isinstance(design.rule, PermutedBlocks) else ()
        return sizes[int(_unit_interval(seed, design_hash, "size", stratum, block) * len(sizes))]

    u = _unit_interval(seed, design_hash, "enrol", stratum, number)
    return design.arms[chosen_arm(next_arm(design, history, levels, block_size=block_size), u)]


def _unit_interval(seed: str, design_hash: str, draw: str, stratum: tuple[str, ...], number: int) -> Fraction:
    drawn = keyed(seed, design_hash, draw, stratum, str(number))
    return Fraction(int.from_bytes(drawn[:8], "big"), 2**64)
