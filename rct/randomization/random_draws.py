"""Many draws of the same mechanism, for randomization inference: random ones, or the whole space.

The law is that of the keyed order (systematic sampling of left-over places, then a uniform order within each
block), drawn from a NumPy generator.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import comb, gcd, lcm, log10, prod
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError
from rct.randomization.keyed_order import Block, Shares, systematic_counts

Draws = npt.NDArray[np.int16]
Counts = tuple[int, ...]
BlockOfUnits = tuple[npt.NDArray[np.intp], Shares]
"""Columns of a block's units among all units, and the shares of the sequences there."""

CountLaw = Callable[[int, Shares], list[tuple[Counts, Fraction]]]
"""From a block's units and shares to every vector of counts with its probability; given counts, all orders
are equally probable."""

LARGEST_SPACE = 2_000_000
CHUNK = 1_000


def block_columns(blocks: Mapping[str, Block], shares: Mapping[Block, Shares]) -> list[BlockOfUnits]:
    """Give for each block, in byte order, the places of its units among all units, and its shares."""
    members: dict[Block, list[int]] = {}
    for place, block in enumerate(blocks.values()):
        members.setdefault(block, []).append(place)
    return [(np.array(places, dtype=np.intp), shares[block]) for block, places in sorted(members.items())]


def count_law(units: int, shares: Shares) -> list[tuple[Counts, Fraction]]:
    """Give every vector of counts that systematic sampling can give, with its exact probability."""
    return list(_count_law(units, tuple(shares)))


@lru_cache(maxsize=1024)  # many blocks are alike, and every replicate of a power study draws from the same
def _count_law(units: int, shares: tuple[Fraction, ...]) -> tuple[tuple[Counts, Fraction], ...]:
    expected = [units * share for share in shares]
    reached, edges = Fraction(0), {Fraction(0), Fraction(1)}
    for number in expected:
        reached += number % 1
        edges.add(reached % 1)
    cuts = sorted(edges)
    law: dict[Counts, Fraction] = {}
    for low, high in pairwise(cuts):
        counts = systematic_counts(expected, low)
        law[counts] = law.get(counts, Fraction(0)) + high - low
    return tuple(sorted(law.items()))


def random_draws(
    blocks: Sequence[BlockOfUnits],
    *,
    n: int,
    seed: int | np.random.SeedSequence,
    law: CountLaw = count_law,
) -> Draws:
    """Draw n allocations, independently.

    Returns
    -------
    numpy.ndarray
        (n, units) sequence numbers; the unit columns as in ``blocks``.
    """
    generator = np.random.default_rng(seed)
    draws = np.empty((n, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    for columns, shares in blocks:
        laws = law(len(columns), shares)
        weights = [weight for _, weight in laws]
        chosen = choose(generator, weights, n)
        sequences = np.arange(len(shares), dtype=np.int16)
        layouts = np.array([np.repeat(sequences, counts) for counts, _ in laws])
        for first in range(0, n, CHUNK):
            rows = slice(first, first + CHUNK)
            draws[rows, columns] = generator.permuted(layouts[chosen[rows]], axis=1)
    return draws


def all_draws(blocks: Sequence[BlockOfUnits], *, law: CountLaw = count_law) -> Draws:
    """Give the whole space, every row equally probable: a likelier allocation stands more than once.

    Raises
    ------
    AllocationError
        When there would be more than two million rows; the message names their number.
    """
    laws = [equal_rows(law(len(columns), shares)) for columns, shares in blocks]
    sizes = [sum(times * permutations(counts) for counts, times in each) for each in laws]
    rows = prod(sizes)
    if rows > LARGEST_SPACE:
        refuse_space(rows)
    draws = np.empty((rows, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    repeat = rows
    for (columns, _), each, size in zip(blocks, laws, sizes, strict=True):
        repeat //= size
        space = np.concatenate(
            [np.repeat(multiset_permutations(counts), times, axis=0) for counts, times in each]
        )
        draws[:, columns] = space[(np.arange(rows) // repeat) % size]
    return draws


def refuse_space(rows: int) -> NoReturn:
    """Refuse to enumerate a space.

    Raises
    ------
    AllocationError
        Naming the number of its allocations.
    """
    shown = f"{rows:,}" if rows < 10**15 else f"about 10^{int(rows.bit_length() * log10(2))}"
    raise AllocationError(
        f"the whole space has {shown} allocations, more than the {LARGEST_SPACE:,} that are enumerated; "
        "give a number of draws, such as 9999"
    )


def space_size(blocks: Sequence[BlockOfUnits], *, law: CountLaw = count_law) -> int:
    """Count the distinct allocations that the mechanism can give."""
    return prod(
        sum(permutations(counts) for counts, _ in law(len(columns), shares)) for columns, shares in blocks
    )


def smallest_probability(blocks: Sequence[BlockOfUnits], *, law: CountLaw = count_law) -> float:
    """Give the probability of the least probable allocation."""
    least = (
        min(weight / permutations(counts) for counts, weight in law(len(columns), shares))
        for columns, shares in blocks
    )
    return float(prod(least, start=Fraction(1)))


def permutations(counts: Counts) -> int:
    """Count the distinct orders of a multiset: n! / ∏ countₛ!."""
    total, orders = 0, 1
    for count in counts:
        total += count
        orders *= comb(total, count)
    return orders


def multiset_permutations(counts: Counts) -> Draws:
    """Give all distinct orders of a multiset in lexicographic order: (orders, units)."""
    left = np.array([counts], dtype=np.int16)
    prefixes = np.empty((1, 0), dtype=np.int16)
    for _ in range(sum(counts)):
        row, sequence = np.nonzero(left)
        prefixes = np.column_stack([prefixes[row], sequence.astype(np.int16)])
        left = left[row]
        left[np.arange(len(row)), sequence] -= 1
    return prefixes


def equal_rows(law: Sequence[tuple[Counts, Fraction]]) -> list[tuple[Counts, int]]:
    """Give how often each allocation with given counts must stand so that all rows are equally probable."""
    single = [weight / permutations(counts) for counts, weight in law]
    scale = lcm(*(probability.denominator for probability in single))
    times = [int(probability * scale) for probability in single]
    common = gcd(*times)
    return [(counts, time // common) for (counts, _), time in zip(law, times, strict=True)]


def choose(generator: np.random.Generator, weights: Sequence[Fraction], n: int) -> npt.NDArray[np.intp]:
    """Draw n numbers of items with exact weights that sum to 1."""
    if len(weights) == 1:
        return np.zeros(n, dtype=np.intp)
    scale = lcm(*(weight.denominator for weight in weights))
    edges = np.cumsum([int(weight * scale) for weight in weights])
    return np.searchsorted(edges, generator.integers(scale, size=n), side="right")
