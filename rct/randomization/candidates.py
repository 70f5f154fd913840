"""Candidate allocations among which a restriction chooses: the whole space, or keyed ones.

The bytes are laid down in ``docs/allocation-bytes.md``, "Restricted randomization".
"""

import hmac
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from math import ceil, prod

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError
from rct.identifiers import join
from rct.randomization.keyed_order import FORMAT, Shares, systematic_counts
from rct.randomization.random_draws import (
    LARGEST_SPACE,
    BlockOfUnits,
    Counts,
    Draws,
    all_draws,
    count_law,
    equal_rows,
    permutations,
)

NUMBER_BYTES = 8
CHUNK = 5_000


def candidate_draws(
    key: str, design_hash: str, blocks: Sequence[BlockOfUnits], *, declared: int | None
) -> tuple[Draws, bool]:
    """Give the candidates in their order, and whether they are the whole space.

    Parameters
    ----------
    declared
        Number of candidates in the trial file; the space is enumerated where it has no more than that, or
        where none is declared.

    Raises
    ------
    AllocationError
        When the space is too large to be enumerated and no number is declared.
    """
    size = space_rows(blocks)
    if declared is not None and size > declared:
        return keyed_candidates(key, design_hash, blocks, number=declared), False
    if size > LARGEST_SPACE:
        shown = f"{size:,}" if size < 10**15 else f"about 10^{len(str(size)) - 1}"
        raise AllocationError(
            f"the whole space has {shown} allocations, too many to score them all; write "
            "candidates = 100000 under [randomization], and that many are drawn and compared"
        )
    return in_lexicographic_order(blocks), True


def space_rows(blocks: Sequence[BlockOfUnits]) -> int:
    """Count the allocations, a likelier one as often as it is likelier."""
    return prod(
        sum(times * permutations(counts) for counts, times in equal_rows(count_law(len(columns), shares)))
        for columns, shares in blocks
    )


def in_lexicographic_order(blocks: Sequence[BlockOfUnits]) -> Draws:
    """Enumerate the space, in lexicographic order of the sequences of units sorted by id."""
    draws = all_draws(blocks)
    return draws[np.lexsort(draws.T[::-1])]


def keyed_candidates(key: str, design_hash: str, blocks: Sequence[BlockOfUnits], *, number: int) -> Draws:
    """Draw candidates 0, 1, …, each from one HMAC that MGF1 (RFC 8017, B.2.1) expands to 64-bit numbers.

    Block by block in byte order, one number gives the left-over places and one for each unit its order.
    """
    words = sum(1 + len(columns) for columns, _ in blocks)
    draws = np.empty((number, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    for first in range(0, number, CHUNK):
        last = min(first + CHUNK, number)
        text = b"".join(
            expanded(numbered(key, design_hash, "candidate", c), NUMBER_BYTES * words)
            for c in range(first, last)
        )
        numbers = np.frombuffer(text, dtype=">u8").astype(np.uint64).reshape(last - first, words)
        place = 0
        for columns, shares in blocks:
            own = numbers[:, place : place + 1 + len(columns)]
            draws[first:last, columns] = _ordered(own[:, 0], own[:, 1:], shares)
            place += 1 + len(columns)
    return draws


def numbered(key: str, design_hash: str, draw: str, number: int) -> bytes:
    """Give the keyed hash of a candidate's number in one draw."""
    return hmac.digest(key.encode(), join(FORMAT, design_hash, draw, str(number), ""), "sha256")


def expanded(seed: bytes, length: int) -> bytes:
    """Stretch a seed to any length: MGF1 with SHA-256."""
    blocks = (sha256(seed + number.to_bytes(4, "big")).digest() for number in range(ceil(length / 32)))
    return b"".join(blocks)[:length]


def _ordered(points: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], shares: Shares) -> Draws:
    """Put a block's units in the order of their numbers and cut at the counts that the point gives."""
    limits, laid = [], []
    for low, counts in counts_by_point(keys.shape[1], shares):
        limits.append(ceil(low * 2**64))
        laid.append(np.repeat(np.arange(len(shares), dtype=np.int16), counts))
    cut = np.searchsorted(np.array(limits, dtype=np.uint64), points, side="right") - 1
    found = np.empty(keys.shape, dtype=np.int16)
    np.put_along_axis(found, np.argsort(keys, axis=1, kind="stable"), np.array(laid)[cut], axis=1)
    return found


def counts_by_point(units: int, shares: Shares) -> list[tuple[Fraction, Counts]]:
    """Give the points of [0, 1) from which on systematic sampling gives which counts."""
    expected = [units * share for share in shares]
    reached, edges = Fraction(0), {Fraction(0), Fraction(1)}
    for number in expected:
        reached += number % 1
        edges.add(reached % 1)
    return [(low, systematic_counts(expected, low)) for low, _ in pairwise(sorted(edges))]
