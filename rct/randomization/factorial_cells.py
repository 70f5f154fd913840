"""Factorial trials: equal cells, and left-over places that go to any cells alike (Collins et al. 2009).

Bytes: ``docs/allocation-bytes.md``, "Factorial trials".
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from rct.randomization.keyed_order import Block, Numbers, Shares, in_keyed_order, keyed
from rct.randomization.random_draws import Counts


def factorial_assignment(
    seed: str, design_hash: str, block: Block, *, units: Sequence[str], shares: Shares
) -> Numbers:
    """Assign a block to cells: whole parts first, then a place to each of the first cells in keyed order."""
    cells = range(len(shares))
    whole, left = divmod(len(units), len(shares))
    lots = {cell: keyed(seed, design_hash, "cells", block, str(cell)) for cell in cells}
    lucky = sorted(cells, key=lambda cell: (lots[cell], cell))[:left]
    counts = tuple(whole + (cell in lucky) for cell in cells)
    return in_keyed_order(seed, design_hash, block, units=units, counts=counts)


def factorial_counts(units: int, shares: Shares) -> list[tuple[Counts, Fraction]]:
    """Give every vector of counts: each choice of the cells with one unit more is equally probable."""
    whole, left = divmod(units, len(shares))
    chosen = list(combinations(range(len(shares)), left))
    return sorted(
        (tuple(whole + (cell in more) for cell in range(len(shares))), Fraction(1, len(chosen)))
        for more in chosen
    )
