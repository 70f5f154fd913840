"""Simple randomization: every unit has a draw of its own, so the numbers in the arms are left to chance.

Bytes: ``docs/allocation-bytes.md``, "Simple randomization".
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, product
from math import prod

import numpy as np

from rct.randomization.keyed_order import Block, Numbers, Shares, scores
from rct.randomization.random_draws import (
    LARGEST_SPACE,
    BlockOfUnits,
    Counts,
    Draws,
    all_draws,
    choose,
    permutations,
    refuse_space,
)


def independent_assignment(
    seed: str, design_hash: str, block: Block, *, units: Sequence[str], shares: Shares
) -> Numbers:
    """Give each unit the sequence in whose stretch of [0, 1) its own keyed number falls."""
    edges = [edge * 2**64 for edge in accumulate(shares)]
    numbers = [int.from_bytes(found[:8], "big") for found in scores(seed, design_hash, block, units)]
    return np.array([sum(edge <= number for edge in edges) for number in numbers], dtype=np.intp)


def independent_draws(blocks: Sequence[BlockOfUnits], *, n: int, seed: int | np.random.SeedSequence) -> Draws:
    """Draw n allocations, every unit by itself: (n, units)."""
    generator = np.random.default_rng(seed)
    draws = np.empty((n, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    for columns, shares in blocks:
        draws[:, columns] = choose(generator, shares, n * len(columns)).reshape(n, -1)
    return draws


def every_independent_draw(blocks: Sequence[BlockOfUnits]) -> Draws:
    """Give the whole space, every row equally probable.

    Raises
    ------
    AllocationError
        When it is too large to be enumerated.
    """
    size = independent_space(blocks)
    if size > LARGEST_SPACE:
        refuse_space(size)
    return all_draws(blocks, law=independent_counts)


def independent_counts(units: int, shares: Shares) -> list[tuple[Counts, Fraction]]:
    """Give every vector of counts with its multinomial probability."""
    vectors = [v for v in product(range(units + 1), repeat=len(shares)) if sum(v) == units]
    law = [
        (v, permutations(v) * prod(share**count for share, count in zip(shares, v, strict=True)))
        for v in vectors
    ]
    return [(counts, Fraction(weight)) for counts, weight in law if weight]


def independent_space(blocks: Sequence[BlockOfUnits]) -> int:
    """Count the distinct allocations: every unit in any sequence that has a share."""
    return prod(sum(share > 0 for share in shares) ** len(columns) for columns, shares in blocks)


def least_independent(blocks: Sequence[BlockOfUnits]) -> float:
    """Give the probability of the least probable allocation."""
    return float(
        prod((min(filter(None, shares)) ** len(columns) for columns, shares in blocks), start=Fraction(1))
    )
